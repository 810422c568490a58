// A pool that loses its processes: workers, the zygote, the guardian.
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "processes.hpp"
#include "sanitized.hpp"

using processes::eventually;
using procyon::Array;
using procyon::Pool;

namespace {

void sleep_long() { std::this_thread::sleep_for(std::chrono::seconds(100)); }

/// Waits until `count` tasks that run `gate_task` are in it.
std::size_t entered(const Array<int>& gate) {
  return static_cast<std::size_t>(std::atomic_ref<int>(gate[0]).load());
}

auto enter_and_stay(const Array<int>& gate) {
  return [gate](int i) {
    std::atomic_ref<int>(gate[0]).fetch_add(1);
    sleep_long();
    return i;
  };
}

}  // namespace

TEST_CASE("idle workers that are killed are replaced", "[process]") {
  Pool pool(3);
  for (int round = 0; round < 5; ++round) {
    const auto workers = processes::workers_of(pool);
    REQUIRE(workers.size() == 3);
    for (const pid_t worker : workers) ::kill(worker, SIGKILL);
    for (const pid_t worker : workers) {
      CHECK(eventually([&] { return !processes::is_running(worker); }));
    }
    CHECK(pool.map([](int x) { return x + 1; }, std::vector<int>(1000, 1)) ==
          std::vector<int>(1000, 2));
    CHECK(eventually([&] { return processes::workers_of(pool).size() == 3; }));
  }
}

TEST_CASE("a map whose workers are all killed fails, and the next one does not", "[process]") {
  Pool pool(3);
  const auto workers = processes::workers_of(pool);
  const Array<int> gate(1);
  const auto result = pool.map_async(enter_and_stay(gate), std::vector{0, 1, 2}, {.chunk_size = 1});
  REQUIRE(eventually([&] { return entered(gate) == 3; }));
  for (const pid_t worker : workers) ::kill(worker, SIGKILL);
  try {
    result.get();
    FAIL("nothing was thrown");
  } catch (const procyon::WorkerCrashed& error) {
    CHECK(error.signal() == SIGKILL);
    CHECK(error.item() < 3);
  }
  CHECK(pool.map([](int x) { return x; }, {1, 2, 3}) == std::vector{1, 2, 3});
}

TEST_CASE("a pool whose zygote dies is broken: everybody is told and nobody hangs", "[process]") {
  Pool pool(2);
  const Array<int> gate(1);
  const pid_t zygote = processes::zygote_of(pool);
  std::vector<procyon::AsyncResult<int>> results;
  for (int i = 0; i < 30; ++i) results.push_back(pool.apply_async(enter_and_stay(gate), i));
  REQUIRE(eventually([&] { return entered(gate) == 2; }));
  ::kill(zygote, SIGKILL);
  for (const auto& result : results) {
    try {
      result.get();
      FAIL("nothing was thrown");
    } catch (const procyon::BrokenPool& error) {
      CHECK(std::string(error.what()).find("make a new pool") != std::string::npos);
    } catch (const procyon::WorkerCrashed&) {
      // What was running has died with its worker.
    }
  }
  CHECK_THROWS_AS(pool.apply([] { return 1; }), procyon::BrokenPool);
  CHECK_THROWS_AS(pool.map([](int x) { return x; }, std::vector<int>(1000)), procyon::BrokenPool);
  CHECK_FALSE(pool.apply_async([] {}).successful());
  pool.close();
  pool.join();
}

TEST_CASE("an idle pool whose zygote dies is broken, and another pool is not", "[process]") {
  auto broken = std::make_unique<Pool>(2);
  Pool whole(2);
  const auto workers = processes::workers_of(*broken);
  ::kill(processes::zygote_of(*broken), SIGKILL);
  for (const pid_t worker : workers) {
    CHECK(eventually([&] { return !processes::is_running(worker); }));
  }
  CHECK_THROWS_AS(broken->apply([] {}), procyon::BrokenPool);
  CHECK(whole.apply([] { return 1; }) == 1);
  broken.reset();
  CHECK(whole.apply([] { return 2; }) == 2);
}

