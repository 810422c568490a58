// Contract: try_map, and what takes several ranges and options.
#pragma once

#include <exception>
#include <list>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

TEMPLATE_TEST_CASE("try_map gives every item its result or its own failure", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  for (const std::size_t chunk : {0UL, 1UL, 7UL, 5000UL}) {
    const auto outcomes = pool.try_map(
        [](int x) {
          if (x % 3 == 1) throw std::out_of_range("no " + std::to_string(x));
          return 2 * x;
        },
        contract::count_from(0, 1000), {.chunk_size = chunk});
    static_assert(std::is_same_v<decltype(outcomes), const std::vector<procyon::Outcome<int>>>);
    REQUIRE(outcomes.size() == 1000);
    int wrong = 0;
    for (int i = 0; i < 1000; ++i) {
      const auto& outcome = outcomes[static_cast<std::size_t>(i)];
      wrong += outcome.has_value() == (i % 3 == 1) ? 1 : 0;
      wrong += outcome.has_value() == (outcome.error() != nullptr) ? 1 : 0;
      if (outcome) {
        wrong += outcome.value() != 2 * i ? 1 : 0;
      } else {
        const auto error = contract::caught<std::out_of_range>([&] { outcome.value(); });
        wrong += error.what() != "no " + std::to_string(i) ? 1 : 0;
      }
    }
    CHECK(wrong == 0);
  }
}

TEMPLATE_TEST_CASE("a failure in try_map tells its item and its first attempt", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto outcomes =
      pool.try_map([](int x) -> int { throw std::runtime_error(std::to_string(x)); }, {5, 6, 7});
  for (std::size_t i = 0; i < 3; ++i) {
    try {
      std::rethrow_exception(outcomes[i].error());
    } catch (const std::runtime_error& error) {
      const procyon::Where* place = procyon::where(error);
      REQUIRE(place != nullptr);
      CHECK(place->item() == i);
      CHECK(place->attempt() == 1);
    }
  }
}

TEMPLATE_TEST_CASE("try_map keeps strings, numbers of nothing, and nothing at all", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  auto texts = pool.try_map(
      [](int x) {
        if (x == 1) throw std::domain_error("one");
        return std::string(100, static_cast<char>('a' + x));
      },
      {0, 1, 2});
  CHECK(texts[0].value() == std::string(100, 'a'));
  CHECK_THROWS_AS(texts[1].value(), std::domain_error);
  const std::string moved = std::move(texts[2]).value();
  CHECK(moved == std::string(100, 'c'));
  CHECK(pool.try_map([](int x) { return x; }, std::vector<int>()).empty());

  const procyon::Array<int> ran(600);
  const auto nothing = pool.try_map(
      [ran](int i) {
        ran[static_cast<std::size_t>(i)] += 1;
        if (i == 3) throw std::runtime_error("three");
      },
      contract::count_from(0, 600));
  static_assert(std::is_same_v<decltype(nothing), const std::vector<procyon::Outcome<void>>>);
  CHECK(std::ranges::count(ran, 1) == 600);
  CHECK(nothing[3].error() != nullptr);
  CHECK_NOTHROW(nothing[4].value());
  CHECK_THROWS_AS(nothing[3].value(), std::runtime_error);
}

TEMPLATE_TEST_CASE("try_map on a pool that ends meanwhile gives PoolClosed, and what was done",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  if constexpr (std::is_same_v<TestType, procyon::SerialPool>) {
    SUCCEED("nobody ends a SerialPool that runs");
  } else {
    auto pool = contract::make_pool<TestType>(2);
    const procyon::Array<int> begun(1);
    std::jthread ender([&pool, begun] {
      while (std::atomic_ref<int>(begun[0]).load() < 20) std::this_thread::yield();
      pool.terminate();
    });
    const auto outcomes = pool.try_map(
        [begun](int x) {
          std::atomic_ref<int>(begun[0]).fetch_add(1);
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          return x;
        },
        contract::count_from(0, 5000), {.chunk_size = 5});
    int done = 0;
    int wrong = 0;
    for (int i = 0; i < 5000; ++i) {
      const auto& outcome = outcomes[static_cast<std::size_t>(i)];
      try {
        wrong += outcome.value() != i ? 1 : 0;
        ++done;
      } catch (const procyon::PoolClosed&) {
      }
    }
    CHECK(wrong == 0);
    CHECK(done >= 10);
    CHECK(done < 5000);
  }
}

TEMPLATE_TEST_CASE("a callable that was never seen before fails no more than itself", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  pool.close();
  CHECK_THROWS_AS(pool.try_map([](int x) { return x; }, {1}), procyon::PoolClosed);
}

TEMPLATE_TEST_CASE("any number of ranges may be zipped, with options or without", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const std::vector<int> a{1, 2, 3, 4};
  const std::list<double> b{0.5, 1.5, 2.5};
  const std::vector<std::string> c{"x", "y", "z", "!"};
  const auto join = [](int i, double d, const std::string& s) { return s + std::to_string(i * d); };
  const std::vector<std::string> joined{"x0.500000", "y3.000000", "z7.500000"};
  CHECK(pool.map(join, a, b, c) == joined);
  CHECK(pool.map(join, a, b, c, procyon::MapOptions{.chunk_size = 1}) == joined);
  const auto sum = [](int p, int q, int r, int s, int t) { return p + q + r + s + t; };
  CHECK(pool.map(sum, a, a, a, a, a) == std::vector{5, 10, 15, 20});
  const procyon::MapOptions options{.chunk_size = 3};
  CHECK(pool.map(sum, a, a, a, a, a, options) == std::vector{5, 10, 15, 20});
  const auto product = [](int p, double q) { return p * q; };
  CHECK(pool.map(product, a, b, {.chunk_size = 2}) == std::vector{0.5, 3.0, 7.5});
  const auto tried = pool.try_map(product, a, b, {.chunk_size = 2});
  CHECK(tried.at(2).value() == 7.5);
  CHECK(pool.try_map(join, a, b, c, options).at(1).value() == joined[1]);
  const procyon::Array<double> seen(4);
  pool.for_each([seen](int i, double d) { seen[static_cast<std::size_t>(i)] = d; }, a, b);
  CHECK(seen[3] == 2.5);
  pool.for_each([seen](int i, int j, int k) { seen[static_cast<std::size_t>(i - 1)] = j + k; }, a,
                a, a, options);
  CHECK(seen[3] == 8);
}
