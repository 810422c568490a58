// Contract: apply, for_each, for_index, map_into, and what can be called.
#pragma once

#include <array>
#include <cmath>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <procyon/shm/npy.hpp>

#include "support.hpp"

namespace contract {

inline int add(int a, int b) { return a + b; }

struct Polynomial {
  std::array<double, 3> coefficients;
  double operator()(double x) const {
    return coefficients[0] + x * (coefficients[1] + x * coefficients[2]);
  }
  double at_two() const { return (*this)(2); }
};

}  // namespace contract

TEMPLATE_TEST_CASE("apply calls a function, a lambda, an object and a member", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  CHECK(pool.apply(contract::add, 2, 3) == 5);
  CHECK(pool.apply(&contract::add, 4, 3) == 7);
  CHECK(pool.apply([] { return 42; }) == 42);
  const int base = 10;
  CHECK(pool.apply([base](int x, short y) { return base + x * y; }, 3, short{2}) == 16);
  const contract::Polynomial square{{1, 2, 3}};
  CHECK(pool.apply(square, 2.0) == 17);
  CHECK(pool.apply(&contract::Polynomial::at_two, square) == 17);
  CHECK(pool.apply(std::plus<>(), 1, 2) == 3);
  CHECK(pool.map(square, std::vector{0.0, 1.0}) == std::vector{1.0, 6.0});
}

TEMPLATE_TEST_CASE("results come without reference and const", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  struct Id {
    const int& operator()(const int& x) const { return x; }
  };
  static_assert(std::is_same_v<decltype(pool.apply(Id(), 3)), int>);
  static_assert(std::is_same_v<decltype(pool.map(Id(), std::vector<int>())), std::vector<int>>);
  struct Text {
    const std::string operator()() const {
      return "text";
    }  // NOLINT(readability-const-return-type)
  };
  static_assert(std::is_same_v<decltype(pool.apply(Text())), std::string>);
  CHECK(pool.apply(Id(), 3) == 3);
  CHECK(pool.map(Id(), std::vector{1, 2}) == std::vector{1, 2});
  CHECK(pool.apply(Text()) == "text");
  static_assert(std::is_void_v<decltype(pool.apply([] {}))>);
  pool.apply([] {});
}

TEMPLATE_TEST_CASE("a mutable lambda is copied for each task", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  int calls = 0;
  auto counter = [calls](int) mutable { return ++calls; };
  CHECK(pool.map(counter, contract::count_from(0, 50)) == std::vector<int>(50, 1));
  CHECK(pool.apply(counter, 0) == 1);
}

TEMPLATE_TEST_CASE("a callable gets an argument of its own where it asks for one", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto grow = [](std::string&& text) {
    text += "!";
    return std::move(text);
  };
  CHECK(pool.apply(grow, std::string("hey")) == "hey!");
  CHECK(pool.map(grow, std::vector<std::string>{"a", "b"}) == std::vector<std::string>{"a!", "b!"});
  CHECK(pool.map([](int&& x) { return ++x; }, std::vector{1, 2}) == std::vector{2, 3});
}

TEMPLATE_TEST_CASE("for_each runs every item, and so does for_index", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  for (const std::size_t count : {0U, 1U, 2U, 1000U, 20000U}) {
    const procyon::Array<int> seen(count + 1);
    pool.for_index(count, [seen](std::size_t i) { seen[i] += 1; });
    pool.for_each([seen](int i) { seen[static_cast<std::size_t>(i)] += 2; },
                  contract::count_from(0, count), {.chunk_size = 7});
    CHECK(std::ranges::count(seen, 3) == static_cast<std::ptrdiff_t>(count));
    CHECK(seen[count] == 0);
  }
}

TEMPLATE_TEST_CASE("for_index gives each item to a worker once, whatever the chunks", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  for (const std::size_t chunk : {1UL, 3UL, 64UL, 5000UL}) {
    const procyon::Array<int> seen(3000);
    pool.for_index(3000, [seen](std::size_t i) { seen[i] += 1; }, {.chunk_size = chunk});
    CHECK(std::ranges::count(seen, 1) == 3000);
  }
}

TEMPLATE_TEST_CASE("map_into writes results where they belong, also over its input", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const procyon::Array<double> in(std::vector<double>{1, 4, 9, 16, 25});
  const procyon::Array<float> out(7, -1.0F);
  pool.map_into([](double x) { return static_cast<float>(std::sqrt(x)); }, in, out);
  CHECK(std::vector<float>(out.begin(), out.end()) == std::vector<float>{1, 2, 3, 4, 5, -1, -1});
  pool.map_into([](double x) { return x + 1; }, in, in, {.chunk_size = 1});
  CHECK(std::vector<double>(in.begin(), in.end()) == std::vector<double>{2, 5, 10, 17, 26});
  pool.map_into([](double x) { return -x; }, in.span().subspan(3), in.span().first(2));
  CHECK(std::vector<double>(in.begin(), in.end()) == std::vector<double>{-17, -26, 10, 17, 26});
  const procyon::Array<double> nothing;
  pool.map_into([](double x) { return x; }, nothing, nothing);
}

TEMPLATE_TEST_CASE("map_into refuses an output that lies in a mapped file, which would be a fault",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto file = procyon::load_npy<float>(PROCYON_TEST_DATA "/dct8.npy");
  const procyon::Array<float> out(file.data.size());
  const auto twice = [](float x) { return 2 * x; };
  CHECK_THROWS_WITH(pool.map_into(twice, out, file.data),
                    Catch::Contains("out lies in a file") && Catch::Contains("data.clone()"));
  CHECK_THROWS_AS(pool.map_into(twice, file.data, file.data), std::invalid_argument);
  pool.map_into(twice, file.data, out);
  CHECK(out[0] == 2 * file.data[0]);
}

TEMPLATE_TEST_CASE("map_into refuses an output that is too short, before it writes any of it",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const procyon::Array<int> in(5, 7);
  const procyon::Array<int> out(4);
  const auto error = contract::caught<std::invalid_argument>(
      [&] { pool.map_into([](int x) { return x; }, in, out); });
  CHECK(std::string(error.what()).find("out has 4 elements") != std::string::npos);
  CHECK(std::ranges::count(out, 0) == 4);
}

TEMPLATE_TEST_CASE("tasks read and write a captured Array", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const procyon::Array<double> numbers(std::vector<double>{1, 2, 3});
  const auto sum = [numbers] {
    double total = 0;
    for (const double x : numbers) total += x;
    numbers[0] = total;
    return total;
  };
  CHECK(pool.apply(sum) == 6);
  CHECK(numbers[0] == 6);
  const procyon::Array<double> result = pool.apply([numbers] { return numbers.clone(); });
  CHECK(std::vector<double>(result.begin(), result.end()) == std::vector<double>{6, 2, 3});
  const auto first = [](const procyon::Array<double>& array) { return array[0]; };
  CHECK(pool.apply(first, numbers) == 6);
  CHECK(pool.map(first, std::vector{numbers, numbers}) == std::vector{6.0, 6.0});
}
