// Contract: imap and imap_unordered.
#pragma once

#include <algorithm>
#include <chrono>
#include <iterator>
#include <list>
#include <memory>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

namespace contract {

/// 0, 1, 2, ... to be read once; reading `end` ends it, and reading `fail_at` throws.
class Source {
 public:
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using difference_type = std::ptrdiff_t;
    using value_type = int;
    explicit iterator(Source& source) : source_(&source) { read(); }
    iterator(iterator&&) = default;
    iterator& operator=(iterator&&) = default;
    int operator*() const { return source_->now_; }
    iterator& operator++() {
      ++source_->now_;
      read();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return source_->now_ == source_->end_; }

   private:
    void read() const {
      if (source_->now_ == source_->fail_at_) throw std::domain_error("the source");
      ++source_->read_;
    }
    Source* source_;
  };
  explicit Source(int end = -1, int fail_at = -1) : end_(end), fail_at_(fail_at) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  iterator begin() { return iterator(*this); }
  std::default_sentinel_t end() const { return std::default_sentinel; }
  int count_read() const { return read_; }

 private:
  int now_ = 0;
  int read_ = 0;
  int end_;
  int fail_at_;
};

inline int twice(int x) { return 2 * x; }

/// What a view gives until it throws an E or ends.
template <class E, class View>
std::vector<int> results_until(View&& view, bool& thrown) {
  std::vector<int> results;
  thrown = false;
  try {
    for (int result : view) results.push_back(result);
  } catch (const E&) {
    thrown = true;
  }
  return results;
}

}  // namespace contract

TEMPLATE_TEST_CASE("imap gives results in order, imap_unordered all of them", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  static_assert(std::ranges::input_range<decltype(pool.imap(contract::twice, std::vector{1}))>);
  static_assert(std::ranges::view<decltype(pool.imap(contract::twice, std::vector{1}))>);
  for (const std::size_t chunk : {0UL, 1UL, 7UL, 1000UL}) {
    for (const int count : {0, 1, 2, 13, 500}) {
      std::vector<int> expected;
      for (int i = 0; i < count; ++i) expected.push_back(2 * i);
      std::vector<int> ordered;
      for (const int result :
           pool.imap(contract::twice, std::views::iota(0, count), {.chunk_size = chunk})) {
        ordered.push_back(result);
      }
      CHECK(ordered == expected);
      std::vector<int> unordered;
      const auto xs = contract::count_from(0, static_cast<std::size_t>(count));
      for (const int result : pool.imap_unordered(contract::twice, xs, {.chunk_size = chunk})) {
        unordered.push_back(result);
      }
      std::ranges::sort(unordered);
      CHECK(unordered == expected);
    }
  }
}

TEMPLATE_TEST_CASE("imap reads endless arguments no further than a few chunks ahead", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(3);
  const int most = static_cast<int>(2 * pool.size());
  for (const int chunk : {1, 5}) {
    contract::Source source;
    auto view = pool.imap(contract::twice, source, {.chunk_size = static_cast<std::size_t>(chunk)});
    CHECK(source.count_read() == 0);
    int given = 0;
    for (const int result : view) {
      REQUIRE(result == 2 * given);
      ++given;
      REQUIRE(source.count_read() <= given + (most + 1) * chunk);
      if (given == 100) break;
    }
    contract::Source other;
    int seen = 0;
    for (const int result : pool.imap_unordered(contract::twice, other)) {
      REQUIRE(result % 2 == 0);
      if (++seen == 100) break;
    }
  }
}

TEMPLATE_TEST_CASE("imap takes what can be read only once, and what it alone owns", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  std::istringstream text("3 4 5");
  std::vector<int> doubled;
  std::ranges::copy(pool.imap(contract::twice, std::ranges::istream_view<int>(text)),
                    std::back_inserter(doubled));
  CHECK(doubled == std::vector{6, 8, 10});
  std::vector<std::string> decorated;
  for (std::string& each :
       pool.imap([](const std::string& s) { return s + s; }, std::list<std::string>{"a", "b"})) {
    decorated.push_back(std::move(each));
  }
  CHECK(decorated == std::vector<std::string>{"aa", "bb"});
  int sum = 0;
  for (const int each : pool.imap(contract::twice, {1, 2, 3})) sum += each;
  CHECK(sum == 12);
  const procyon::Array<int> seen(3);
  std::size_t count = 0;
  for (auto&& nothing :
       pool.imap([seen](int i) { seen[static_cast<std::size_t>(i)] = 1; }, {0, 1, 2})) {
    static_cast<void>(nothing);
    ++count;
  }
  CHECK(count == 3);
  CHECK(std::ranges::count(seen, 1) == 3);
}