TEST_CASE("a guardian that dies is replaced, and deaths after it are still told", "[process]") {
  Pool pool(2);
  for (int round = 0; round < 5; ++round) {
    const pid_t guardian = processes::guardian();
    REQUIRE(guardian != 0);
    ::kill(guardian, SIGKILL);
    REQUIRE(eventually([&] { return !processes::is_running(guardian); }));
    CHECK_THROWS_AS(pool.apply([] { std::abort(); }), procyon::WorkerCrashed);
    CHECK(pool.map([](int x) { return x; }, {1, 2, 3}) == std::vector{1, 2, 3});
    CHECK(processes::guardian() != guardian);
  }
}

TEST_CASE("a guardian that dies with a worker is replaced by one that recovers it", "[process]") {
  Pool pool(2);
  for (int round = 0; round < 5; ++round) {
    const Array<int> gate(1);
    const auto result = pool.apply_async(enter_and_stay(gate), 1);
    REQUIRE(eventually([&] { return entered(gate) == 1; }));
    const auto workers = processes::workers_of(pool);
    ::kill(processes::guardian(), SIGKILL);
    for (const pid_t worker : workers) ::kill(worker, SIGKILL);
    CHECK_THROWS_AS(result.get(), procyon::WorkerCrashed);
  }
}

TEST_CASE("who only asks whether a result is ready learns of a death without a guardian",
          "[process]") {
  Pool pool(1);
  const Array<int> gate(1);
  const auto result = pool.apply_async(enter_and_stay(gate), 1);
  REQUIRE(eventually([&] { return entered(gate) == 1; }));
  const auto zygote = processes::children(getpid(), "procyon-zygote");
  REQUIRE(zygote.size() == 1);
  const auto workers = processes::children(zygote.front(), {});
  ::kill(processes::guardian(), SIGKILL);
  for (const pid_t worker : workers) ::kill(worker, SIGKILL);
  CHECK(eventually([&] { return result.ready(); }));
}

TEST_CASE("a pool of stopped workers can be ended", "[process]") {
  Pool pool(2);
  for (const pid_t worker : processes::workers_of(pool)) ::kill(worker, SIGSTOP);
  const auto pending = pool.apply_async([] { return 1; });
  pool.terminate();
  CHECK_THROWS_AS(pending.get(), procyon::PoolClosed);
}

TEST_CASE("a stopped worker does not keep tasks from the others", "[process]") {
  Pool pool(3);
  const auto workers = processes::workers_of(pool);
  REQUIRE(workers.size() == 3);
  ::kill(workers[0], SIGSTOP);
  ::kill(workers[1], SIGSTOP);
  for (int i = 0; i < 20; ++i) CHECK(pool.apply([i] { return i; }) == i);
  ::kill(workers[0], SIGCONT);
  ::kill(workers[1], SIGCONT);
}

TEST_CASE("a pool whose zygote is stopped can be ended", "[process]") {
  Pool pool(2);
  ::kill(processes::zygote_of(pool), SIGSTOP);
}

TEST_CASE("pools and worker replacements use up no descriptors", "[process]") {
  constexpr int rounds = is_sanitized ? 40 : 200;
  const auto before = processes::count_descriptors();
  for (int round = 0; round < rounds; ++round) {
    Pool pool(1);
    if (round % 10 == 0) CHECK(pool.apply([] { return 1; }) == 1);
  }
  CHECK(processes::count_descriptors() == before);
  {
    Pool pool(1);
    static_cast<void>(pool.apply([] { return 1; }));
    const auto with_pool = processes::count_descriptors();
    const auto in_worker = pool.apply(&processes::count_descriptors);
    const auto in_zygote = [&] {
      const std::string path = "/proc/" + std::to_string(processes::zygote_of(pool)) + "/fd";
      return std::distance(std::filesystem::directory_iterator(path),
                           std::filesystem::directory_iterator());
    };
    const auto zygote_before = in_zygote();
    for (int i = 0; i < rounds; ++i) {
      CHECK_THROWS_AS(pool.apply([] { _exit(1); }), procyon::WorkerCrashed);
    }
    CHECK(pool.apply(&processes::count_descriptors) == in_worker);
    CHECK(in_zygote() == zygote_before);
    CHECK(processes::count_descriptors() == with_pool);
  }
  CHECK(processes::count_descriptors() == before);
}

TEST_CASE("many pools at once end without waiting for each other", "[process]") {
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::unique_ptr<Pool>> pools;
    for (int i = 0; i < 8; ++i) pools.push_back(std::make_unique<Pool>(1));
    while (!pools.empty()) pools.erase(pools.begin());  // the first holds what the others copied
  }
  // One that waits for another runs into a patience of seconds, seven times.
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}
