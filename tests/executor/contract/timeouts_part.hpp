// Contract: time limits of tasks.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

namespace contract {

using namespace std::chrono_literals;

/// Far more than a quick item takes, also on a slow machine.
constexpr std::chrono::nanoseconds limit = 600ms;

/// Past the limit: for ever where that ends it, and else a little.
template <class P>
void take_too_long() {
  std::this_thread::sleep_for(P::isolated ? std::chrono::nanoseconds(60s) : limit + 100ms);
}

template <class P>
int late_at_three(int i) {
  if (i == 3) take_too_long<P>();
  return 10 * i;
}

}  // namespace contract

TEMPLATE_TEST_CASE("an item that takes too long fails alone, and is named", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(2);
  const auto items = contract::count_from(0, 6);
  const procyon::MapOptions options{.chunk_size = 2, .timeout = contract::limit};
  const auto late = &contract::late_at_three<TestType>;
  const auto error =
      contract::caught<procyon::TaskTimeout>([&] { pool.map(late, items, options); });
  CHECK(std::string(error.what()) == "item 3 ran longer than its time limit of 0.6 s (attempt 1)");
  const auto place = contract::caught<procyon::Where>([&] { pool.map(late, items, options); });
  CHECK(place.item() == 3);
  const auto outcomes = pool.try_map(late, items, options);
  for (int i = 0; i < 6; ++i) {
    const auto& outcome = outcomes[static_cast<std::size_t>(i)];
    CHECK(outcome.has_value() == (i != 3));
    if (i != 3) CHECK(outcome.value() == 10 * i);
  }
  CHECK_THROWS_AS(outcomes[3].value(), procyon::TaskTimeout);
  CHECK(pool.map([](int i) { return i; }, items) == items);
}

TEMPLATE_TEST_CASE("a worker without a time limit is left alone when another is killed",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(2);
  const auto patient = pool.apply_async([] {
    std::this_thread::sleep_for(contract::limit + contract::limit / 2);
    return 5;
  });
  const auto late = [](int) { contract::take_too_long<TestType>(); };
  CHECK_THROWS_AS(pool.for_each(late, {1}, {.timeout = contract::limit}), procyon::TaskTimeout);
  CHECK(patient.get() == 5);
}

TEMPLATE_TEST_CASE("the limit of a pool holds for every call that has none of its own",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  using procyon::TaskTimeout;
  TestType pool({.processes = 2, .task_timeout = contract::limit});
  const auto late = [] { contract::take_too_long<TestType>(); };
  CHECK_THROWS_AS(pool.apply(late), TaskTimeout);
  CHECK_THROWS_AS(pool.apply_async(late).get(), TaskTimeout);
  const auto combine = [](int a, int b) {
    if (b == 7) contract::take_too_long<TestType>();
    return a + b;
  };
  CHECK_THROWS_AS(pool.reduce(combine, 0, contract::count_from(0, 9)), TaskTimeout);
  const auto slow = [](int i) {
    std::this_thread::sleep_for(contract::limit + std::chrono::milliseconds(50));
    return i;
  };
  CHECK(pool.map(slow, {1, 2}, {.timeout = std::chrono::hours(1)}) == std::vector{1, 2});
}

TEMPLATE_TEST_CASE("time limits count items, however they travel", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(1);
  const auto nap = [](int i) {
    std::this_thread::sleep_for(contract::limit / 5);
    return i;
  };
  const auto items = contract::count_from(0, 8);
  CHECK(pool.map(nap, items, {.chunk_size = 8, .timeout = contract::limit}) == items);
}

TEMPLATE_TEST_CASE("imap gives what was in time, and the failure of what was not", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(2);
  const auto late = &contract::late_at_three<TestType>;
  auto results = pool.imap(late, contract::count_from(0, 6), {.timeout = contract::limit});
  std::vector<int> all;
  for (auto at = results.begin(); at != results.end(); ++at) {
    try {
      all.push_back(*at);
    } catch (const procyon::TaskTimeout&) {
      all.push_back(-1);
    }
  }
  CHECK(all == std::vector{0, 10, 20, -1, 40, 50});
}

TEMPLATE_TEST_CASE("what a late item of a thread threw says more than that it was late",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  if constexpr (!TestType::isolated) {
    auto pool = contract::make_pool<TestType>(1);
    const auto fail = [](int) {
      contract::take_too_long<TestType>();
      throw std::domain_error("late and wrong");
    };
    CHECK_THROWS_AS(pool.for_each(fail, {1}, {.timeout = contract::limit}), std::domain_error);
  }
}

TEMPLATE_TEST_CASE("a negative time limit is refused, and named", CONTRACT_TAGS, CONTRACT_POOLS) {
  using Catch::Message;
  using std::chrono::nanoseconds;
  CHECK_THROWS_MATCHES(TestType({.processes = 1, .task_timeout = nanoseconds(-5)}),
                       std::invalid_argument,
                       Message("task_timeout = -5 ns: must be positive, or 0 for no limit"));
  auto pool = contract::make_pool<TestType>(1);
  const procyon::MapOptions options{.timeout = nanoseconds(-1)};
  const auto same = [](int i) { return i; };
  CHECK_THROWS_AS(pool.map(same, {1}, options), std::invalid_argument);
  CHECK_THROWS_AS(pool.imap(same, {1}, options), std::invalid_argument);
}
