// Contract: whose the arguments are: moved where they are given, kept where they are lent.
#pragma once

#include <cereal/types/memory.hpp>

#include <atomic>
#include <chrono>
#include <list>
#include <memory>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "support.hpp"

namespace contract {

inline std::vector<std::unique_ptr<int>> boxes(int count) {
  std::vector<std::unique_ptr<int>> all;
  for (int i = 0; i < count; ++i) all.push_back(std::make_unique<int>(i));
  return all;
}

/// Cannot be copied, and is bytes all the same.
struct Ticket {
  explicit Ticket(int n = 0) : number(n) {}
  Ticket(Ticket&&) = default;
  Ticket& operator=(Ticket&&) = default;
  int number;
};

}  // namespace contract

TEMPLATE_TEST_CASE("a callable may take an argument that cannot be copied", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto value = [](std::unique_ptr<int> box) { return *box; };
  CHECK(pool.apply(value, std::make_unique<int>(7)) == 7);
  CHECK(pool.apply_async(value, std::make_unique<int>(8)).get() == 8);
  const auto seen = [](const std::unique_ptr<int>& box, int x) { return *box + x; };
  CHECK(pool.apply(seen, std::make_unique<int>(7), 2) == 9);
  CHECK(pool.apply([](contract::Ticket ticket) { return ticket.number; }, contract::Ticket(5)) ==
        5);
  const auto back =
      pool.apply([](std::unique_ptr<int> box) { return box; }, std::make_unique<int>(3));
  CHECK(*back == 3);
  const auto count = [](std::vector<std::unique_ptr<int>>&& all) { return all.size(); };
  CHECK(pool.apply(count, contract::boxes(4)) == 4);
}

TEMPLATE_TEST_CASE("elements that cannot be copied come from a container that is given",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto value = [](std::unique_ptr<int> box) { return *box; };
  const auto expected = contract::count_from(0, 100);
  CHECK(pool.map(value, contract::boxes(100)) == expected);
  CHECK(pool.map_async(value, contract::boxes(100)).get() == expected);
  std::list<std::unique_ptr<int>> list;
  for (int i = 0; i < 100; ++i) list.push_back(std::make_unique<int>(i));
  CHECK(pool.map(value, std::move(list)) == expected);
  std::vector<std::pair<std::unique_ptr<int>, int>> pairs;
  for (int i = 0; i < 100; ++i) pairs.emplace_back(std::make_unique<int>(i), 2);
  const auto first = [](std::unique_ptr<int> box, int two) { return *box * two / 2; };
  CHECK(pool.starmap(first, std::move(pairs)) == expected);
}

TEMPLATE_TEST_CASE("a container that is lent keeps its elements", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const std::string word(100, 'w');
  std::vector<std::string> words(50, word);
  const auto size = [](std::string&& text) { return std::string(std::move(text)).size(); };
  const std::vector<std::size_t> sizes(50, 100);
  CHECK(pool.map(size, words) == sizes);
  CHECK(pool.map_async(size, words).get() == sizes);
  CHECK(pool.map(size, std::views::all(words)) == sizes);
  CHECK(words == std::vector<std::string>(50, word));
}

TEMPLATE_TEST_CASE("map_async holds what a temporary in shared memory held", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(1);
  const procyon::Array<int> gate(1);
  const auto blocker = pool.apply_async([gate] {
    const std::atomic_ref<int> open(gate[0]);
    while (!std::is_same_v<TestType, procyon::SerialPool> && open.load() == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const auto same = [](int x) { return x; };
  const auto xs = contract::count_from(0, 100000);
  const auto array = pool.map_async(same, procyon::Array<int>(xs));
  const auto vector = pool.map_async(same, procyon::shared_vector<int>(xs.begin(), xs.end()));
  // What was freed is used again.
  const procyon::Array<int> other(100000, -1);
  const procyon::shared_vector<int> another(100000, -1);
  std::atomic_ref<int>(gate[0]).store(1);
  CHECK((array.get() == xs));
  CHECK((vector.get() == xs));
}

TEMPLATE_TEST_CASE("more elements than a job has items are refused before any memory is asked for",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto same = [](std::size_t x) { return x; };
  for (const unsigned bits : {40U, 61U, 63U}) {
    const auto many = std::views::iota(std::size_t{0}, std::size_t{1} << bits);
    CHECK_THROWS_WITH(pool.map(same, many), Catch::Matchers::Contains("2^40"));
    CHECK_THROWS_AS(pool.map_async(same, many), std::invalid_argument);
    CHECK_THROWS_AS(pool.for_each([](std::size_t) {}, many), std::invalid_argument);
    CHECK_THROWS_AS(pool.for_index(std::size_t{1} << bits, [](std::size_t) {}),
                    std::invalid_argument);
  }
  CHECK(pool.map(same, std::views::iota(std::size_t{0}, std::size_t{3})).size() == 3);
}

TEMPLATE_TEST_CASE("the shortest range ends a map, whatever the others are", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  const auto add = [](int x, std::size_t i) { return x + static_cast<int>(i); };
  const auto xs = contract::count_from(0, 100);
  std::vector<int> twice(100);
  for (int i = 0; i < 100; ++i) twice[static_cast<std::size_t>(i)] = 2 * i;
  CHECK(pool.map(add, xs, std::views::iota(std::size_t{0})) == twice);
  CHECK(pool.map(add, xs, std::views::iota(std::size_t{0}, std::size_t{1} << 61)) == twice);
  const auto add_back = [](std::size_t i, int x) { return x + static_cast<int>(i); };
  CHECK(pool.map(add_back, std::views::iota(std::size_t{0}), xs) == twice);
  std::istringstream text("0 1 2 3 4");
  CHECK(pool.map(add_back, std::views::iota(std::size_t{0}),
                 std::ranges::istream_view<int>(text)) == std::vector{0, 2, 4, 6, 8});
  const auto length = [](const std::string& word, int x) { return word.size() + std::size_t(x); };
  const std::vector<std::string> words(3, "word");
  CHECK(pool.map(length, words, xs) == std::vector<std::size_t>{4, 5, 6});
  CHECK(pool.map(length, std::vector<std::string>(200, "word"), xs).size() == 100);
  CHECK_THROWS_WITH(pool.map([](int x) { return x; }, std::views::iota(0)),
                    Catch::Matchers::Contains("without an end"));
}

TEMPLATE_TEST_CASE("a pool is made from a number or from options, whatever its kind", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  TestType number(2);
  TestType options(procyon::PoolOptions{.processes = 2});
  CHECK(number.size() == options.size());
  CHECK(number.size() == (std::is_same_v<TestType, procyon::SerialPool> ? 1 : 2));
}
