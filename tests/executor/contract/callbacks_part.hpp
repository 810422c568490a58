// Contract: callbacks of results.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

TEMPLATE_TEST_CASE("a callback gets the result, or the failure, and never both", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  std::string text;
  int errors = 0;
  int nothings = 0;
  auto good = pool.apply_async([] { return std::string(100, 'g'); });
  good.on_success([&](const std::string& value) { text = value; }).on_error([&](auto) {
    ++errors;
  });
  CHECK(good.get() == std::string(100, 'g'));
  CHECK(text == std::string(100, 'g'));
  CHECK(errors == 0);
  auto bad = pool.apply_async([]() -> int { throw std::domain_error("bad"); });
  bad.on_success([&](int) { text = "wrong"; });
  bad.on_error([&](const std::exception_ptr& error) {
    CHECK_THROWS_AS(std::rethrow_exception(error), std::domain_error);
    ++errors;
  });
  bad.on_error([&](const std::exception& error) { errors += error.what() == std::string("bad"); });
  CHECK_THROWS_AS(bad.get(), std::domain_error);
  CHECK(errors == 2);
  CHECK(text == std::string(100, 'g'));
  auto nothing = pool.map_async([](int) {}, std::vector{1, 2}).on_success([&] { ++nothings; });
  nothing.get();
  CHECK(nothings == 1);
}

TEMPLATE_TEST_CASE("callbacks run in their order, on one thread that is not the caller's",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  std::vector<int> order;
  std::vector<std::thread::id> threads;
  std::vector<procyon::AsyncResult<int>> results;
  for (int i = 0; i < 100; ++i) results.push_back(pool.apply_async([i] { return i; }));
  for (auto& result : results) {
    for (int n = 0; n < 3; ++n) {
      result.on_success([&, n](int i) {
        order.push_back(10 * i + n);
        threads.push_back(std::this_thread::get_id());
      });
    }
  }
  for (auto& result : results) result.get();
  REQUIRE(order.size() == 300);
  CHECK(threads.front() != std::this_thread::get_id());
  std::vector<int> of_one;
  std::ranges::copy_if(order, std::back_inserter(of_one), [](int x) { return x / 10 == 42; });
  CHECK(of_one == std::vector{420, 421, 422});
}

TEMPLATE_TEST_CASE("a callback added after the end runs too, and sees what get gave", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  auto result = pool.apply_async([] { return std::string(50, 'x'); });
  const std::string* seen = &result.get();
  const std::string* told = nullptr;
  result.on_success([&told](const std::string& value) { told = &value; });
  CHECK(&result.get() == seen);
  CHECK(told == seen);
  CHECK(std::move(result).get() == std::string(50, 'x'));
}

TEMPLATE_TEST_CASE("what a callback throws is told by get, and hurts nothing else", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  int later = 0;
  auto result = pool.apply_async([] { return 1; });
  result.on_success([](int) { throw std::out_of_range("the callback"); });
  result.on_success([&later](int value) { later = value; });
  auto other = pool.apply_async([] { return 2; });
  other.on_success([&later](int value) { later += value; });
  CHECK_THROWS_AS(result.get(), std::out_of_range);
  CHECK_THROWS_AS(result.get(std::chrono::seconds(60)), std::out_of_range);
  CHECK(other.get() == 2);
  CHECK(later == 3);
  CHECK(result.successful());
  auto failed = pool.apply_async([]() -> int { throw std::domain_error("the task"); });
  failed.on_error([](auto) { throw 5; });
  CHECK_THROWS_AS(failed.get(), int);
  CHECK(pool.apply([] { return 3; }) == 3);
}

TEMPLATE_TEST_CASE("callbacks run when the result is moved, dropped, or cancelled", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(1);
  std::atomic<int> ran = 0;
  const procyon::Array<int> gate(1);
  const auto task = [gate] {
    const std::atomic_ref<int> open(gate[0]);
    for (int i = 0; i < 60000 && open.load() == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return 1;
  };
  if (std::is_same_v<TestType, procyon::SerialPool>) gate[0] = 1;
  pool.apply_async(task).on_success([&ran](int value) { ran += value; });
  auto first = pool.apply_async(task).on_success([&ran](int value) { ran += value; });
  auto moved = std::move(first);
  auto cancelled = pool.apply_async(task);
  std::atomic<int> told = 0;
  cancelled.on_success([&told](int) { told = 1; });
  cancelled.on_error([&told](const std::exception&) { told = 2; });
  const bool effect = cancelled.cancel();
  std::atomic_ref<int>(gate[0]).store(1);
  CHECK(moved.get() == 1);
  while (ran < 2) std::this_thread::yield();
  if (effect) {
    CHECK_THROWS_AS(cancelled.get(), procyon::Cancelled);
    CHECK(told == 2);
  } else {
    CHECK(cancelled.get() == 1);
    CHECK(told == 1);
  }
}

TEMPLATE_TEST_CASE("a pool that ends lets the callbacks of its tasks hear PoolClosed",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  std::atomic<int> closed = 0;
  std::atomic<int> done = 0;
  {
    auto pool = contract::make_pool<TestType>(2);
    for (int i = 0; i < 200; ++i) {
      auto result =
          pool.apply_async([] { std::this_thread::sleep_for(std::chrono::microseconds(500)); });
      result.on_success([&done] { ++done; });
      result.on_error([&closed](const std::exception_ptr& error) {
        CHECK_THROWS_AS(std::rethrow_exception(error), procyon::PoolClosed);
        ++closed;
      });
    }
  }
  while (closed + done < 200) std::this_thread::yield();
  CHECK((closed > 0) == !std::is_same_v<TestType, procyon::SerialPool>);
}

TEMPLATE_TEST_CASE("a callback may hand in tasks, add callbacks, and end the pool", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = std::make_unique<TestType>();
  std::optional<procyon::AsyncResult<int>> second;
  std::atomic<int> seen = 0;
  auto first = pool->apply_async([] { return 1; });
  first.on_success([&](int) {
    second.emplace(pool->apply_async([] { return 2; }));
    second->on_success([&](int value) { seen = value; });
  });
  first.get();
  CHECK(second->get() == 2);
  CHECK(seen == 2);
  auto last = pool->apply_async([] { return 3; });
  last.on_success([&](int) { pool.reset(); });
  CHECK(last.get() == 3);
  CHECK(pool == nullptr);
}
