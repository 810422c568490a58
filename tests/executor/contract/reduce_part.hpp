// Contract: reduce and map_reduce.
#pragma once

#include <cmath>
#include <functional>
#include <list>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "support.hpp"

namespace contract {

/// Numbers whose sum shows in its last bits how they were grouped.
inline std::vector<double> rough_numbers(std::size_t count) {
  std::mt19937_64 random(42);
  std::vector<double> numbers(count);
  for (double& x : numbers) {
    x = std::ldexp(static_cast<double>(random() >> 11U), static_cast<int>(random() % 60U) - 80);
  }
  return numbers;
}

}  // namespace contract

TEMPLATE_TEST_CASE("reduce combines every element once, whatever their number", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  for (const std::size_t count : {0U, 1U, 2U, 3U, 4U, 5U, 99U, 100U, 101U, 10000U, 123457U}) {
    const auto xs = contract::count_from(1, count);
    const long sum = pool.reduce(std::plus<>(), 1000L, xs);
    CHECK(sum == 1000L + std::accumulate(xs.begin(), xs.end(), 0L));
  }
  CHECK(pool.reduce(std::multiplies<>(), 2, {3, 4, 5}) == 120);
}

TEMPLATE_TEST_CASE("reduce keeps the order of its elements, init being the first", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  std::list<std::string> words;
  std::string expected = "<";
  for (int i = 0; i < 500; ++i) {
    words.push_back(std::to_string(i) + ",");
    expected += words.back();
  }
  CHECK(pool.reduce(std::plus<>(), std::string("<"), words) == expected);
  const auto decorated = pool.map_reduce([](int x) { return std::to_string(x); }, std::plus<>(),
                                         std::string(), std::vector{7, 8, 9});
  CHECK(decorated == "789");
  const auto larger = [](long a, long b) { return a > b ? a : b; };
  CHECK(pool.map_reduce([](int x) { return x * x; }, larger, -1L, std::vector{3, -9, 4}) == 81);
}

TEMPLATE_TEST_CASE("a sum is the same bit for bit on any pool of any size", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  procyon::SerialPool reference;
  auto small = contract::make_pool<TestType>(1);
  auto large = contract::make_pool<TestType>(7);
  const auto plus = [](double a, double b) { return a + b; };
  for (const std::size_t count : {1U, 10U, 1000U, 54321U}) {
    const auto xs = contract::rough_numbers(count);
    const double expected = reference.reduce(plus, 0.25, xs);
    CHECK(small.reduce(plus, 0.25, xs) == expected);
    CHECK(large.reduce(plus, 0.25, xs) == expected);
    CHECK(large.map_reduce([](double x) { return x * x; }, plus, 0.25, xs) ==
          reference.map_reduce([](double x) { return x * x; }, plus, 0.25, xs));
  }
  const auto xs = contract::rough_numbers(54321);
  CHECK(reference.reduce(plus, 0.25, xs) != std::accumulate(xs.begin(), xs.end(), 0.25));
}

TEMPLATE_TEST_CASE("a failure in map_reduce is that of the lowest element", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto fail = [](int x) {
    if (x >= 777) throw std::domain_error(std::to_string(x));
    return x;
  };
  const auto error = contract::caught<std::domain_error>(
      [&] { pool.map_reduce(fail, std::plus<>(), 0, contract::count_from(0, 3000)); });
  CHECK(std::string(error.what()) == "777");
  const auto clash = [](int, int) -> int { throw std::logic_error("clash"); };
  CHECK_THROWS_AS(pool.reduce(clash, 0, {1}), std::logic_error);
  CHECK(pool.reduce(clash, 5, std::vector<int>()) == 5);
  pool.close();
  CHECK_THROWS_AS(pool.reduce(std::plus<>(), 0, {1}), procyon::PoolClosed);
  CHECK_THROWS_AS(pool.reduce(std::plus<>(), 0, std::vector<int>()), procyon::PoolClosed);
}
