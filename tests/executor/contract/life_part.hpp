// Contract: the end of pools, and pools of unusual sizes.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

TEMPLATE_TEST_CASE("a closed pool takes no more tasks and runs those it has", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  std::vector<procyon::AsyncResult<int>> results;
  for (int i = 0; i < 100; ++i) results.push_back(pool.apply_async([i] { return i; }));
  pool.close();
  CHECK_THROWS_AS(pool.apply([] {}), procyon::PoolClosed);
  CHECK_THROWS_AS(pool.map([](int x) { return x; }, {1}), procyon::PoolClosed);
  CHECK_THROWS_AS(pool.apply_async([](const std::string& s) { return s; }, std::string(100, 's')),
                  procyon::PoolClosed);
  CHECK_THROWS_AS(pool.for_index(1, [](std::size_t) {}), procyon::PoolClosed);
  pool.close();
  pool.join();
  pool.join();
  for (int i = 0; i < 100; ++i) CHECK(results[static_cast<std::size_t>(i)].get() == i);
}

TEMPLATE_TEST_CASE("join before close is an error and changes nothing", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  CHECK_THROWS_AS(pool.join(), procyon::Error);
  CHECK(pool.apply([] { return 1; }) == 1);
}

TEMPLATE_TEST_CASE("a terminated pool takes no more tasks, and may be joined", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  CHECK(pool.apply([] { return 1; }) == 1);
  pool.terminate();
  CHECK_THROWS_AS(pool.apply([] {}), procyon::PoolClosed);
  pool.terminate();
  pool.join();
  pool.close();
}

TEMPLATE_TEST_CASE("results that a pool's end overtakes are PoolClosed, and nobody hangs",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  std::vector<procyon::AsyncResult<int>> results;
  {
    auto pool = contract::make_pool<TestType>(2);
    for (int i = 0; i < 50; ++i) {
      results.push_back(pool.apply_async([i] {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        return i;
      }));
    }
  }
  int closed = 0;
  int wrong = 0;
  for (int i = 0; i < 50; ++i) {
    const auto& result = results[static_cast<std::size_t>(i)];
    CHECK(result.ready());
    try {
      wrong += result.get() != i ? 1 : 0;
    } catch (const procyon::PoolClosed&) {
      ++closed;
    }
  }
  CHECK(wrong == 0);
  CHECK((closed > 0) == !std::is_same_v<TestType, procyon::SerialPool>);
}

TEMPLATE_TEST_CASE("results outlive their pool", CONTRACT_TAGS, CONTRACT_POOLS) {
  std::optional<procyon::AsyncResult<std::string>> text;
  std::optional<procyon::AsyncResult<int>> failure;
  {
    auto pool = contract::make_pool<TestType>();
    text.emplace(pool.apply_async([] { return std::string(5000, 't'); }));
    failure.emplace(pool.apply_async([]() -> int { throw std::domain_error("why"); }));
    pool.close();
    pool.join();
  }
  CHECK(text->get() == std::string(5000, 't'));
  CHECK_THROWS_AS(failure->get(), std::domain_error);
}

TEMPLATE_TEST_CASE("a thread that waits is told when another one terminates the pool",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  if constexpr (std::is_same_v<TestType, procyon::SerialPool>) {
    SUCCEED("nobody waits for a SerialPool");
  } else {
    auto pool = contract::make_pool<TestType>(1);
    const procyon::Array<int> gate(1);
    const auto waits = [gate] {
      for (int i = 0; i < 200 && std::atomic_ref<int>(gate[0]).load() == 0; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      return 1;
    };
    const auto running = pool.apply_async(waits);
    const auto queued = pool.apply_async(waits);
    std::jthread waiter([&queued] { CHECK_THROWS_AS(queued.get(), procyon::PoolClosed); });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    pool.terminate();
  }
}

TEMPLATE_TEST_CASE("more workers than CPUs are possible", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(20);
  if (!std::is_same_v<TestType, procyon::SerialPool>) CHECK(pool.size() == 20);
  const auto xs = contract::count_from(0, 2000);
  CHECK(pool.map([](int x) { return x; }, xs, {.chunk_size = 1}) == xs);
}

TEMPLATE_TEST_CASE("a pool without a number of workers has one a CPU", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  TestType pool;
  if (!std::is_same_v<TestType, procyon::SerialPool>) CHECK(pool.size() == procyon::cpu_count());
  CHECK(pool.map([](int x) { return x; }, {1, 2}) == std::vector{1, 2});
}

TEMPLATE_TEST_CASE("a pool that never gets a task can be ended", CONTRACT_TAGS, CONTRACT_POOLS) {
  for (int round = 0; round < (is_sanitized ? 5 : 20); ++round) {
    auto pool = contract::make_pool<TestType>();
    if (round % 2 == 0) pool.close();
    if (round % 4 == 0) pool.join();
  }
}

TEMPLATE_TEST_CASE("two pools at a time do not disturb each other", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto first = std::make_unique<TestType>();
  TestType second;
  const auto early = first->apply_async([] { return 1; });
  CHECK(second.apply([] { return 2; }) == 2);
  CHECK(early.get() == 1);
  first.reset();
  CHECK(second.map([](int x) { return x; }, {3, 4}) == std::vector{3, 4});
}

TEMPLATE_TEST_CASE("an exception that passes through a pool's scope ends the pool", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  const auto fail = [] {
    auto pool = contract::make_pool<TestType>();
    const auto unfetched = pool.apply_async([] { return std::string(1000, 'u'); });
    pool.for_index(10, [](std::size_t i) {
      if (i == 5) throw std::runtime_error("in the fifth");
    });
  };
  CHECK_THROWS_AS(fail(), std::runtime_error);
}
