// Contract: results that come later.
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

TEMPLATE_TEST_CASE("ten thousand outstanding results are right when fetched in reverse",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  std::vector<procyon::AsyncResult<int>> results;
  for (int i = 0; i < 10000; ++i) results.push_back(pool.apply_async([i] { return 3 * i; }));
  int wrong = 0;
  for (int i = 10000; i-- > 0;) {
    wrong += results[static_cast<std::size_t>(i)].get() != 3 * i ? 1 : 0;
  }
  CHECK(wrong == 0);
}

TEMPLATE_TEST_CASE("results that nobody fetches leave nothing behind", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  const std::size_t before = procyon::shared_heap().used();
  {
    auto pool = contract::make_pool<TestType>();
    for (int i = 0; i < 3000; ++i) {
      static_cast<void>(pool.apply_async([i] { return std::string(1000, static_cast<char>(i)); }));
    }
    CHECK(pool.apply([] { return 1; }) == 1);
  }
  CHECK(procyon::shared_heap().used() == before);
}

TEMPLATE_TEST_CASE("map_async and starmap_async copy what they are given", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  std::optional<procyon::AsyncResult<std::vector<int>>> squares;
  std::optional<procyon::AsyncResult<std::vector<std::size_t>>> lengths;
  std::optional<procyon::AsyncResult<std::vector<int>>> sums;
  {
    auto xs = contract::count_from(0, 5000);
    squares.emplace(pool.map_async([](int x) { return x * x; }, xs, {.chunk_size = 3}));
    std::vector<std::string> words(100, std::string(100, 'w'));
    lengths.emplace(pool.map_async([](const std::string& w) { return w.size(); }, words));
    std::vector<std::pair<int, int>> pairs(50, {2, 3});
    sums.emplace(pool.starmap_async([](int a, int b) { return a + b; }, pairs));
    xs.assign(5000, -1);
    words.assign(100, "");
    pairs.assign(50, {0, 0});
  }
  CHECK(squares->get()[4999] == 4999 * 4999);
  CHECK(lengths->get() == std::vector<std::size_t>(100, 100));
  CHECK(sums->get() == std::vector<int>(50, 5));
}

TEMPLATE_TEST_CASE("an asynchronous call without a result can be waited for", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const procyon::Array<int> seen(3);
  const procyon::AsyncResult<void> one = pool.apply_async([seen] { seen[0] = 1; });
  const procyon::AsyncResult<void> all =
      pool.map_async([seen](std::size_t i) { seen[i] = 2; }, std::vector<std::size_t>{1, 2});
  one.get();
  one.get();
  all.wait();
  all.get();
  CHECK(one.successful());
  CHECK(seen[0] == 1);
  CHECK(seen[2] == 2);
}

TEMPLATE_TEST_CASE("a result can be read again, and moved out once", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  auto result = pool.apply_async([] { return std::string(100, 'r'); });
  CHECK(result.get() == std::string(100, 'r'));
  CHECK(&result.get() == &result.get());
  auto moved = std::move(result);
  CHECK(moved.get().size() == 100);
  const std::string text = std::move(moved).get();
  CHECK(text == std::string(100, 'r'));
}

TEMPLATE_TEST_CASE("ready and successful tell a task that failed from one that did not",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto good = pool.apply_async([] { return 1; });
  const auto bad = pool.apply_async([]() -> int { throw std::domain_error("no"); });
  good.wait();
  bad.wait();
  CHECK(good.ready());
  CHECK(bad.ready());
  CHECK(good.successful());
  CHECK_FALSE(bad.successful());
  CHECK_THROWS_AS(bad.get(), std::domain_error);
  CHECK_THROWS_AS(bad.get(), std::domain_error);
  CHECK(bad.wait_for(std::chrono::seconds(0)));
}

