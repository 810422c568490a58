// A task that crashes fails alone, by name, and nothing else happens.
#include <csignal>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "processes.hpp"

using procyon::Array;
using procyon::Pool;
using procyon::WorkerCrashed;

namespace {

enum class End { segfault, abort, leave, exit, kill, terminate };

void die(End end) {
  if (end == End::segfault) {
    *static_cast<volatile int*>(nullptr) = 1;
  } else if (end == End::abort) {
    std::abort();
  } else if (end == End::leave) {
    _exit(3);
  } else if (end == End::exit) {
    std::exit(3);
  } else if (end == End::kill) {
    ::kill(getpid(), SIGKILL);
  } else {
    std::terminate();
  }
}

struct Expected {
  End end;
  int signal;
  int exit_code;
};
constexpr Expected ends[] = {
    {End::abort, SIGABRT, 0},   {End::leave, 0, 3},           {End::exit, 0, 3},
    {End::kill, SIGKILL, 0},    {End::terminate, SIGABRT, 0},
#if !defined(__SANITIZE_ADDRESS__)  // UBSan reports the store and ends the process its own way
    {End::segfault, SIGSEGV, 0}
#endif
};

/// The crash that `call` throws; a failed assertion where it does not.
template <class F>
WorkerCrashed crash_of(F&& call) {
  try {
    call();
  } catch (const WorkerCrashed& error) {
    const procyon::Where* place = procyon::where(error);
    REQUIRE(place != nullptr);
    CHECK(place->item() == error.item());
    CHECK(place->pid() == error.pid());
    CHECK(place->attempt() == error.attempt());
    return error;
  }
  FAIL("nothing was thrown");
  throw 0;
}

std::vector<std::size_t> indices(std::size_t count) {
  std::vector<std::size_t> all(count);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace

TEST_CASE("a crash of any kind is told with its cause, its process and its item", "[process]") {
  Pool pool(3);
  for (const Expected& expected : ends) {
    for (const std::size_t guilty : {0U, 57U, 99U}) {
      const Array<int> pid(1);
      const auto task = [pid, guilty, end = expected.end](std::size_t i) {
        if (i == guilty) {
          pid[0] = getpid();
          die(end);
        }
        return i;
      };
      const WorkerCrashed error = crash_of([&] { pool.map(task, indices(100)); });
      INFO(error.what());
      CHECK(error.item() == guilty);
      CHECK(error.pid() == pid[0]);
      CHECK(error.signal() == expected.signal);
      CHECK(error.exit_code() == expected.exit_code);
      CHECK(error.attempt() == 1);
      CHECK(std::string(error.what()).find("item " + std::to_string(guilty)) != std::string::npos);
    }
  }
  CHECK(pool.map([](int x) { return x; }, {1, 2}) == std::vector{1, 2});
}

TEST_CASE("items before a crash have all run, and the lowest failure is thrown", "[process]") {
  Pool pool(3);
  for (const std::size_t chunk : {0UL, 1UL, 10UL, 500UL}) {
    const Array<int> ran(500);
    const auto task = [ran](std::size_t i) {
      if (i == 250 || i == 260) ::kill(getpid(), SIGKILL);
      if (i > 250) throw std::runtime_error("later");
      ran[i] = 1;
    };
    const auto error = crash_of([&] { pool.for_index(500, task, {.chunk_size = chunk}); });
    CHECK(error.item() == 250);
    CHECK(std::count(ran.begin(), ran.begin() + 250, 1) == 250);
  }
}

TEST_CASE("one crash among two hundred applies costs no other result", "[process]") {
  Pool pool(3);
  std::vector<procyon::AsyncResult<std::string>> results;
  for (int i = 0; i < 200; ++i) {
    results.push_back(pool.apply_async([i] {
      if (i % 50 == 25) std::abort();
      return std::string(100, static_cast<char>('a' + i % 26));
    }));
  }
  for (int i = 0; i < 200; ++i) {
    const auto& result = results[static_cast<std::size_t>(i)];
    if (i % 50 == 25) {
      const auto error = crash_of([&] { result.get(); });
      CHECK(error.item() == 0);
      CHECK(error.signal() == SIGABRT);
    } else {
      CHECK(result.get() == std::string(100, static_cast<char>('a' + i % 26)));
    }
  }
}

TEST_CASE("a crash in a batch of cheap items is charged to the item that did it", "[process]") {
  Pool pool(2);
  constexpr std::size_t count = 1000000;
  const auto xs = indices(count);
  // In the trial, at both ends of a batch, in the middle, and at the end of a chunk and of all.
  for (const std::size_t guilty :
       {0UL, 15UL, 16UL, 79UL, 80UL, 7811UL, 7812UL, 500000UL, 999999UL}) {
    const auto task = [guilty](std::size_t i) {
      if (i == guilty) ::kill(getpid(), SIGKILL);
      return 2 * i;
    };
    const auto error = crash_of([&] { pool.map(task, xs); });
    CHECK(error.item() == guilty);
    CHECK(error.signal() == SIGKILL);
  }
}

TEST_CASE("a batch whose worker died by chance is run again, and every result is right",
          "[process]") {
  Pool pool(2);
  constexpr std::size_t count = 1000000;
  const auto xs = indices(count);
  const Array<int> died(1);
  const auto task = [died](std::size_t i) {
    // Only ever one of a batch: what runs items one by one comes later.
    if (i == 400000 && std::atomic_ref<int>(died[0]).exchange(1) == 0) ::kill(getpid(), SIGKILL);
    return 3 * i;
  };
  // Items that look dear on a busy machine, or under a sanitizer, are announced one by one.
  for (int attempt = 0; attempt < 20; ++attempt) {
    died[0] = 0;
    try {
      const auto results = pool.map(task, xs);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < count; ++i) wrong += results[i] != 3 * i ? 1 : 0;
      CHECK(wrong == 0);
      CHECK(died[0] == 1);
      return;
    } catch (const WorkerCrashed& error) {
      CHECK(error.item() == 400000);
    }
  }
  WARN("no attempt found the items cheap enough for batches");
}

TEST_CASE("an item without a result is never run twice", "[process]") {
  Pool pool(2);
  const Array<int> runs(100000);
  const auto task = [runs](std::size_t i) {
    std::atomic_ref<int>(runs[i]).fetch_add(1);
    if (i == 60000) ::kill(getpid(), SIGKILL);
  };
  CHECK(crash_of([&] { pool.for_index(100000, task); }).item() == 60000);
  CHECK(std::ranges::count_if(runs, [](int n) { return n > 1; }) == 0);
}

TEST_CASE("a worker that is killed from outside fails the item that it runs", "[process]") {
  Pool pool(2);
  const Array<int> pid(1);
  const auto result = pool.map_async(
      [pid](int i) {
        if (i == 7) {
          std::atomic_ref<int>(pid[0]).store(getpid());
          for (;;) pause();
        }
        return i;
      },
      std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {.chunk_size = 4});
  REQUIRE(processes::eventually([&] { return std::atomic_ref<int>(pid[0]).load() != 0; }));
  ::kill(pid[0], SIGKILL);
  const auto error = crash_of([&] { result.get(); });
  CHECK(error.item() == 7);
  CHECK(error.pid() == pid[0]);
  CHECK(error.signal() == SIGKILL);
}

TEST_CASE("three hundred kills at random cost no result but their own", "[process]") {
  const std::size_t before = procyon::shared_heap().used();
  {
    Pool pool(4);
    std::mt19937 random(12345);
    std::size_t early = 0;
    int wrong = 0;
    int crashed = 0;
    for (int kills = 0; kills < 300;) {
      std::vector<procyon::AsyncResult<std::string>> results;
      for (int i = 0; i < 50; ++i) {
        results.push_back(pool.apply_async([i] {
          std::string text;
          for (int n = 0; n < 200; ++n) text += std::to_string(i);
          return text;
        }));
      }
      const auto workers = processes::workers_of(pool);
      for (int n = 0; n < 3 && !workers.empty(); ++n, ++kills) {
        ::kill(workers[random() % workers.size()], SIGKILL);
      }
      for (int i = 0; i < 50; ++i) {
        std::string expected;
        for (int n = 0; n < 200; ++n) expected += std::to_string(i);
        try {
          wrong += results[static_cast<std::size_t>(i)].get() != expected ? 1 : 0;
        } catch (const WorkerCrashed& error) {
          crashed += error.signal() == SIGKILL ? 1 : 1000000;
        }
      }
      if (kills == 60) early = procyon::shared_heap().used();
    }
    CHECK(wrong == 0);
    CHECK(crashed <= 300);
    CHECK(procyon::shared_heap().used() <= early + 64 * 1024);
    CHECK(pool.map([](int x) { return x; }, {1, 2, 3}) == std::vector{1, 2, 3});
  }
  CHECK(procyon::shared_heap().used() == before);
}
