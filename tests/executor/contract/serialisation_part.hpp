// Contract: serialisation, and what it does when it fails.
#pragma once

#include <cereal/types/chrono.hpp>
#include <cereal/types/memory.hpp>

#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "support.hpp"

namespace contract {

/// With free functions, and no serialisation of its own.
struct Free {
  std::string name;
  int number = 0;
  bool operator==(const Free&) const = default;
};
template <class Archive>
void save(Archive& archive, const Free& value) {
  archive(value.name, value.number);
}
template <class Archive>
void load(Archive& archive, Free& value) {
  archive(value.name, value.number);
}

/// Trivially copyable, and yet serialised in a way of its own where it is a part.
struct Custom {
  int number = 0;
  bool operator==(const Custom&) const = default;
};
template <class Archive>
void save(Archive& archive, const Custom& value) {
  archive(value.number + 1);
}
template <class Archive>
void load(Archive& archive, Custom& value) {
  archive(value.number);
}

/// cereal knows nothing of it, and need not.
struct Point {
  double x = 0;
  char mark = 0;
  bool operator==(const Point&) const = default;
};
enum class Colour : short { red = 1, green = -2 };

/// Not trivially copyable, and its user says that its bytes are all of it.
struct Bytes {
  int number = 0;
  Bytes() = default;
  explicit Bytes(int n) : number(n) {}
  Bytes(const Bytes& other) : number(other.number) {}
  Bytes& operator=(const Bytes& other) {
    number = other.number;
    return *this;
  }
  ~Bytes() { number = -1; }
  bool operator==(const Bytes& other) const { return number == other.number; }
};

/// Throws when it is saved or loaded with one of these numbers.
struct Failing {
  static constexpr int when_saved = -1;
  static constexpr int when_loaded = -2;
  int number = 0;
  std::string text = std::string(100, 'f');
  Failing() = default;
  Failing(int n) : number(n) {}  // NOLINT(google-explicit-constructor)
  bool operator==(const Failing&) const = default;
  template <class Archive>
  void save(Archive& archive) const {
    archive(text);
    if (number == when_saved) throw std::range_error("cannot be saved");
    archive(number);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(text, number);
    if (number == when_loaded) throw std::range_error("cannot be loaded");
  }
};

/// By a map only, and not in a CHECK each: other calls, and printers, would be compiled for every
/// type.
template <class P, class T>
bool travels(P& pool, const T& value) {
  const auto same = [](const T& x) { return x; };
  return pool.map(same, std::vector<T>{value, value}) == std::vector<T>{value, value};
}

/// By every kind of call.
template <class P, class T>
bool travels_everywhere(P& pool, const T& value) {
  const auto same = [](const T& x) { return x; };
  return pool.apply(same, value) == value && travels(pool, value) &&
         pool.map_async(same, std::list<T>{value}).get() == std::vector<T>{value};
}

}  // namespace contract

template <>
struct procyon::is_bytewise<contract::Bytes> : std::true_type {};

TEMPLATE_TEST_CASE("user's types of every kind travel, alone and in containers", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  using contract::travels;
  auto pool = contract::make_pool<TestType>();
  const contract::Free with_functions{std::string(50, 'n'), 5};
  CHECK(contract::travels_everywhere(pool, with_functions));
  CHECK(travels(pool, std::vector{with_functions, contract::Free{}}));
  CHECK(travels(pool, contract::Bytes(7)));
  CHECK(travels(pool, std::vector{contract::Bytes(7), contract::Bytes(8)}));
  CHECK(travels(pool, contract::Colour::green));
  CHECK(travels(pool, std::vector{contract::Colour::green, contract::Colour::red}));
  const contract::Point point{2.5, 'p'};
  CHECK(contract::travels_everywhere(pool, point));
  CHECK(travels(pool, std::vector{point, point, contract::Point{}}));
  CHECK(travels(pool, std::map<std::string, std::vector<contract::Point>>{{"a", {point}}}));
  CHECK(travels(pool, std::pair(std::string(40, 's'), point)));
  CHECK(travels(pool, std::variant<std::string, contract::Point>(point)));
  CHECK(travels(pool, std::vector<std::pair<int, double>>{{1, 2.5}}));
  CHECK(travels(pool, std::vector<std::array<int, 3>>{{1, 2, 3}}));
  CHECK(travels(pool, std::vector<std::optional<contract::Point>>{point, std::nullopt}));
}

TEMPLATE_TEST_CASE("a user's own save and load go before the bytes", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto number = [](const std::vector<contract::Custom>& all) { return all[0].number; };
  CHECK(pool.apply(number, std::vector<contract::Custom>{{5}}) == (TestType::isolated ? 6 : 5));
}

TEMPLATE_TEST_CASE("types of the standard library travel", CONTRACT_TAGS, CONTRACT_POOLS) {
  using contract::travels;
  using namespace std::chrono_literals;
  auto pool = contract::make_pool<TestType>();
  CHECK(travels(pool, std::chrono::nanoseconds(5s)));
  CHECK(travels(pool, std::vector{1ms, 2ms}));
  CHECK(travels(pool, std::chrono::system_clock::time_point(77s)));
  CHECK(travels(pool, std::string("with\0zeros\0", 11)));
  CHECK(travels(pool, std::vector<std::string>{std::string("\0", 1), std::string(1000, '\0')}));
  CHECK(travels(pool, std::vector<bool>(1001, true)));
  CHECK(travels(pool, std::vector<std::vector<bool>>{{true}, {}, {false, true}}));
  CHECK(travels(pool, std::variant<int, std::string, std::vector<int>>(std::vector{1, 2})));
  CHECK(travels(pool, std::map<std::string, std::vector<int>>{{"one", {1}}, {"none", {}}}));
  CHECK(travels(pool, std::map<int, std::map<int, std::vector<std::string>>>{{1, {{2, {"x"}}}}}));
  CHECK(travels(pool, true));
  CHECK(pool.map([](int i) { return i % 2 == 0; }, {1, 2}) == std::vector<bool>{false, true});
  CHECK(pool.map([](bool b) { return !b; }, std::vector<bool>{true, false}) ==
        std::vector<bool>{false, true});
}