TEMPLATE_TEST_CASE("a wait that runs out leaves the result to be fetched", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  if constexpr (std::is_same_v<TestType, procyon::SerialPool>) {
    SUCCEED("a SerialPool has run the task before there is anything to wait for");
  } else {
    auto pool = contract::make_pool<TestType>();
    const procyon::Array<int> gate(1);
    const auto result = pool.apply_async([gate] {
      const std::atomic_ref<int> open(gate[0]);
      while (open.load() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return 7;
    });
    CHECK_THROWS_AS(result.get(std::chrono::milliseconds(20)), procyon::TimeoutError);
    CHECK_THROWS_AS(result.get(std::chrono::nanoseconds(0)), procyon::TimeoutError);
    CHECK_THROWS_AS(result.get(std::chrono::seconds(-1)), procyon::TimeoutError);
    CHECK_FALSE(result.wait_for(std::chrono::microseconds(100)));
    CHECK_FALSE(result.ready());
    CHECK_THROWS_AS(result.successful(), procyon::Error);
    std::atomic_ref<int>(gate[0]).store(1);
    CHECK(result.get(std::chrono::hours::max()) == 7);
    CHECK(result.get(std::chrono::nanoseconds(0)) == 7);
    CHECK(result.wait_for(std::chrono::years(1000)));
  }
}

TEMPLATE_TEST_CASE("several threads may hand in tasks at once", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&pool, &wrong, t] {
        for (int i = 0; i < 100; ++i) {
          if (pool.apply([](int a, int b) { return a * b; }, t, i) != t * i) ++wrong;
          const auto later = pool.apply_async([i] { return std::to_string(i); });
          const auto doubled = pool.map([](int x) { return 2 * x; }, contract::count_from(t, 100));
          if (doubled[99] != 2 * (t + 99) || later.get() != std::to_string(i)) ++wrong;
        }
      });
    }
  }
  CHECK(wrong == 0);
}

TEMPLATE_TEST_CASE("a result dropped while its task runs does no harm", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const procyon::Array<int> ran(20);
  for (std::size_t i = 0; i < 20; ++i) {
    static_cast<void>(pool.apply_async([ran, i] {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ran[i] = 1;
      return std::string(5000, 'd');
    }));
  }
  pool.close();
  pool.join();
  CHECK(std::ranges::count(ran, 1) == 20);
}

TEMPLATE_TEST_CASE("tasks handed in one after the other begin while there are workers",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  if constexpr (std::is_same_v<TestType, procyon::SerialPool>) {
    SUCCEED("a SerialPool runs one after the other");
  } else {
    auto pool = contract::make_pool<TestType>(2);
    const auto meet = [](procyon::Array<int> here, std::size_t self) {
      std::atomic_ref<int>(here[self]).store(1);
      const std::atomic_ref<int> other(here[1 - self]);
      for (int i = 0; i < 3000 && other.load() == 0; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(i < 10 ? 0 : 1));
      }
      return other.load() == 1;
    };
    constexpr int rounds = is_sanitized ? 60 : 300;
    int met = 0;
    for (int round = 0; round < rounds && met == round; ++round) {
      const procyon::Array<int> here(2);
      const auto one = pool.apply_async(meet, here, 0);
      const auto other = pool.apply_async(meet, here, 1);
      met += one.get() && other.get() ? 1 : 0;
    }
    CHECK(met == rounds);
  }
}

TEMPLATE_TEST_CASE("a result that was moved from says so, whatever it is asked", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  procyon::AsyncResult<int> from = pool.apply_async([] { return 3; });
  procyon::AsyncResult<int> result = std::move(from);
  CHECK(result.valid());
  CHECK_FALSE(from.valid());  // NOLINT(bugprone-use-after-move)
  CHECK_THROWS_AS(from.get(), std::future_error);
  CHECK_THROWS_AS(from.get(std::chrono::seconds(1)), std::future_error);
  CHECK_THROWS_AS(std::move(from).get(), std::future_error);
  CHECK_THROWS_AS(from.wait(), std::future_error);
  CHECK_THROWS_AS(from.wait_for(std::chrono::seconds(1)), std::future_error);
  CHECK_THROWS_AS(from.ready(), std::future_error);
  CHECK_THROWS_AS(from.successful(), std::future_error);
  CHECK_THROWS_AS(from.cancel(), std::future_error);
  CHECK_THROWS_AS(from.on_success([](int) {}), std::future_error);
  CHECK_THROWS_AS(from.on_error([](const std::exception&) {}), std::future_error);
  std::vector<procyon::AsyncResult<int>> some;
  some.push_back(std::move(from));
  CHECK_THROWS_AS(procyon::as_completed(some).begin(), std::future_error);
  CHECK(result.get() == 3);
  from = std::move(result);
  CHECK(from.get() == 3);
}
