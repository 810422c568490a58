// How pools begin, and how they refuse to.
#include <sched.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <thread>

#include "processes.hpp"
#include "sanitized.hpp"
#include "shm/members.hpp"

using Catch::Matchers::Contains;
using processes::in_child;
using processes::Variable;
using procyon::Pool;
using procyon::PoolOptions;
using procyon::StartError;
using procyon::StartMethod;
using procyon::ThreadPool;

namespace {

template <class P>
void check_refused(std::size_t workers, const std::string& value) {
  CHECK_THROWS_WITH(P(workers), Contains("processes") && Contains(value) && Contains("1 to 1000"));
  CHECK_THROWS_AS(P(workers), std::invalid_argument);
}

/// A thread that lives for a scope.
class Sleeper {
 public:
  Sleeper() = default;
  ~Sleeper() { over_.test_and_set(), over_.notify_all(); }

 private:
  std::atomic_flag over_;
  std::jthread thread_{[this] { over_.wait(false); }};
};

}  // namespace

TEST_CASE("a number of workers out of range is refused with the value and the range", "[process]") {
  check_refused<Pool>(1001, "1001");
  check_refused<Pool>(100000, "100000");
  check_refused<Pool>(std::numeric_limits<std::size_t>::max(), "18446744073709551615");
  check_refused<ThreadPool>(100000, "100000");
}

