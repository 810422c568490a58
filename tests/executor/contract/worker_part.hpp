// What workers do first, and how long they stay.
#include <unistd.h>

#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "executor/contract/support.hpp"

namespace contract {

inline int& initialised() {
  static int count = 0;
  return count;
}

template <class P>
constexpr bool is_serial = std::is_same_v<P, procyon::SerialPool>;
template <class P>
constexpr bool is_process = std::is_base_of_v<procyon::Pool, P>;

}  // namespace contract

TEMPLATE_TEST_CASE("an initializer has run in every worker before its first task", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  thread_local int seen = 0;
  seen = 0;
  TestType pool(procyon::PoolOptions{.processes = 3, .initializer = [] { seen = 42; }});
  const std::vector<int> all = pool.map([](int) { return seen; }, contract::count_from(0, 200));
  CHECK(std::all_of(all.begin(), all.end(), [](int each) { return each == 42; }));
}

TEMPLATE_TEST_CASE("an initializer may be a function, and may hold what its pool shares",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  const procyon::Array<int> counts(1);
  {
    TestType pool(procyon::PoolOptions{
        .processes = 2, .initializer = [counts] { std::atomic_ref(counts[0]).fetch_add(1); }});
    const std::size_t workers = pool.size();
    CHECK(pool.apply([] { return 1; }) == 1);
    pool.close();
    pool.join();
    CHECK(counts[0] >= 1);
    CHECK(counts[0] <= static_cast<int>(workers));
  }
  TestType pool(procyon::PoolOptions{.processes = 1, .initializer = &contract::initialised});
  CHECK(pool.apply([] { return 2; }) == 2);
}

TEMPLATE_TEST_CASE("an initializer that throws fails the pool with what it threw, for good",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  const auto fails = [] { throw std::domain_error("no licence"); };
  const procyon::PoolOptions options{.processes = 2, .initializer = fails};
  if constexpr (contract::is_serial<TestType>) {
    const auto error = contract::caught<std::domain_error>([&] { TestType pool(options); });
    CHECK(std::string(error.what()) == "no licence");
  } else {
    TestType pool(options);
    for (int i = 0; i < 3; ++i) {
      const auto error = contract::caught<std::domain_error>([&] { pool.apply([] { return 1; }); });
      CHECK(std::string(error.what()) == "no licence");
    }
    CHECK_THROWS_AS(pool.map([](int x) { return x; }, contract::count_from(0, 100)),
                    std::domain_error);
  }
}

TEMPLATE_TEST_CASE("an initializer that fails in one worker ends a task that another runs",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  if constexpr (!contract::is_serial<TestType>) {
    const procyon::Array<int> turns(1);
    TestType pool(procyon::PoolOptions{.processes = 2, .initializer = [turns] {
                                         if (std::atomic_ref(turns[0]).fetch_add(1) != 0)
                                           throw std::range_error("second");
                                       }});
    try {
      // Before it is known that the other fails, tasks may well succeed.
      for (;;) pool.apply([] { return 1; });
    } catch (const std::range_error& error) {
      CHECK(std::string(error.what()) == "second");
    }
  }
}

TEMPLATE_TEST_CASE("workers that die in their initializer are not started for ever", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  if constexpr (contract::is_process<TestType>) {
    TestType pool(procyon::PoolOptions{.processes = 2, .initializer = [] { std::_Exit(33); }});
    const auto error = contract::caught<procyon::BrokenPool>([&] { pool.apply([] { return 1; }); });
    CHECK_THAT(error.what(), Catch::Matchers::Contains("exit code 33"));
  }
}

TEMPLATE_TEST_CASE("a worker is replaced after its tasks, counted one by one", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  for (const std::size_t most : {1U, 2U, 7U}) {
    for (const std::size_t chunk : {0U, 1U, 5U, 100U}) {
      TestType pool(procyon::PoolOptions{.processes = 1, .max_tasks_per_child = most});
      const std::vector<int> pids =
          pool.map([](int) { return static_cast<int>(getpid()); }, contract::count_from(0, 20),
                   procyon::MapOptions{.chunk_size = chunk});
      const std::set<int> different(pids.begin(), pids.end());
      const std::size_t expected = contract::is_process<TestType> ? (20 + most - 1) / most : 1;
      CHECK(different.size() == expected);
      CHECK(pool.reduce([](int a, int b) { return a + b; }, 0, contract::count_from(1, 50)) ==
            1275);
    }
  }
}

TEMPLATE_TEST_CASE("tasks queued for workers that are replaced all run, also after close",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  TestType pool(procyon::PoolOptions{.processes = 1, .max_tasks_per_child = 2});
  std::vector<procyon::AsyncResult<int>> results;
  for (int i = 0; i < 10; ++i) results.push_back(pool.apply_async([i] { return i * i; }));
  pool.close();
  pool.join();
  for (int i = 0; i < 10; ++i) CHECK(results[static_cast<std::size_t>(i)].get() == i * i);
}

TEMPLATE_TEST_CASE("what workers have done is counted", CONTRACT_TAGS, CONTRACT_POOLS) {
  TestType pool(procyon::PoolOptions{.processes = 2});
  pool.map([](int x) { return x; }, contract::count_from(0, 1000));
  std::uint64_t tasks = 0;
  for (const procyon::WorkerInfo& worker : pool.workers()) {
    tasks += worker.tasks;
    CHECK((worker.pid != 0) == contract::is_process<TestType>);
    CHECK(worker.restarts == 0);
  }
  CHECK(tasks == 1000);
  CHECK(pool.workers().size() == pool.size());
  CHECK(pool.stats().workers == pool.size());
  CHECK(pool.stats().tasks == 1000);
  CHECK(pool.stats().restarts == 0);
  CHECK_THROWS_AS(pool.apply([] { throw std::domain_error("bad"); }), std::domain_error);
  CHECK(pool.stats().tasks == 1001);
}
