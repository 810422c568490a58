// One worker, run by the test itself, on jobs made by hand.
#include <atomic>
#include <thread>
#include <vector>

#include "support.hpp"

using hand_made::HandMadePool;
using procyon::engine::all_done;
using procyon::engine::Cursor;
using procyon::engine::Job;
using procyon::engine::JobType;
using procyon::engine::Lease;
using procyon::engine::PoolState;
using procyon::engine::Worker;

namespace {

struct Seen {
  std::vector<std::uint64_t> items;
  PoolState* stop = nullptr;      // the pool to stop at ...
  std::uint64_t stop_at = ~0ULL;  // ... this many items
  std::uint64_t throw_at = ~0ULL;
};
Seen seen;

void run_items(void*, Cursor& cursor) {
  for (std::uint64_t i = cursor.begin(); i < cursor.end();) {
    const std::uint64_t last = cursor.announce(i);
    if (last == i) return;
    try {
      for (; i < last; ++i) {
        if (i == seen.throw_at) throw std::runtime_error("here");
        seen.items.push_back(i);
        if (seen.items.size() == seen.stop_at) seen.stop->status.store(PoolState::stopping);
      }
    } catch (...) {
      cursor.fail(i);
      return;
    }
  }
}

const JobType record{JobType::valid, &run_items};

/// A submitted job whose code is the function above.
void submit(HandMadePool& pool, std::uint64_t chunks, std::uint64_t chunk) {
  seen = {};
  pool.submit(chunks, chunk);
  pool.job().code = procyon::engine::register_code(__ehdr_start, &record);
  const auto module = procyon::engine::module_of(pool.job().code);
  static procyon::engine::Module own{};
  const auto identity = procyon::engine::identify_module(pool.job().code);
  own = {identity.base, identity.fingerprint};
  pool.state().modules[module].store(&own);
}

std::vector<std::uint64_t> first(std::uint64_t count) {
  std::vector<std::uint64_t> all(count);
  for (std::uint64_t i = 0; i < count; ++i) all[i] = i;
  return all;
}

}  // namespace

TEST_CASE("one worker runs all chunks and finishes the job") {
  HandMadePool pool(1);
  submit(pool, 7, 3);
  Worker(pool.state(), 0).run_job(pool.job());
  CHECK(seen.items == first(21));
  CHECK(all_done(pool.job()));
  CHECK((pool.job().state.load() & Job::finished) != 0);
}

TEST_CASE("chunks that a dead worker had drawn and not claimed are found again") {
  HandMadePool pool(2);
  submit(pool, 5, 2);
  pool.job().next.store(5);  // every ticket is gone, and so is the ring's entry
  pool.claim(0, 3);
  pool.recover(0);
  seen.stop = &pool.state();
  seen.stop_at = 10;
  Worker(pool.state(), 1).run();
  CHECK(seen.items == first(10));
  CHECK((pool.job().state.load() & Job::finished) != 0);
}

TEST_CASE("a chunk that is handed on begins where its resume says, without what came before") {
  HandMadePool pool(2);
  submit(pool, 2, 100);
  pool.claim(0, 0);
  pool.slot(0).item.store(64 | Cursor::batch_flag);
  pool.recover(0);
  pool.job().may_rerun = 1;
  Worker(pool.state(), 1).run_job(pool.job());
  CHECK(seen.items.front() == 64);
  CHECK(seen.items.size() == 136);
}

TEST_CASE("a count that a death made short does not keep a job from finishing") {
  HandMadePool pool(2);
  submit(pool, 2, 1);
  pool.claim(0, 0);
  pool.set_lease(0, {Lease::done, 0, 1, 0});
  pool.recover(0);
  Worker(pool.state(), 1).run_job(pool.job());
  CHECK(pool.job().done.load() == 1);
  CHECK((pool.job().state.load() & Job::finished) != 0);
}

TEST_CASE("items above a failure are not begun, items below it are") {
  HandMadePool pool(1);
  submit(pool, 4, 5);
  seen.throw_at = 7;
  Worker(pool.state(), 0).run_job(pool.job());
  CHECK(seen.items == first(7));
  CHECK(pool.job().bound.load() == 7);
  CHECK((pool.job().state.load() & Job::finished) != 0);
  CHECK(pool.slot(0).pending.load() == nullptr);
}

TEST_CASE("a job whose code no module has fails and is finished") {
  HandMadePool pool(1);
  submit(pool, 3, 1);
  pool.job().code = std::uint64_t{60} << 48 | 64;
  Worker(pool.state(), 0).run_job(pool.job());
  CHECK(seen.items.empty());
  CHECK(pool.job().bound.load() == 0);
  CHECK((pool.job().state.load() & Job::finished) != 0);
}

TEST_CASE("a worker that two submitters counted on wakes another for the second job") {
  HandMadePool pool(2);
  submit(pool, 1, 1);
  PoolState& state = pool.state();
  state.ring[0] = state.ring[1] = procyon::engine::ring_entry(pool.job().index, 1);
  state.sleeping[0] = 2;  // the other worker
  std::jthread worker([&state] { Worker(state, 0).run(); });
  while (state.sleeping[0] != 3) std::this_thread::yield();  // it has spun, and sleeps now
  state.head = 2;
  procyon::engine::wake_workers(state, 1);
  while (!all_done(pool.job())) std::this_thread::yield();
  CHECK(state.bell == 2);
  state.status = PoolState::stopping;
  procyon::engine::wake_workers(state, 1);
}