TEMPLATE_TEST_CASE("a number of BLAS threads that cannot be is refused before anything starts",
                   "[process]", Pool, ThreadPool, procyon::SerialPool) {
  const auto count = processes::children(getpid(), {}).size();
  for (const std::size_t threads :
       {std::size_t{100'000}, std::numeric_limits<std::size_t>::max()}) {
    const PoolOptions options{.processes = 1, .blas_threads = threads};
    CHECK_THROWS_AS(TestType(options), std::invalid_argument);
    CHECK_THROWS_WITH(TestType(options), Contains("blas_threads = " + std::to_string(threads)) &&
                                             Contains("use 1, or 0"));
  }
  CHECK(processes::children(getpid(), {}).size() == count);
  CHECK(TestType(PoolOptions{.processes = 1, .blas_threads = 128}).apply([] { return 1; }) == 1);
}

TEST_CASE("a malformed start method in the environment is refused with what it may be",
          "[process]") {
  for (const char* value : {"Fork", "thread", " fork", "forkserver2"}) {
    const Variable variable("PROCYON_START_METHOD", value);
    CHECK_THROWS_AS(Pool(1), std::invalid_argument);
    CHECK_THROWS_WITH(Pool(1), Contains("PROCYON_START_METHOD") && Contains(value) &&
                                   Contains("automatic, fork, forkserver or spawn"));
    CHECK(Pool(PoolOptions{.processes = 1, .start_method = StartMethod::fork}).size() == 1);
  }
  for (const char* value : {"fork", "automatic", ""}) {
    const Variable variable("PROCYON_START_METHOD", value);
    CHECK(Pool(1).apply([] { return 5; }) == 5);
  }
}

TEST_CASE("fork beside another thread is refused, and leaves nothing", "[process]") {
  const PoolOptions forked{.processes = 2, .start_method = StartMethod::fork};
  {
    const Sleeper one;
    CHECK_THROWS_AS(Pool(forked), StartError);
    CHECK_THROWS_WITH(Pool(forked), Contains("1 other thread,") && Contains("forkserver") &&
                                        Contains("ThreadPool"));
    const Sleeper two;
    CHECK_THROWS_WITH(Pool(forked), Contains("2 other threads,"));
  }
  CHECK(Pool(forked).apply([] { return 1; }) == 1);
}

TEST_CASE("beside another thread a pool is made of the image from init()", "[process]") {
  static int changed = 0;
  changed = 1;
  CHECK(Pool(1).apply([] { return changed; }) == 1);
  const Sleeper one;
  CHECK(Pool(1).apply([] { return changed; }) == 0);
}

TEST_CASE("a thread that was joined just now does not count", "[process]") {
  for (int i = 0; i < (is_sanitized ? 50 : 300); ++i) {
    std::thread([] {}).join();
    REQUIRE_NOTHROW(Pool(1));
  }
}

TEST_CASE("threads of a ThreadPool do not count", "[process]") {
  ThreadPool threads(3);
  Pool processes(2);
  CHECK(processes.apply([] { return 1; }) == 1);
  CHECK(threads.apply([&processes] { return processes.apply([] { return 2; }); }) == 2);
}

TEST_CASE("a pool made in a task shares the CPUs, and dies with its worker", "[process]") {
  Pool pool(2);
  const auto nested = [](int x) {
    Pool inner(2);
    const std::vector<int> all = inner.map([](int y) { return 10 * y; }, std::vector{x, x + 1});
    return all[0] + all[1];
  };
  CHECK(pool.map(nested, {1, 2, 3}) == std::vector{30, 50, 70});
  CHECK(pool.apply([] { return Pool().size(); }) ==
        std::max<std::size_t>(1, procyon::cpu_count() / 2));
  const auto abandoned = [] {
    Pool inner(2);
    static_cast<void>(inner.apply_async([] { pause(); }));
    raise(SIGKILL);
    return 0;
  };
  CHECK_THROWS_AS(pool.apply(abandoned), procyon::WorkerCrashed);
  CHECK(pool.apply([] { return ThreadPool(2).apply([] { return 3; }); }) == 3);
  CHECK(pool.apply([] { return procyon::SerialPool().apply([] { return 4; }); }) == 4);
}

TEST_CASE("a forked child cannot use its parent's pool, and ends nothing of it", "[process]") {
  auto pool = std::make_unique<Pool>(2);
  const auto pending = pool->apply_async([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return std::string(100, 'p');
  });
  const int code = in_child([&pool] {
    try {
      pool->apply([] { return 1; });
    } catch (const procyon::Error& error) {
      const bool told = std::strstr(error.what(), "only by the process that made it") != nullptr;
      pool->terminate();
      pool.reset();
      return told ? 7 : 8;
    }
    return 9;
  });
  CHECK(code == 7);
  CHECK(pending.get() == std::string(100, 'p'));
  CHECK(pool->map([](int x) { return x; }, {1, 2}) == std::vector{1, 2});
}

TEST_CASE("a forked child may drop its parent's results and thread pools", "[process]") {
  ThreadPool threads(2);
  Pool pool(2);
  auto result = std::make_unique<procyon::AsyncResult<std::string>>(
      pool.apply_async([] { return std::string(1000, 'r'); }));
  result->wait();
  auto copy = std::make_unique<ThreadPool>(2);
  const int code = in_child([&] {
    result.reset();
    copy.reset();
    return 3;
  });
  CHECK(code == 3);
  CHECK(result->get() == std::string(1000, 'r'));
  CHECK(threads.apply([] { return 1; }) == 1);
}

TEST_CASE("a child that the program forked may have a pool where the program had none",
          "[process]") {
  CHECK(in_child([] { return Pool(2).apply([] { return 11; }); }) == 11);
}

TEST_CASE("too few processes are an error that says how many there were", "[process]") {
  if (geteuid() != 0) {
    WARN("skipped: only root can become a user who has no process yet");
    return;
  }
  for (const rlim_t processes : {1U, 2U, 3U, 5U}) {
    const int code = in_child([processes] {
      const rlimit limit{processes, processes};
      if (setrlimit(RLIMIT_NPROC, &limit) != 0 || setuid(61234) != 0) return 2;
      try {
        Pool pool(8);
        return 3;
      } catch (const StartError& error) {
        if (error.code() != EAGAIN) return 4;
        if (std::strstr(error.what(), "ulimit -u") == nullptr) return 5;
      }
      return waitpid(-1, nullptr, 0) == -1 && errno == ECHILD ? 0 : 6;
    });
    CHECK(code == 0);
  }
}

TEST_CASE("a heap too small for a pool is an error, and leaves nothing", "[process]") {
  int refused = 0;
  for (int kib = 4; kib < 3000; kib += 48) {
    const Variable variable("PROCYON_SHARED_MEMORY", (std::to_string(kib) + "K").c_str());
    INFO(kib << " KiB");
    try {
      const int one = Pool(is_sanitized ? 8 : 64).apply([] { return 1; });
      CHECK(one == 1);
    } catch (const procyon::SharedMemoryError& error) {
      ++refused;
      CHECK_THAT(error.what(), Contains("PROCYON_SHARED_MEMORY"));
    }
    CHECK(procyon::shared_heap().used() == 0);
    CHECK_FALSE(procyon::shm::heap_is_open());
  }
  CHECK(refused > 5);
  CHECK(refused < 60);
  const Variable variable("PROCYON_SHARED_MEMORY", "lots");
  CHECK_THROWS_AS(Pool(1), std::invalid_argument);
}

TEST_CASE("workers are pinned to a CPU where that is asked for", "[process]") {
  const auto allowed = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    return CPU_COUNT(&set);
  };
  Pool pinned(PoolOptions{.processes = 3, .pin_cpus = true});
  CHECK(pinned.apply(allowed) == 1);
  Pool free(2);
  CHECK(free.apply(allowed) == allowed());
  ThreadPool threads(PoolOptions{.processes = 2, .pin_cpus = true});
  CHECK(threads.apply(allowed) == 1);
}

TEST_CASE("workers take no signal handlers, no signal mask and no death wish from the program",
          "[process]") {
  struct sigaction before {};
  sigaction(SIGUSR2, nullptr, &before);
  std::signal(SIGUSR2, [](int) { _exit(77); });
  sigset_t mask;
  sigset_t old;
  sigemptyset(&mask);
  sigaddset(&mask, SIGTERM);
  sigprocmask(SIG_BLOCK, &mask, &old);
  {
    Pool pool(1);
    try {
      pool.apply([] { raise(SIGUSR2); });
      FAIL("nothing was thrown");
    } catch (const procyon::WorkerCrashed& error) {
      CHECK(error.signal() == SIGUSR2);
    }
    try {
      pool.apply([] { raise(SIGTERM); });
      FAIL("nothing was thrown");
    } catch (const procyon::WorkerCrashed& error) {
      CHECK(error.signal() == SIGTERM);
    }
    for (const int terminal : {SIGINT, SIGQUIT, SIGHUP}) {
      CHECK(pool.apply([](int signal) { return raise(signal); }, terminal) == 0);
    }
  }
  sigprocmask(SIG_SETMASK, &old, nullptr);
  sigaction(SIGUSR2, &before, nullptr);
}
