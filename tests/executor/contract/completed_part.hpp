// Contract: as_completed.
#pragma once

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

TEMPLATE_TEST_CASE("as_completed gives every result once, whatever their number", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  for (const int count : {0, 1, 2, 127, 1000}) {
    std::vector<procyon::AsyncResult<int>> results;
    for (int i = 0; i < count; ++i) results.push_back(pool.apply_async([i] { return i; }));
    std::vector<int> seen;
    for (const auto& result : procyon::as_completed(results)) {
      CHECK(result.ready());
      seen.push_back(result.get());
    }
    std::ranges::sort(seen);
    CHECK(seen == contract::count_from(0, static_cast<std::size_t>(count)));
  }
}

TEMPLATE_TEST_CASE("as_completed gives results in the order in which their tasks end",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  if constexpr (std::is_same_v<TestType, procyon::SerialPool>) {
    SUCCEED("in a SerialPool all tasks have ended");
  } else {
    auto pool = contract::make_pool<TestType>(3);
    const procyon::Array<int> gates(3);
    std::vector<procyon::AsyncResult<int>> results;
    for (int i = 0; i < 3; ++i) {
      results.push_back(pool.apply_async([gates, i] {
        const std::atomic_ref<int> gate(gates[static_cast<std::size_t>(i)]);
        while (gate.load() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return i;
      }));
    }
    std::atomic_ref<int>(gates[1]).store(1);
    std::vector<int> order;
    for (auto& result : procyon::as_completed(results)) {
      order.push_back(result.get());
      if (order.size() == 1) std::atomic_ref<int>(gates[2]).store(1);
      if (order.size() == 2) std::atomic_ref<int>(gates[0]).store(1);
    }
    CHECK(order == std::vector{1, 2, 0});
  }
}

TEMPLATE_TEST_CASE("as_completed gives failures too, and takes results of several pools",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto first = contract::make_pool<TestType>();
  auto second = contract::make_pool<TestType>();
  procyon::SerialPool serial;
  std::vector<procyon::AsyncResult<std::string>> results;
  for (int i = 0; i < 10; ++i) {
    const auto task = [i] {
      if (i == 5) throw std::domain_error("five");
      return std::string(100, static_cast<char>('a' + i));
    };
    results.push_back(first.apply_async(task));
    results.push_back(second.apply_async(task));
    results.push_back(serial.apply_async(task));
  }
  int failures = 0;
  int good = 0;
  for (auto& result : procyon::as_completed(std::move(results))) {
    try {
      good += std::move(result).get().size() == 100 ? 1 : 0;
    } catch (const std::domain_error&) {
      ++failures;
    }
  }
  CHECK(failures == 3);
  CHECK(good == 27);
}

TEMPLATE_TEST_CASE("as_completed ends when the pool does", CONTRACT_TAGS, CONTRACT_POOLS) {
  if constexpr (std::is_same_v<TestType, procyon::SerialPool>) {
    SUCCEED("in a SerialPool all tasks have ended");
  } else {
    auto pool = contract::make_pool<TestType>(2);
    std::vector<procyon::AsyncResult<void>> results;
    for (int i = 0; i < 300; ++i) {
      results.push_back(
          pool.apply_async([] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }));
    }
    std::jthread ender([&pool] {
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      pool.terminate();
    });
    int closed = 0;
    int seen = 0;
    for (const auto& result : procyon::as_completed(results)) {
      ++seen;
      try {
        result.get();
      } catch (const procyon::PoolClosed&) {
        ++closed;
      }
    }
    CHECK(seen == 300);
    CHECK(closed > 0);
  }
}
