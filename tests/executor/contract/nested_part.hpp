// Contract: tasks that use their own pool.
#pragma once

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

namespace contract {

/// In other processes there is no pool to use: the second half of each case here.
template <class P>
constexpr bool shares_itself = !P::isolated;

template <class P>
int fibonacci(P& pool, int n) {
  if (n < 2) return n;
  const auto before = pool.apply_async([&pool, n] { return fibonacci(pool, n - 1); });
  return pool.apply([&pool, n] { return fibonacci(pool, n - 2); }) + before.get();
}

}  // namespace contract

TEMPLATE_TEST_CASE("a task may wait for tasks of its own pool, however few workers there are",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  if constexpr (contract::shares_itself<TestType>) {
    for (const std::size_t workers : {std::size_t{1}, std::size_t{3}}) {
      auto pool = contract::make_pool<TestType>(workers);
      CHECK(pool.apply([&] { return pool.apply([] { return 7; }); }) == 7);
      CHECK(contract::fibonacci(pool, 12) == 144);
      const auto xs = contract::count_from(0, 30);
      const auto rows = pool.map([&](int x) { return pool.map([x](int y) { return x * y; }, xs); },
                                 xs, {.chunk_size = 1});
      CHECK(rows[29][28] == 29 * 28);
      const auto fails = [&] {
        return pool.apply([]() -> int { throw std::domain_error("inner"); });
      };
      CHECK_THROWS_AS(pool.apply(fails), std::domain_error);
      CHECK(pool.apply([&] {
        const auto slow = pool.apply_async([] { return 5; });
        return slow.get(std::chrono::hours(1));
      }) == 5);
    }
  } else {
    auto pool = contract::make_pool<TestType>(1);
    auto later = contract::make_pool<TestType>(1);
    CHECK_THROWS_AS(pool.apply([p = &pool] { p->close(); }), procyon::NotShareable);
    // Only a copy of this process, made after the pool was, has anything where it was.
    if (!contract::forks()) return;
    const auto foreign = contract::caught<procyon::Error>(
        [&] { later.apply(procyon::trusted([p = &pool] { return p->apply([] { return 1; }); })); });
    CHECK_THAT(foreign.what(), Catch::Matchers::Contains("only by the process that made it"));
    CHECK_THROWS_AS(later.apply(procyon::trusted([p = &pool] { p->join(); })), procyon::Error);
    later.apply(procyon::trusted([p = &pool] {
      p->close();
      p->terminate();
    }));
    CHECK(pool.apply([] { return 1; }) == 1);
  }
}

TEMPLATE_TEST_CASE("a task may hand in more tasks than its pool has places for", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  if constexpr (contract::shares_itself<TestType>) {
    auto pool = contract::make_pool<TestType>(1);
    std::atomic<int> ran = 0;
    pool.apply([&] {
      for (int i = 0; i < 20000; ++i) static_cast<void>(pool.apply_async([&ran] { ++ran; }));
    });
    pool.close();
    pool.join();
    CHECK(ran == 20000);
  }
}

TEMPLATE_TEST_CASE("join in a task of the pool is an error, not a wait for itself", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  if constexpr (contract::shares_itself<TestType>) {
    auto pool = contract::make_pool<TestType>(2);
    const auto joins = [&pool] {
      pool.close();
      pool.join();
    };
    CHECK_THROWS_WITH(pool.apply(joins), Catch::Matchers::Contains("in a task of the pool itself"));
    CHECK_THROWS_AS(pool.apply([] {}), procyon::PoolClosed);
    pool.join();
  }
}

TEMPLATE_TEST_CASE("terminate in a task of the pool ends all others, and nobody waits for ever",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  if constexpr (contract::shares_itself<TestType>) {
    for (const std::size_t workers : {std::size_t{1}, std::size_t{3}}) {
      auto pool = contract::make_pool<TestType>(workers);
      std::atomic<bool> handed_in = std::is_same_v<TestType, procyon::SerialPool>;
      const auto ends = pool.apply_async([&] {
        handed_in.wait(false);
        pool.terminate();
        pool.terminate();
      });
      std::vector<procyon::AsyncResult<std::string>> others;
      if (!handed_in) {
        for (int i = 0; i < 50; ++i) {
          others.push_back(pool.apply_async([&handed_in] {
            handed_in.wait(false);
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
            return std::string(1000, 'o');
          }));
        }
      }
      handed_in = true;
      handed_in.notify_all();
      CHECK_THROWS_AS(ends.get(), procyon::PoolClosed);
      int closed = 0;
      for (const auto& other : others) {
        other.wait();
        closed += other.successful() ? 0 : 1;
      }
      CHECK((closed > 0) == !others.empty());
      CHECK_THROWS_AS(pool.apply([] {}), procyon::PoolClosed);
      pool.join();
    }
  }
}

TEMPLATE_TEST_CASE("a pool can be ended while its tasks wait for each other", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  if constexpr (contract::shares_itself<TestType>) {
    std::atomic<int> begun = 0;
    auto pool = contract::make_pool<TestType>(2);
    std::vector<procyon::AsyncResult<int>> results;
    for (int i = 0; i < 6; ++i) {
      results.push_back(pool.apply_async([&] {
        ++begun;
        return pool.apply([] {
          std::this_thread::sleep_for(std::chrono::milliseconds(2));
          return 1;
        });
      }));
    }
    while (begun == 0) std::this_thread::yield();
    pool.terminate();
    for (const auto& result : results) CHECK(result.ready());
  }
}
