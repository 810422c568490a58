// Contract: what travels as argument and result.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "support.hpp"

namespace contract {

struct Person {
  std::string name;
  std::vector<double> scores;
  std::optional<int> age;
  bool operator==(const Person&) const = default;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, scores, age);
  }
};

struct Grid {
  std::array<double, 64> cells;
  char mark;
};

/// Not in a CHECK each: that would compile a printer for every type.
template <class P, class T>
bool comes_back(P& pool, const T& value) {
  const auto same = [](const T& x) { return x; };
  return pool.apply(same, value) == value &&
         pool.map(same, std::vector<T>{value, value}) == std::vector<T>{value, value};
}

}  // namespace contract

TEMPLATE_TEST_CASE("strings of every length travel whole", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  for (const std::size_t length : {0U, 1U, 15U, 16U, 319U, 320U, 5000U, 3U << 20}) {
    CHECK(contract::comes_back(pool, std::string(length, 'x')));
  }
  CHECK(contract::comes_back(pool, std::string("with\0zeros\0", 11)));
}

TEMPLATE_TEST_CASE("vectors of numbers, of strings, of bits and of vectors travel whole",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  CHECK(contract::comes_back(pool, std::vector<double>()));
  CHECK(contract::comes_back(pool, std::vector<double>{1.5, -2.5}));
  CHECK(contract::comes_back(pool, std::vector<double>(200000, 0.1)));
  CHECK(contract::comes_back(pool, std::vector<std::string>{"", "a", std::string(1000, 'b')}));
  CHECK(contract::comes_back(pool, std::vector<bool>{true, false, true}));
  CHECK(contract::comes_back(pool, std::vector<std::vector<int>>{{}, {1}, {2, 3}}));
}

TEMPLATE_TEST_CASE("pairs, tuples, optionals, arrays, variants and maps travel whole",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  CHECK(contract::comes_back(pool, std::pair(1, 2.5)));
  CHECK(contract::comes_back(pool, std::pair(std::string(50, 'p'), 'c')));
  CHECK(contract::comes_back(pool, std::tuple(1, 'c', 2.5F)));
  CHECK(contract::comes_back(pool, std::tuple(1, std::string(50, 't'), std::vector{1, 2})));
  CHECK(contract::comes_back(pool, std::optional<int>()));
  CHECK(contract::comes_back(pool, std::optional<std::string>(std::string(40, 'o'))));
  CHECK(contract::comes_back(pool, std::array{1, 2, 3}));
  CHECK(contract::comes_back(pool, std::array<std::string, 2>{"a", std::string(40, 'b')}));
  CHECK(contract::comes_back(pool, std::variant<int, std::string>("variant")));
  using Deep = std::map<std::string, std::vector<std::map<int, std::string>>>;
  CHECK(contract::comes_back(pool, Deep{{"a", {{{1, "x"}}, {}}}, {"b", {}}}));
  CHECK(contract::comes_back(pool, std::unordered_map<int, double>{{1, 2.0}, {3, 4.0}}));
}

TEMPLATE_TEST_CASE("a type with a serialize member travels whole", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const contract::Person ada{"Ada Lovelace, Countess of Lovelace", {1, 2.5}, 36};
  CHECK(contract::comes_back(pool, ada));
  CHECK(contract::comes_back(pool, std::vector<contract::Person>{ada, {}, {"B", {}, {}}}));
  const auto older = [](contract::Person person) {
    if (person.age) ++*person.age;
    return person;
  };
  CHECK(pool.map(older, std::vector{ada})[0].age == 37);
}

TEMPLATE_TEST_CASE("a trivially copyable struct travels as bytes", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  contract::Grid grid{};
  grid.cells[63] = 2.5;
  const auto mark = [](contract::Grid g, char c) {
    g.mark = c;
    return g;
  };
  const contract::Grid marked = pool.apply(mark, grid, 'm');
  CHECK(marked.mark == 'm');
  CHECK(marked.cells[63] == 2.5);
  const std::vector<contract::Grid> grids(100, grid);
  const auto all = pool.map([](const contract::Grid& g) { return g; }, grids);
  CHECK(std::ranges::all_of(all, [](const auto& g) { return g.cells[63] == 2.5; }));
}

TEMPLATE_TEST_CASE("arguments and results of megabytes travel whole", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  constexpr std::size_t size = 5 << 20;
  const auto make = [](std::size_t n) {
    std::string text(n, 'z');
    text.back() = 'e';
    return text;
  };
  for (int round = 0; round < 3; ++round) {
    const std::string text = pool.apply(make, size);
    REQUIRE(text.size() == size);
    CHECK(text.back() == 'e');
    CHECK(pool.apply([](const std::string& s) { return s.size(); }, text) == size);
  }
  const auto blocks =
      pool.map([](int i) { return std::vector<int>(1 << 18, i); }, contract::count_from(0, 12));
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    wrong += blocks[i] != std::vector<int>(1 << 18, static_cast<int>(i)) ? 1 : 0;
  }
  CHECK(wrong == 0);
}

TEMPLATE_TEST_CASE("a long array captured by value travels with the callable", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  std::array<int, 100000> table{};
  table[99999] = 7;
  CHECK(pool.apply([table](std::size_t i) { return table[i]; }, std::size_t{99999}) == 7);
}

TEMPLATE_TEST_CASE("a type that can only be moved travels as a result", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  struct Ticket {
    int number = 0;
    std::string text;
    Ticket() = default;
    explicit Ticket(int n) : number(n), text(100, 't') {}
    Ticket(Ticket&&) = default;
    Ticket& operator=(Ticket&&) = default;
    void save(cereal::BinaryOutputArchive& archive) const { archive(number, text); }
    void load(cereal::BinaryInputArchive& archive) { archive(number, text); }
  };
  auto pool = contract::make_pool<TestType>();
  CHECK(pool.apply([](int n) { return Ticket(n); }, 3).number == 3);
  const auto tickets = pool.map([](int n) { return Ticket(n); }, {1, 2});
  CHECK(tickets[1].number == 2);
  CHECK(tickets[1].text.size() == 100);
  CHECK(pool.apply([](const Ticket& ticket) { return ticket.number; }, Ticket(4)) == 4);
  CHECK(pool.apply_async([](int n) { return Ticket(n); }, 5).get().number == 5);
}

TEMPLATE_TEST_CASE("closures of address-like numbers are never refused", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  int on_stack = 0;
  const auto heap = std::make_unique<int>(0);
  const auto like_stack = reinterpret_cast<std::uintptr_t>(&on_stack);
  const auto like_heap = reinterpret_cast<std::uintptr_t>(heap.get());
  std::size_t wrong = 0;
  for (std::uintptr_t i = 0; i < 10000; ++i) {
    const std::uintptr_t a = like_stack + 8 * (i % 100);
    const std::uintptr_t b = like_heap + 16 * (i % 50);
    const bool flag = i % 2 == 0;
    const auto f = [a, flag, b](std::uintptr_t x) { return flag ? a + x : b + x; };
    // A padded closure, in memory that is full of addresses.
    alignas(decltype(f)) unsigned char memory[sizeof f];
    std::fill_n(reinterpret_cast<std::uintptr_t*>(memory), sizeof memory / sizeof a, like_stack);
    const auto& copy = *new (memory) auto(f);
    wrong += pool.apply(copy, i) != (flag ? a : b) + i ? 1 : 0;
  }
  CHECK(wrong == 0);
}
