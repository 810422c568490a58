// The engine with raw jobs: many of them, none of them, and their memory.
#include <procyon/base/errors.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "support.hpp"

using procyon::engine::Cursor;
using procyon::engine::Domain;
using procyon::engine::Engine;
using procyon::engine::Job;
using procyon::engine::JobSpec;
using procyon::engine::JobType;
using procyon::engine::max_items;
using procyon::engine::ring_size;
using procyon::engine::Settings;

namespace {

/// A payload: adds its number to a sum, once a gate is open.
struct Adds {
  std::atomic<bool>* gate;
  std::atomic<std::uint64_t>* sum;
  std::uint64_t number;
};

void add(void* payload, Cursor& cursor) {
  const auto& self = *static_cast<Adds*>(payload);
  for (std::uint64_t i = cursor.begin(); i < cursor.end();) {
    const std::uint64_t last = cursor.announce(i);
    if (last == i) return;
    for (; i < last; ++i) {
      self.gate->wait(false);
      self.sum->fetch_add(self.number);
    }
  }
}

const JobType record{JobType::valid, &add};

/// Jobs of one engine of threads, and what they share.
class Jobs {
 public:
  explicit Jobs(std::size_t workers) : engine_(Domain::threads, Settings{.workers = workers}) {
    engine_.start(nullptr, {}, nullptr);
  }

  Engine& engine() { return engine_; }
  std::atomic<bool>& gate() { return gate_; }
  std::uint64_t sum() const { return sum_.load(); }
  void open() {
    gate_ = true;
    gate_.notify_all();
  }
  Job* submit(std::uint64_t number, std::uint64_t items = 1, std::uint64_t chunk = 0) {
    Job* job = engine_.prepare(sizeof(Adds));
    new (Engine::payload(job)) Adds{&gate_, &sum_, number};
    engine_.submit(job, JobSpec{code(), items, chunk, true});
    return job;
  }
  static procyon::engine::CodeToken code() {
    return procyon::engine::register_code(__ehdr_start, &record);
  }

 private:
  std::atomic<bool> gate_ = false;
  std::atomic<std::uint64_t> sum_ = 0;
  Engine engine_;
};

}  // namespace

TEST_CASE("more jobs than the ring holds wait for their place, and none is lost") {
  Jobs jobs(1);
  std::jthread opener([&jobs] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    jobs.open();
  });
  std::vector<Job*> all;
  for (std::uint64_t i = 0; i < 2 * ring_size; ++i) all.push_back(jobs.submit(i));
  for (Job* job : all) {
    jobs.engine().wait(job);
    jobs.engine().check(job);
    jobs.engine().release(job);
  }
  CHECK(jobs.sum() == ring_size * (2 * ring_size - 1));
}

TEST_CASE("a submitter that waits for a place in the ring is let go by the end of the pool") {
  Jobs jobs(1);
  std::atomic<std::uint64_t> submitted = 0;
  std::vector<Job*> all;
  std::jthread submitter([&] {
    try {
      for (;; ++submitted) all.push_back(jobs.submit(1));
    } catch (const procyon::PoolClosed&) {
    }
  });
  while (submitted < ring_size) std::this_thread::yield();
  std::jthread opener([&jobs] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    jobs.open();
  });
  jobs.engine().terminate();
  submitter.join();
  for (Job* job : all) {
    CHECK(jobs.engine().finished(job));
    jobs.engine().release(job);
  }
}

TEST_CASE("jobs that are prepared and not submitted grow the table, and are used again") {
  Jobs jobs(1);
  jobs.open();
  for (int round = 0; round < 3; ++round) {
    std::vector<Job*> all;
    std::vector<std::uint32_t> indices;
    for (std::size_t i = 0; i < 5000; ++i) {
      all.push_back(jobs.engine().prepare(i % 700));
      indices.push_back(all.back()->index);
    }
    std::ranges::sort(indices);
    CHECK(std::ranges::adjacent_find(indices) == indices.end());
    CHECK(indices.back() < 2 * 8192);
    for (Job* job : all) jobs.engine().release(job);
  }
  Job* job = jobs.submit(7);
  jobs.engine().wait(job);
  CHECK(jobs.sum() == 7);
  jobs.engine().release(job);
}

