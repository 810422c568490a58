// One item's crash never costs another item's result.
#include <csignal>
#include <random>
#include <string>
#include <vector>

#include "processes.hpp"

using procyon::Array;
using procyon::Pool;
using procyon::WorkerCrashed;

namespace {

/// Whether the outcome is the crash of this item, on its first attempt where that is asked for.
template <class R>
bool is_crash_of(const procyon::Outcome<R>& outcome, std::size_t item, bool at_first = true) {
  if (outcome.has_value()) return false;
  try {
    outcome.value();
  } catch (const WorkerCrashed& error) {
    return error.item() == item && error.signal() == SIGKILL && (!at_first || error.attempt() == 1);
  }
  return false;
}

}  // namespace

TEST_CASE("items that crash cost no other item of their chunk", "[process]") {
  Pool pool(2);
  for (const std::size_t chunk : {1UL, 10UL, 40UL}) {
    const auto outcomes = pool.try_map(
        [](int x) {
          if (x % 10 == 0 || x == 39) ::kill(getpid(), SIGKILL);
          if (x % 10 == 1) throw std::runtime_error("odd");
          return std::string(50, static_cast<char>('a' + x % 26));
        },
        std::views::iota(0, 40), {.chunk_size = chunk});
    REQUIRE(outcomes.size() == 40);
    for (std::size_t i = 0; i < 40; ++i) {
      INFO("item " << i << " of chunks of " << chunk);
      if (i % 10 == 0 || i == 39) {
        CHECK(is_crash_of(outcomes[i], i));
      } else if (i % 10 == 1) {
        CHECK_THROWS_AS(outcomes[i].value(), std::runtime_error);
      } else {
        CHECK(outcomes[i].value() == std::string(50, static_cast<char>('a' + i % 26)));
      }
    }
  }
}

TEST_CASE("a crash in a batch of cheap items costs that item only", "[process]") {
  Pool pool(2);
  constexpr int count = 300000;
  const auto outcomes = pool.try_map(
      [](int x) {
        if (x % 100000 == 77777) ::kill(getpid(), SIGKILL);
        if (x % 100000 == 77770) throw std::runtime_error("near");
        return 2 * x;
      },
      std::views::iota(0, count));
  int wrong = 0;
  for (int i = 0; i < count; ++i) {
    const auto& outcome = outcomes[static_cast<std::size_t>(i)];
    if (i % 100000 == 77777) {
      wrong += is_crash_of(outcome, static_cast<std::size_t>(i), false) ? 0 : 1;
    } else if (i % 100000 == 77770) {
      wrong += outcome.has_value() ? 1 : 0;
    } else {
      wrong += outcome.has_value() && outcome.value() == 2 * i ? 0 : 1;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("try_map of items without results runs each of them at most once", "[process]") {
  Pool pool(2);
  const Array<int> runs(50000);
  const auto outcomes = pool.try_map(
      [runs](int i) {
        std::atomic_ref<int>(runs[static_cast<std::size_t>(i)]).fetch_add(1);
        if (i % 20000 == 500) ::kill(getpid(), SIGKILL);
      },
      std::views::iota(0, 50000));
  CHECK(std::ranges::count(runs, 1) == 50000);
  CHECK(std::ranges::count_if(outcomes, [](const auto& each) { return !each.has_value(); }) == 3);
  CHECK(is_crash_of(outcomes[500], 500));
}

TEST_CASE("workers killed at random cost an item each at most", "[process]") {
  Pool pool(3);
  std::mt19937 random(99);
  int wrong = 0;
  int lost = 0;
  int kills = 0;
  for (int round = 0; round < 10; ++round) {
    std::atomic<bool> over = false;
    std::jthread killer([&] {
      const auto workers = processes::workers_of(pool);
      for (const pid_t worker : workers) {
        if (over) return;
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
        ::kill(worker, SIGKILL);
        ++kills;
      }
    });
    const auto outcomes = pool.try_map(
        [](int x) {
          std::string text;
          for (int n = 0; n < 300; ++n) text += std::to_string(x);
          return text;
        },
        std::views::iota(0, 600), {.chunk_size = 20});
    over = true;
    killer.join();
    for (int i = 0; i < 600; ++i) {
      std::string expected;
      for (int n = 0; n < 300; ++n) expected += std::to_string(i);
      const auto& outcome = outcomes[static_cast<std::size_t>(i)];
      if (outcome.has_value()) {
        wrong += outcome.value() == expected ? 0 : 1;
      } else {
        ++lost;
        wrong += is_crash_of(outcome, static_cast<std::size_t>(i)) ? 0 : 1;
      }
    }
  }
  CHECK(wrong == 0);
  CHECK(lost <= kills);
}

TEST_CASE("a pool that loses its zygote leaves what was done, and BrokenPool", "[process]") {
  Pool pool(1);
  const pid_t zygote = processes::zygote_of(pool);
  const auto outcomes = pool.try_map(
      [zygote](int x) {
        if (x == 5) {
          ::kill(zygote, SIGKILL);
          for (;;) pause();
        }
        return x;
      },
      std::views::iota(0, 10), {.chunk_size = 2});
  for (std::size_t i = 0; i < 5; ++i) CHECK(outcomes[i].value() == static_cast<int>(i));
  CHECK_FALSE(outcomes[5].has_value());
  CHECK_THROWS_AS(outcomes[9].value(), procyon::BrokenPool);
}