TEMPLATE_TEST_CASE("a task that fails in imap fails at its place, and imap goes on", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  for (const std::size_t chunk : {1UL, 4UL}) {
    auto view = pool.imap(
        [](int x) {
          if (x % 5 == 3) throw std::out_of_range(std::to_string(x));
          return x;
        },
        contract::count_from(0, 20), {.chunk_size = chunk});
    int at = 0;
    auto it = view.begin();
    for (; it != view.end(); ++it, ++at) {
      if (at % 5 == 3) {
        const auto error = contract::caught<std::out_of_range>([&] { *it; });
        CHECK(std::string(error.what()) == std::to_string(at));
      } else {
        CHECK(*it == at);
      }
    }
    CHECK(at == 20);
  }
  auto unordered = pool.imap_unordered(
      [](int x) -> int { throw std::logic_error(std::to_string(x)); }, {1, 2, 3});
  int failures = 0;
  for (auto it = unordered.begin(); it != unordered.end(); ++it) {
    CHECK_THROWS_AS(*it, std::logic_error);
    ++failures;
  }
  CHECK(failures == 3);
}

TEMPLATE_TEST_CASE("arguments that throw do so behind the results of those before them",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  for (const int fail_at : {0, 1, 6, 8, 50}) {
    for (const std::size_t chunk : {1UL, 4UL}) {
      INFO("at " << fail_at << ", chunks of " << chunk);
      std::vector<int> expected;
      for (int i = 0; i < fail_at; ++i) expected.push_back(2 * i);
      bool thrown = false;
      contract::Source source(-1, fail_at);
      CHECK(contract::results_until<std::domain_error>(
                pool.imap(contract::twice, source, {.chunk_size = chunk}), thrown) == expected);
      CHECK(thrown);
      contract::Source other(-1, fail_at);
      auto unordered = contract::results_until<std::domain_error>(
          pool.imap_unordered(contract::twice, other, {.chunk_size = chunk}), thrown);
      std::ranges::sort(unordered);
      CHECK(unordered == expected);
      CHECK(thrown);
    }
  }
  contract::Source source(-1, 2);
  auto view = pool.imap(contract::twice, source);
  auto it = view.begin();
  ++it;
  ++it;
  CHECK_THROWS_AS(*it, std::domain_error);
  ++it;
  CHECK(it == view.end());
  CHECK(pool.apply(contract::twice, 4) == 8);
}

TEMPLATE_TEST_CASE("a view that is dropped early leaves no task behind", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(2);
  const procyon::Array<int> counts(2);
  const auto count = [counts](int) {
    std::atomic_ref<int>(counts[0]).fetch_add(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic_ref<int>(counts[1]).fetch_add(1);
    return std::string(500, 's');
  };
  for (int round = 0; round < 10; ++round) {
    contract::Source source;
    auto view = pool.imap(count, source, {.chunk_size = 3});
    auto moved = std::move(view);
    CHECK(*moved.begin() == std::string(500, 's'));
  }
  if (!TestType::isolated) CHECK(counts[0] == counts[1]);
  CHECK(pool.apply(contract::twice, 1) == 2);
  pool.close();
  pool.join();
  CHECK(counts[0] == counts[1]);
}

TEMPLATE_TEST_CASE("the end of its pool ends an imap with PoolClosed", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>();
  contract::Source source;
  auto view = pool.imap(contract::twice, source);
  auto it = view.begin();
  CHECK(*it == 0);
  pool.terminate();
  const auto drain = [&] {
    for (;; ++it) static_cast<void>(*it);
  };
  CHECK_THROWS_AS(drain(), procyon::PoolClosed);
  int closed = 0;
  for (; it != view.end(); ++it) {
    REQUIRE(closed < 100);
    CHECK_THROWS_AS(*it, procyon::PoolClosed);
    ++closed;
  }
  CHECK_THROWS_AS(pool.imap(contract::twice, {1}), procyon::PoolClosed);
}

TEMPLATE_TEST_CASE("a view outlives its pool", CONTRACT_TAGS, CONTRACT_POOLS) {
  contract::Source source;
  const auto make = [&source] {
    auto pool = contract::make_pool<TestType>();
    auto view = pool.imap_unordered(contract::twice, source);
    CHECK(*view.begin() % 2 == 0);
    return view;
  };
  auto view = make();
  bool thrown = false;
  contract::results_until<procyon::PoolClosed>(view, thrown);
  CHECK(thrown);
}