TEMPLATE_TEST_CASE("what can only be moved travels as argument and as result", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  using Owner = std::unique_ptr<std::string>;
  const auto length = [](const Owner& owner) { return owner ? owner->size() : 0; };
  auto pool = contract::make_pool<TestType>();
  const auto make = [](int n) { return std::make_unique<std::string>(std::size_t(n), 'o'); };
  CHECK(*pool.apply(make, 300) == std::string(300, 'o'));
  CHECK(pool.apply(length, make(40)) == 40);
  const auto own = [](Owner owner) { return owner->size(); };
  CHECK(pool.apply(own, make(40)) == 40);
  const std::vector<Owner> made = pool.map(make, {1, 2, 3});
  CHECK(*made[2] == "ooo");
  CHECK(pool.map(length, made) == std::vector<std::size_t>{1, 2, 3});
  std::list<Owner> list;
  list.push_back(make(7));
  list.push_back(nullptr);
  CHECK(pool.map(length, list) == std::vector<std::size_t>{7, 0});
  CHECK(*list.front() == "ooooooo");
  CHECK(pool.map_async(length, std::move(list)).get() == std::vector<std::size_t>{7, 0});
  std::vector<Owner> given;
  given.push_back(make(9));
  CHECK(pool.map_async(length, std::move(given)).get() == std::vector<std::size_t>{9});
  CHECK(pool.map(own, pool.map(make, {4, 5})) == std::vector<std::size_t>{4, 5});
  CHECK(pool.map_async(own, pool.map(make, {6})).get() == std::vector<std::size_t>{6});
  CHECK(pool.apply_async(make, 5).get()->size() == 5);
}

TEMPLATE_TEST_CASE("sixteen mebibytes travel there and back", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(2);
  constexpr std::size_t size = 16 << 20;
  std::string text(size, 'a');
  for (std::size_t i = 0; i < size; i += 4096) text[i] = static_cast<char>(i >> 12);
  const auto same = [](std::string s) { return s; };
  CHECK((pool.apply(same, text) == text));
  const std::vector<double> numbers(size / sizeof(double), 0.5);
  const auto doubled = [](std::vector<double> all) {
    for (double& x : all) x *= 2;
    return all;
  };
  const auto results = pool.map(doubled, std::vector{numbers, numbers});
  CHECK((results[0] == std::vector<double>(numbers.size(), 1.0)));
  CHECK((results[1] == results[0]));
}

TEMPLATE_TEST_CASE("a value that cannot be saved or loaded fails its own task alone", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  using contract::Failing;
  auto pool = contract::make_pool<TestType>();
  const auto settled = [] { return procyon::shared_heap().used(); };
  std::size_t used = 0;
  for (int round = 0; round < 60; ++round) {
    for (const int number : {Failing::when_saved, Failing::when_loaded}) {
      const procyon::Array<int> ran(4);
      const auto take = [ran](const Failing& value) {
        ran[static_cast<std::size_t>(value.number < 0 ? 3 : value.number)] = 1;
        return value.number;
      };
      const auto give = [number](int i) { return i == 2 ? Failing(number) : Failing(i); };
      const std::vector<Failing> some{0, 1, number};
      if constexpr (TestType::isolated) {
        const auto text = number == Failing::when_saved ? "cannot be saved" : "cannot be loaded";
        CHECK_THROWS_MATCHES(pool.map(take, some), std::range_error, Catch::Message(text));
        CHECK(ran[0] + ran[1] == 2);
        CHECK_THROWS_MATCHES(pool.apply(take, some[2]), std::range_error, Catch::Message(text));
        CHECK_THROWS_AS(pool.apply_async(take, some[2]).get(), std::range_error);
        CHECK_THROWS_AS(pool.map(give, {0, 1, 2}), std::range_error);
        CHECK_THROWS_AS(pool.apply(give, 2), std::range_error);
        CHECK_THROWS_AS(pool.map_async(give, std::vector{1, 2, 3}).get(), std::range_error);
      } else {
        CHECK(pool.map(take, some) == std::vector{0, 1, number});
        CHECK(pool.map(give, {0, 1, 2})[2].number == number);
      }
      CHECK(pool.map(take, std::vector<Failing>{0, 1}) == std::vector{0, 1});
    }
    if (round == 20) used = settled();
  }
  CHECK(settled() <= used + (64 << 10));
}

TEMPLATE_TEST_CASE("the failure of an argument tells its item", CONTRACT_TAGS, CONTRACT_POOLS) {
  if constexpr (TestType::isolated) {
    auto pool = contract::make_pool<TestType>();
    const std::vector<contract::Failing> all{0, contract::Failing::when_saved, 2};
    const auto take = [](const contract::Failing& value) { return value.number; };
    const auto error = contract::caught<procyon::Where>([&] { pool.map(take, all); });
    CHECK(error.item() == 1);
    CHECK(error.attempt() == 1);
  }
}