TEST_CASE("a job of no items is finished at once") {
  Jobs jobs(1);
  Job* job = jobs.submit(1, 0);
  CHECK(jobs.engine().finished(job));
  jobs.engine().check(job);
  jobs.engine().release(job);
  CHECK(jobs.sum() == 0);
}

TEST_CASE("more items than a lease can count are refused, and the job stays the caller's") {
  Jobs jobs(1);
  Job* job = jobs.engine().prepare(8);
  CHECK_THROWS_AS(jobs.engine().submit(job, JobSpec{Jobs::code(), max_items, 0, true}),
                  std::invalid_argument);
  jobs.engine().release(job);
}

TEST_CASE("every item of a job runs once, whatever the chunks") {
  Jobs jobs(3);
  jobs.open();
  std::uint64_t expected = 0;
  for (const std::uint64_t items : {1U, 2U, 127U, 128U, 129U, 1000U, 100001U}) {
    for (const std::uint64_t chunk :
         {std::uint64_t{0}, std::uint64_t{1}, items / 2 + 1, items, items + 1, ~std::uint64_t{0}}) {
      Job* job = jobs.submit(1, items, chunk);
      jobs.engine().wait(job);
      jobs.engine().check(job);
      jobs.engine().release(job);
      expected += items;
      CHECK(jobs.sum() == expected);
    }
  }
}

TEST_CASE("a job that is abandoned is destroyed once, when it is over") {
  static std::atomic<int> destroyed;
  destroyed = 0;
  {
    Jobs jobs(2);
    const auto destroy = [](Engine&, void*) { ++destroyed; };
    for (int i = 0; i < 100; ++i) jobs.engine().abandon(jobs.submit(1), destroy);
    CHECK(destroyed == 0);
    jobs.open();
    Job* last = jobs.submit(1);
    jobs.engine().wait(last);
    jobs.engine().release(last);
    jobs.engine().close();
    jobs.engine().join();
    CHECK(destroyed == 100);
  }
  CHECK(destroyed == 100);
}

TEST_CASE("a job that is abandoned is destroyed although there is no memory for the next one",
          "[process]") {
  static const JobType waits{JobType::valid, [](void* payload, Cursor& cursor) {
                               cursor.announce(cursor.begin());
                               const auto& gate = **static_cast<std::atomic<bool>**>(payload);
                               while (!gate) std::this_thread::yield();
                             }};
  static int destroyed;
  destroyed = 0;
  {
    Engine engine(Domain::processes, Settings{.workers = 1});
    engine.start(nullptr, {}, nullptr);
    auto* const gate = new (engine.allocate(1)) std::atomic<bool>(false);
    Job* job = engine.prepare(sizeof(gate));
    new (Engine::payload(job)) std::atomic<bool>*(gate);
    engine.submit(job, JobSpec{procyon::engine::register_code(__ehdr_start, &waits), 1, 0, false});
    engine.abandon(job, [](Engine&, void*) { ++destroyed; });
    *gate = true;
    while (!engine.finished(job)) std::this_thread::yield();
    CHECK_THROWS_AS(engine.prepare(std::size_t{1} << 50), procyon::SharedMemoryError);
    CHECK(destroyed == 1);
    engine.deallocate(gate);
  }
  CHECK(destroyed == 1);
}

TEST_CASE("a time limit of any length may be given to a wait") {
  Jobs jobs(1);
  Job* job = jobs.submit(1);
  CHECK_FALSE(jobs.engine().wait_for(job, std::chrono::nanoseconds(0)));
  CHECK_FALSE(jobs.engine().wait_for(job, std::chrono::nanoseconds(-1)));
  CHECK_FALSE(jobs.engine().wait_for(job, std::chrono::milliseconds(3)));
  jobs.open();
  CHECK(jobs.engine().wait_for(job, std::chrono::nanoseconds::max()));
  jobs.engine().release(job);
}
