// What workers have, and have not, of the program, by each start method.
#include <fcntl.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "processes.hpp"

using processes::Variable;
using procyon::NotShareable;
using procyon::Pool;
using procyon::PoolOptions;
using procyon::StartMethod;

namespace {

PoolOptions by(StartMethod method, std::size_t processes = 2) {
  return {.processes = processes, .start_method = method};
}

int triple(int x) { return 3 * x; }

/// Descriptors of a worker that are none of the three standard ones.
int count_extra_descriptors() {
  int count = 0;
  for (int fd = 3; fd < 1024; ++fd) count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

std::string value_of(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

/// Descriptors that stay open over exec, for a scope.
class Descriptors {
 public:
  Descriptors() {
    for (int i = 0; i < 50; ++i) all_.push_back(dup(STDERR_FILENO));
  }
  ~Descriptors() {
    for (const int fd : all_) close(fd);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

 private:
  std::vector<int> all_;
};

}  // namespace

TEST_CASE("forkserver and spawn give workers only the descriptors that they need", "[process]") {
  const Descriptors open;
  for (const StartMethod method : {StartMethod::forkserver, StartMethod::spawn}) {
    Pool pool(by(method));
    CHECK(pool.apply(&count_extra_descriptors) <= 4);
  }
  CHECK(Pool(by(StartMethod::fork)).apply(&count_extra_descriptors) >= 50);
}

TEST_CASE("workers work where the program does", "[process]") {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(std::filesystem::temp_directory_path());
  const std::string here = std::filesystem::current_path();
  for (const StartMethod method :
       {StartMethod::fork, StartMethod::forkserver, StartMethod::spawn}) {
    Pool pool(by(method));
    CHECK(pool.apply([] { return std::filesystem::current_path().string(); }) == here);
  }
  std::filesystem::current_path(before);
}

TEST_CASE("workers started afresh find threads limited in their environment, the program does not",
          "[process]") {
  const std::vector<std::string> names{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                                       "NUMEXPR_NUM_THREADS"};
  const Variable mine("PROCYON_TEST_MINE", "seen");
  const Variable theirs("OMP_NUM_THREADS", "7");
  Pool pool({.processes = 1, .start_method = StartMethod::spawn, .blas_threads = 3});
  for (const std::string& name : names) CHECK(pool.apply(&value_of, name) == "3");
  CHECK(pool.apply(&value_of, std::string("PROCYON_TEST_MINE")) == "seen");
  CHECK(pool.apply(&value_of, std::string("PROCYON_START_CHANNEL")).empty());
  CHECK(value_of("OMP_NUM_THREADS") == "7");
  Pool alone({.processes = 1, .start_method = StartMethod::spawn, .blas_threads = 0});
  CHECK(alone.apply(&value_of, std::string("OMP_NUM_THREADS")) == "7");
}

TEST_CASE("functions and members run where code lies elsewhere", "[process]") {
  for (const StartMethod method :
       {StartMethod::fork, StartMethod::forkserver, StartMethod::spawn}) {
    Pool pool(by(method));
    int (*chosen)(int) = &triple;
    CHECK(pool.apply(chosen, 5) == 15);
    CHECK(pool.map(triple, std::vector{1, 2, 3}) == std::vector{3, 6, 9});
    CHECK(pool.apply(&std::string::size, std::string("four")) == 4);
    CHECK(pool.map_reduce(
              &triple, [](int a, int b) { return a + b; }, 1, std::vector{1, 2}) == 10);
    int (*none)(int) = nullptr;
    CHECK_THROWS_AS(pool.apply(none, 5), NotShareable);
  }
}

TEST_CASE("addresses of code and of constants are refused where they mean something else",
          "[process]") {
  const char* const literal = "constant";
  int (*const function)(int) = &triple;
  const auto prints = [literal] { return std::string(literal); };
  const auto calls = [function](int x) { return function(x); };
  Pool forked(by(StartMethod::fork));
  CHECK(forked.apply(prints) == "constant");
  CHECK(forked.apply(calls, 2) == 6);
  Pool spawned(by(StartMethod::spawn));
  CHECK_THROWS_AS(spawned.apply(prints), NotShareable);
  CHECK_THROWS_AS(spawned.apply(calls, 2), NotShareable);
  CHECK(spawned.apply([](int x) { return triple(x); }, 2) == 6);
}

TEST_CASE("a pool of any start method is made beside other threads, but by fork", "[process]") {
  std::atomic<bool> over = false;
  std::jthread other([&over] { over.wait(false); });
  for (const StartMethod method : {StartMethod::forkserver, StartMethod::spawn}) {
    Pool pool(by(method));
    CHECK(pool.map([](int x) { return x + 1; }, {1, 2, 3}) == std::vector{2, 3, 4});
    CHECK_THROWS_AS(pool.apply([] { raise(SIGSEGV); }), procyon::WorkerCrashed);
    CHECK(pool.apply([] { return 5; }) == 5);
  }
  over = true;
  over.notify_all();
}

TEST_CASE("arrays are where they were for workers started afresh", "[process]") {
  const procyon::Array<double> values(1000, 1.5);
  Pool pool(by(StartMethod::spawn));
  pool.for_index(values.size(), [values](std::size_t i) { values[i] += static_cast<double>(i); });
  for (std::size_t i = 0; i < values.size(); ++i) {
    REQUIRE(values[i] == 1.5 + static_cast<double>(i));
  }
}

TEST_CASE("no descriptors for a pool are an error, and the next pool works", "[process]") {
#if defined(__SANITIZE_ADDRESS__)
  WARN("skipped: UndefinedBehaviorSanitizer needs descriptors to look at objects");
  return;
#endif
  CHECK(Pool(1).apply([] { return 1; }) == 1);
  for (const StartMethod method :
       {StartMethod::fork, StartMethod::forkserver, StartMethod::spawn}) {
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    int refused = 0;
    const auto open = static_cast<rlim_t>(processes::count_descriptors());
    for (rlim_t more = 0; more < 24; ++more) {
      const rlimit tight{open + more, before.rlim_max};
      setrlimit(RLIMIT_NOFILE, &tight);
      try {
        Pool pool(by(method));
        const int one = pool.apply([] { return 1; });
        setrlimit(RLIMIT_NOFILE, &before);
        CHECK(one == 1);
      } catch (const procyon::Error&) {
        ++refused;
      } catch (const procyon::SharedMemoryError&) {
        ++refused;
      }
      setrlimit(RLIMIT_NOFILE, &before);
    }
    CHECK(refused > 0);
    CHECK(Pool(by(method)).apply([] { return 2; }) == 2);
  }
}
