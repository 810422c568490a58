// The thread of the callbacks beside forks.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "processes.hpp"

using procyon::Array;
using procyon::Pool;
using procyon::ThreadPool;

TEST_CASE("the thread of the callbacks does not keep a Pool from being made", "[process]") {
  const Array<int> gate(1);
  std::atomic<int> seen = 0;
  ThreadPool threads(1);
  auto waits = threads.apply_async([gate] {
    while (std::atomic_ref<int>(gate[0]).load() == 0) std::this_thread::yield();
    return 3;
  });
  waits.on_success([&seen](int value) { seen = value; });
  for (int round = 0; round < 20; ++round) {
    Pool pool(1);
    auto quick = pool.apply_async([] { return 1; });
    std::atomic<int> told = 0;
    quick.on_success([&told](int value) { told = value; });
    CHECK(quick.get() == 1);
    CHECK(told == 1);
  }
  std::atomic_ref<int>(gate[0]).store(1);
  CHECK(waits.get() == 3);
  CHECK(seen == 3);
  for (int round = 0; round < 50; ++round) {
    auto result = threads.apply_async([] { return 1; });
    result.on_success([](int) {});
    result.get();
    REQUIRE_NOTHROW(Pool(1));  // the thread is just ending
  }
}

TEST_CASE("a thread of somebody else is still found beside that of the callbacks", "[process]") {
  std::atomic<bool> over = false;
  std::jthread foreign([&over] {
    while (!over) std::this_thread::yield();
  });
  ThreadPool threads(1);
  auto result = threads.apply_async([] { return 1; });
  result.on_success([](int) {});
  result.get();
  const procyon::PoolOptions options{.processes = 1, .start_method = procyon::StartMethod::fork};
  CHECK_THROWS_AS(Pool(options), procyon::StartError);
  over = true;
}

TEST_CASE("a task in a worker has callbacks of its own", "[process]") {
  std::atomic<bool> over = false;
  procyon::SerialPool serial;
  auto outer = serial.apply_async([] { return 1; });
  // Held in a callback while the pool's processes are forked.
  std::atomic<bool> held = false;
  outer.on_success([&](int) {
    held = true;
    while (!over) std::this_thread::yield();
  });
  while (!held) std::this_thread::yield();
  {
    Pool pool(2);
    const auto nested = [](int x) {
      ThreadPool inner(2);
      std::atomic<int> told = 0;
      auto result = inner.apply_async([x] { return 2 * x; });
      result.on_success([&told](int value) { told = value; });
      static_cast<void>(result.get());
      return told.load();
    };
    CHECK(pool.map(nested, {1, 2, 3, 4}) == std::vector{2, 4, 6, 8});
  }
  over = true;
  CHECK(outer.get() == 1);
}
