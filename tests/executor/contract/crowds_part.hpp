// Contract: many tasks, many workers, many pools, many threads, and a process that has no part.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "executor/processes.hpp"
#include "support.hpp"

TEMPLATE_TEST_CASE("terminate does not wait for ten thousand tasks, and every result is told",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  constexpr bool serial = std::is_same_v<TestType, procyon::SerialPool>;
  auto pool = contract::make_pool<TestType>(2);
  std::vector<procyon::AsyncResult<std::string>> results;
  for (int i = 0; i < 10000; ++i) {
    results.push_back(pool.apply_async([i] {
      // All of them would take longer than any test may.
      if (!serial) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      return std::to_string(i);
    }));
  }
  auto all = pool.map_async([](int x) { return std::to_string(x); }, contract::count_from(0, 1000));
  pool.terminate();
  int closed = 0;
  int wrong = 0;
  for (int i = 0; i < 10000; ++i) {
    const auto& result = results[static_cast<std::size_t>(i)];
    wrong += result.ready() ? 0 : 1;
    try {
      wrong += result.get() != std::to_string(i) ? 1 : 0;
    } catch (const procyon::PoolClosed&) {
      ++closed;
    }
  }
  CHECK(wrong == 0);
  if (serial) {
    CHECK(closed == 0);
    CHECK(all.get()[999] == "999");
  } else {
    CHECK(closed > 9000);
    CHECK_THROWS_AS(all.get(), procyon::PoolClosed);
  }
}

TEMPLATE_TEST_CASE("two hundred workers work", CONTRACT_TAGS, CONTRACT_POOLS) {
  // An instrumented executable started afresh two hundred times is more than the machine has.
#if defined(__SANITIZE_ADDRESS__)
  const std::size_t workers = contract::starts_afresh() ? 20 : 200;
#else
  const std::size_t workers = 200;
#endif
  auto pool = contract::make_pool<TestType>(workers);
  const auto xs = contract::count_from(0, 2000);
  for (int round = 0; round < 3; ++round) {
    CHECK(pool.map([](int x) { return x + 1; }, xs, {.chunk_size = 1})[1999] == 2000);
  }
  std::vector<procyon::AsyncResult<int>> results;
  for (int i = 0; i < 400; ++i) results.push_back(pool.apply_async([i] { return i; }));
  int wrong = 0;
  for (int i = 0; i < 400; ++i) wrong += results[static_cast<std::size_t>(i)].get() == i ? 0 : 1;
  CHECK(wrong == 0);
}

TEMPLATE_TEST_CASE("many pools at once do their own work each", CONTRACT_TAGS, CONTRACT_POOLS) {
  std::vector<std::unique_ptr<TestType>> pools;
  for (int i = 0; i < 12; ++i) {
    if constexpr (std::is_same_v<TestType, procyon::SerialPool>) {
      pools.push_back(std::make_unique<TestType>());
    } else {
      pools.push_back(std::make_unique<TestType>(2));
    }
  }
  std::vector<procyon::AsyncResult<std::vector<int>>> results;
  for (int round = 0; round < 5; ++round) {
    for (auto& pool : pools) {
      results.push_back(
          pool->map_async([round](int x) { return round * x; }, contract::count_from(0, 50)));
    }
  }
  pools.erase(pools.begin(), pools.begin() + 3);
  int wrong = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    try {
      wrong += results[i].get()[49] == 49 * static_cast<int>(i / 12) ? 0 : 1;
    } catch (const procyon::PoolClosed&) {
      wrong += i % 12 < 3 ? 0 : 1;
    }
  }
  CHECK(wrong == 0);
}

TEMPLATE_TEST_CASE("every call may be made by many threads at once", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&pool, &wrong, t] {
      const auto xs = contract::count_from(t, 40);
      for (int round = 0; round < 10; ++round) {
        const auto tried = pool.try_map(
            [](int x) {
              if (x % 10 == 9) throw std::runtime_error("nine");
              return 2 * x;
            },
            xs, {.chunk_size = 3});
        for (int i = 0; i < 40; ++i) {
          const auto& outcome = tried[static_cast<std::size_t>(i)];
          if (outcome.has_value() == ((t + i) % 10 == 9)) ++wrong;
          if (outcome.has_value() && outcome.value() != 2 * (t + i)) ++wrong;
        }
        const int sum = pool.reduce([](int a, int b) { return a + b; }, 0, xs);
        if (sum != 40 * t + 780) ++wrong;
        int seen = 0;
        for (const int each : pool.imap_unordered([](int x) { return x; }, xs)) seen += each;
        if (seen != sum) ++wrong;
        auto dropped = pool.apply_async([] { return std::string(100, 'd'); });
        dropped.cancel();
      }
    });
  }
  threads.clear();
  CHECK(wrong == 0);
}

TEMPLATE_TEST_CASE("a process that did not make the pool is told so, and harms nothing",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  auto result = pool.apply_async([] { return 4; });
  auto view = pool.imap([](int x) { return x; }, contract::count_from(0, 100));
  CHECK(*view.begin() == 0);
  const auto refused = [](auto call) {
    try {
      call();
    } catch (const procyon::PoolClosed&) {
      return false;
    } catch (const procyon::Error& error) {
      return std::string(error.what()).find("only by the process that made it") !=
             std::string::npos;
    }
    return false;
  };
  const int code = processes::in_child([&] {
    const auto one = [](int x) { return x; };
    if (!refused([&] { pool.apply(one, 1); })) return 1;
    if (!refused([&] { pool.map(one, {1}); })) return 2;
    if (!refused([&] { pool.try_map(one, {1}); })) return 3;
    if (!refused([&] { pool.imap(one, {1}); })) return 4;
    if (!refused([&] { pool.reduce([](int a, int) { return a; }, 0, std::vector<int>()); })) {
      return 5;
    }
    if (result.cancel()) return 6;
    { const auto taken = std::move(view); }
    pool.close();
    pool.terminate();
    return 7;
  });
  CHECK(code == 7);
  CHECK(result.get() == 4);
  CHECK(pool.apply([] { return 5; }) == 5);
  int seen = 0;
  for (const int each : view) seen += each;
  CHECK(seen == 4950);
}
