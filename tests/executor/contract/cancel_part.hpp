// Contract: cancel.
#pragma once

#include <chrono>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

namespace contract {

/// Waits in a task until `word` is set; for a minute at most, so that a test that fails ends.
inline void wait_in_task(int& word) {
  const std::atomic_ref<int> open(word);
  for (int i = 0; i < 60000 && open.load() == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace contract

TEMPLATE_TEST_CASE("a task that has ended cannot be cancelled", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  auto good = pool.apply_async([] { return std::string(100, 'g'); });
  auto bad = pool.map_async([](int) -> int { throw std::domain_error("bad"); }, std::vector{1, 2});
  good.wait();
  bad.wait();
  CHECK_FALSE(good.cancel());
  CHECK_FALSE(bad.cancel());
  CHECK(good.get() == std::string(100, 'g'));
  CHECK_THROWS_AS(bad.get(), std::domain_error);
}

TEMPLATE_TEST_CASE("a cancelled task that had not begun never runs", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  if constexpr (std::is_same_v<TestType, procyon::SerialPool>) {
    SUCCEED("a SerialPool has run the task before it could be cancelled");
  } else {
    auto pool = contract::make_pool<TestType>(1);
    const procyon::Array<int> words(3);
    const auto running = pool.apply_async([words] { contract::wait_in_task(words[0]); });
    auto one = pool.apply_async([words] { words[1] = 1; });
    auto many = pool.map_async([words](int) { words[2] = 1; }, contract::count_from(0, 1000));
    CHECK(one.cancel());
    CHECK(many.cancel());
    CHECK_FALSE(one.cancel());
    CHECK(one.ready());
    CHECK(many.ready());
    CHECK_FALSE(one.successful());
    CHECK_THROWS_AS(one.get(), procyon::Cancelled);
    CHECK_THROWS_AS(many.get(), procyon::Cancelled);
    std::atomic_ref<int>(words[0]).store(1);
    running.get();
    CHECK(pool.apply([] { return 5; }) == 5);
    CHECK(words[1] == 0);
    CHECK(words[2] == 0);
  }
}

TEMPLATE_TEST_CASE("a running task is cancelled: killed in a process, waited for in a thread",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  if constexpr (std::is_same_v<TestType, procyon::SerialPool>) {
    SUCCEED("a SerialPool has run the task before it could be cancelled");
  } else {
    auto pool = contract::make_pool<TestType>(2);
    const procyon::Array<int> words(4);
    auto one = pool.apply_async([words] {
      std::atomic_ref<int>(words[1]).store(1);
      contract::wait_in_task(words[0]);
      return 1;
    });
    auto many = pool.map_async(
        [words](int i) {
          if (i == 3) {
            std::atomic_ref<int>(words[2]).store(1);
            contract::wait_in_task(words[0]);
            std::atomic_ref<int>(words[3]).store(1);
          }
          return i;
        },
        contract::count_from(0, 100), {.chunk_size = 100});
    while (std::atomic_ref<int>(words[1]).load() + std::atomic_ref<int>(words[2]).load() < 2) {
      std::this_thread::yield();
    }
    CHECK(one.cancel());
    CHECK(many.cancel());
    if (!TestType::isolated) {
      CHECK_FALSE(one.ready());
      std::atomic_ref<int>(words[0]).store(1);
    }
    CHECK_THROWS_AS(one.get(), procyon::Cancelled);
    CHECK_THROWS_AS(many.get(), procyon::Cancelled);
    CHECK((words[3] == 0) == TestType::isolated);
    CHECK(pool.map([](int x) { return x; }, {1, 2, 3}) == std::vector{1, 2, 3});
  }
}

TEMPLATE_TEST_CASE("cancelling at any moment harms no other task", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(3);
  const std::size_t before = procyon::shared_heap().used();
  std::minstd_rand random(7);
  int wrong = 0;
  int cancelled = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<procyon::AsyncResult<std::string>> results;
    for (int i = 0; i < 20; ++i) {
      results.push_back(pool.apply_async([i] {
        std::string text;
        for (int n = 0; n < 300 * i; ++n) text += std::to_string(i);
        return text;
      }));
    }
    // Those behind one that has just ended are running.
    std::vector<bool> had_effect(results.size());
    for (const std::size_t ended : {3U, 8U, 13U}) {
      results[ended].wait_for(std::chrono::seconds(60));
      for (auto spin = random() % 50000; spin > 0; --spin) asm volatile("" ::: "memory");
      for (std::size_t victim = ended + 1; victim <= ended + 2; ++victim) {
        if (results[victim].cancel()) had_effect[victim] = true;
      }
    }
    for (std::size_t i = 0; i < results.size(); ++i) {
      std::string expected;
      for (std::size_t n = 0; n < 300 * i; ++n) expected += std::to_string(i);
      try {
        wrong += results[i].get() != expected || had_effect[i] ? 1 : 0;
      } catch (const procyon::Cancelled&) {
        wrong += had_effect[i] ? 0 : 1;
        ++cancelled;
      }
    }
  }
  CHECK(wrong == 0);
  if (std::is_same_v<TestType, procyon::SerialPool>) CHECK(cancelled == 0);
  CHECK(pool.apply([] { return 1; }) == 1);
  CHECK(procyon::shared_heap().used() <= before + 256 * 1024);
}

TEMPLATE_TEST_CASE("a result that is cancelled and dropped leaves nothing behind", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(2);
  for (int i = 0; i < 100; ++i) {
    auto dropped = pool.map_async([](int x) { return std::string(1000, static_cast<char>(x)); },
                                  contract::count_from(0, 20));
    if (i % 2 == 0) static_cast<void>(dropped.cancel());
  }
  pool.close();
  pool.join();
}
