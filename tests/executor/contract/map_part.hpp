// Contract: map over ranges of every kind.
#pragma once

#include <array>
#include <forward_list>
#include <list>
#include <ranges>
#include <sstream>
#include <string>
#include <vector>

#include "support.hpp"

TEMPLATE_TEST_CASE("map gives results in order for any number of items", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  for (const std::size_t count : {0U, 1U, 2U, 3U, 127U, 130U, 1000U, 100000U}) {
    const auto xs = contract::count_from(5, count);
    const std::vector<long> results = pool.map([](int x) { return 3L * x; }, xs);
    REQUIRE(results.size() == count);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < count; ++i) wrong += results[i] != 3L * xs[i] ? 1 : 0;
    CHECK(wrong == 0);
  }
}

TEMPLATE_TEST_CASE("map takes chunks of one item, of all, and of more than there are",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto xs = contract::count_from(0, 1000);
  std::vector<int> expected(xs);
  for (int& x : expected) x = x * x - 7;
  for (const std::size_t chunk : {1UL, 2UL, 3UL, 999UL, 1000UL, 1001UL, ~0UL}) {
    CHECK(pool.map([](int x) { return x * x - 7; }, xs, {.chunk_size = chunk}) == expected);
  }
}

TEMPLATE_TEST_CASE("map takes a list of values in braces", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  CHECK(pool.map([](int x) { return x + 1; }, {1, 2, 3}) == std::vector{2, 3, 4});
  CHECK(pool.map([](int x) { return x + 1; }, {5}, {.chunk_size = 2}) == std::vector{6});
  const auto lengths = pool.map([](const std::string& s) { return s.size(); },
                                {std::string("a"), std::string(1000, 'b'), std::string()});
  CHECK(lengths == std::vector<std::size_t>{1, 1000, 0});
}

TEMPLATE_TEST_CASE("map over several ranges ends with the shortest", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const std::vector<int> xs{1, 2, 3, 4};
  const std::list<double> ys{0.5, 0.25, 0.125};
  const std::vector<std::string> zs{"a", "b", "c", "d", "e"};
  CHECK(pool.map([](int x, double y) { return x * y; }, xs, ys) == std::vector{0.5, 0.5, 0.375});
  CHECK(pool.map([](double y, int x) { return x * y; }, ys, xs, {.chunk_size = 1}) ==
        std::vector{0.5, 0.5, 0.375});
  const auto joined =
      pool.map([](int x, double y,
                  const std::string& z) { return z + std::to_string(x) + (y > 0.3 ? "!" : ""); },
               xs, ys, zs);
  CHECK(joined == std::vector<std::string>{"a1!", "b2", "c3"});
  CHECK(pool.map([](int x, int y) { return x + y; }, xs, std::vector<int>{}).empty());
}

TEMPLATE_TEST_CASE("map takes lists, arrays, bits and deques", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto twice = [](int x) { return 2 * x; };
  const int plain[] = {1, 2, 3};
  CHECK(pool.map(twice, plain) == std::vector{2, 4, 6});
  CHECK(pool.map(twice, std::array{4, 5}) == std::vector{8, 10});
  CHECK(pool.map(twice, std::list{6, 7}) == std::vector{12, 14});
  CHECK(pool.map(twice, std::forward_list{8, 9}) == std::vector{16, 18});
  CHECK(pool.map(twice, std::deque{1, 0}) == std::vector{2, 0});
  CHECK(pool.map(twice, std::set{3, 1, 2}) == std::vector{2, 4, 6});
  const std::vector<bool> bits{true, false, true};
  CHECK(pool.map([](bool bit) { return !bit; }, bits) == std::vector<bool>{false, true, false});
  CHECK(pool.map([](bool bit) { return bit ? 1 : 0; }, bits) == std::vector{1, 0, 1});
}

TEMPLATE_TEST_CASE("map takes views: sized, unsized, read once, and not iterable as const",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto twice = [](int x) { return 2 * x; };
  CHECK(pool.map(twice, std::views::iota(1, 4)) == std::vector{2, 4, 6});
  CHECK(pool.map(twice, std::views::iota(1) | std::views::take(2)) == std::vector{2, 4});
  const auto thrice = [](std::size_t x) { return 3 * x; };
  CHECK(pool.map(thrice, std::views::iota(std::size_t{1}, std::size_t{3})) ==
        std::vector<std::size_t>{3, 6});
  std::vector<int> xs{1, 2, 3, 4};
  const auto is_even = [](int x) { return x % 2 == 0; };
  CHECK(pool.map(twice, xs | std::views::filter(is_even)) == std::vector{4, 8});
  CHECK(pool.map(twice, xs | std::views::reverse) == std::vector{8, 6, 4, 2});
  std::list<int> list{1, 2, 3};
  CHECK(pool.map(twice, list | std::views::drop(1)) == std::vector{4, 6});
  std::list<std::string> words{"a", "bb", "ccc"};
  CHECK(pool.map([](const std::string& s) { return s.size(); }, words | std::views::drop(1)) ==
        std::vector<std::size_t>{2, 3});
  std::istringstream text("7 8 9");
  CHECK(pool.map(twice, std::ranges::istream_view<int>(text)) == std::vector{14, 16, 18});
}

TEMPLATE_TEST_CASE("map leaves its arguments as they were", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  std::vector<std::string> words{std::string(100, 'a'), "b"};
  const auto copy = words;
  const auto consume = [](std::string word) {
    word += 'x';
    return word;
  };
  CHECK(pool.map(consume, words) == std::vector<std::string>{copy[0] + 'x', "bx"});
  CHECK(words == copy);
}

TEMPLATE_TEST_CASE("map of a function without a result returns nothing and runs every item",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const procyon::Array<int> seen(100);
  const auto mark = [seen](int i) { seen[static_cast<std::size_t>(i)] += 1; };
  static_assert(std::is_void_v<decltype(pool.map(mark, contract::count_from(0, 100)))>);
  pool.map(mark, contract::count_from(0, 100));
  CHECK(std::ranges::count(seen, 1) == 100);
}

TEMPLATE_TEST_CASE("starmap spreads tuples and pairs over the parameters", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const std::vector<std::tuple<int, double, char>> triples{{1, 0.5, 'a'}, {2, 0.25, 'b'}};
  const auto join = [](int i, double d, char c) {
    return std::string(1, c) + std::to_string(i * d);
  };
  CHECK(pool.starmap(join, triples) == std::vector<std::string>{"a0.500000", "b0.500000"});
  const std::vector<std::pair<std::string, int>> pairs{{"x", 3}, {"yz", 2}};
  const auto repeat = [](const std::string& s, int n) {
    std::string all;
    for (int i = 0; i < n; ++i) all += s;
    return all;
  };
  CHECK(pool.starmap(repeat, pairs, {.chunk_size = 1}) == std::vector<std::string>{"xxx", "yzyz"});
  CHECK(
      pool.starmap([](int a, int b) { return a - b; }, std::vector<std::pair<int, int>>{}).empty());
}
