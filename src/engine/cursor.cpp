// What a job's code tells the engine while it runs.
#include "engine/code.hpp"
#include "engine/exceptions.hpp"
#include "engine/layout.hpp"
#include "engine/supervision.hpp"
#include "engine/trace.hpp"
#include "engine/worker.hpp"

#include <procyon/shm/heap.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <new>

namespace procyon::engine {
namespace {

// Announcing costs about a nanosecond an item: for items that take this long it does not count.
constexpr std::chrono::nanoseconds cheap_item{50};
constexpr std::chrono::nanoseconds record_cost{60};  // of an event: reading the clock, mostly
constexpr std::uint64_t trial_items = 16;
constexpr std::uint64_t batch_items = 64;

}  // namespace

// False: the item before this one has had its time, and this one is not to be run.
bool Cursor::decide(std::uint64_t item) noexcept {
  if (item >= choose_at_) choose(item);
  if (ring_ == nullptr && limit_ == 0) {
    decide_at_ = choose_at_;
    return true;
  }
  const std::int64_t now = monotonic_now();
  end_item(item, now);
  if (ring_ != nullptr) event_ = ring_->begin(now, item, attempt_, thread_);
  timed_item_ = item;
  began_ = now;
  if (limit_ != 0) worker_->slot_.began.store(now, std::memory_order_relaxed);
  return stop_->load(std::memory_order_relaxed) > item;
}

// Called before the first item and after the trial.
void Cursor::choose(std::uint64_t item) noexcept {
  if (item == begin_) {
    const bool worthwhile = end_ - begin_ > 2 * batch_items;
    started_ = worthwhile ? monotonic_now() : 0;
    choose_at_ = worthwhile ? begin_ + trial_items : max_items;
    return;
  }
  const auto limit = ring_ == nullptr ? cheap_item : cheap_item + record_cost;
  if (monotonic_now() - started_ < limit.count() * static_cast<std::int64_t>(item - begin_)) {
    batch_ = batch_items;
  }
  choose_at_ = max_items;
}

void Cursor::record(TraceRing& ring) noexcept {
  ring_ = &ring;
  thread_ = {getpid(), gettid()};
  decide_at_ = 0;
}

// Of the items before `next`, those announced last.
void Cursor::end_item(std::uint64_t next, std::int64_t now) noexcept {
  if (event_ != nullptr) {
    event_->items.store(std::min(next - event_->item, batch_), std::memory_order_relaxed);
    event_->end.store(now, std::memory_order_release);
    event_ = nullptr;
  }
  if (limit_ != 0 && began_ != 0 && now - began_ > limit_) fail_late(timed_item_);
}

void Cursor::finish() noexcept {
  if (event_ == nullptr && limit_ == 0) return;
  end_item(end_, monotonic_now());
  // Nothing runs any more that could take too long.
  if (limit_ != 0) worker_->slot_.began.store(never_overdue, std::memory_order_relaxed);
}

// Where nobody has killed the worker for it: it is a thread, or was quicker than the zygote.
void Cursor::fail_late(std::uint64_t item) noexcept {
  const PoolState& pool = worker_->pool_;
  Failure* failure = nullptr;
  try {
    failure = static_cast<Failure*>(allocate_block(pool.shared != 0, sizeof(Failure)));
  } catch (const std::bad_alloc&) {
    if (!keep_going_) lower_bound(*job_, item);
    return;
  }
  *failure = {};
  failure->kind = Failure::Kind::timed_out;
  failure->limit = limit_;
  report(failure, item);
}

void Cursor::fail(std::uint64_t item) noexcept {
  const PoolState& pool = worker_->pool_;
  Failure* failure = nullptr;
  try {
    failure = encode_current_exception(pool);
  } catch (...) {
    // No memory for the report: the bound alone says that the item failed, or that it has no
    // result where the others go on.
    if (!keep_going_) lower_bound(*job_, item);
    return;
  }
  began_ = 0;  // what it threw says more than that it was late
  report(failure, item);
}

void Cursor::report(Failure* failure, std::uint64_t item) noexcept {
  const PoolState& pool = worker_->pool_;
  failure->item = item;
  failure->pid = getpid();
  failure->attempt = attempt_ + 1;
  failure->next = nullptr;
  WorkerSlot& slot = worker_->slot_;
  slot.home.store(reinterpret_cast<void**>(&job_->failure), std::memory_order_relaxed);
  slot.pending.store(failure, std::memory_order_release);
  if (pool.shared != 0) shm::give(failure);
  const bool taken = offer_failure(*job_, failure);
  slot.pending.store(nullptr, std::memory_order_release);
  if (!taken) free_failure(pool, failure);
}

std::uintptr_t Cursor::find_function(CodeToken code) const {
  const std::uintptr_t address = engine::find_function(code, worker_->pool_.modules);
  if (address != 0) return address;
  throw_unknown_code(code, worker_->pool_.modules);
}

void* Cursor::allocate(std::size_t bytes) {
  return allocate_block(worker_->pool_.shared != 0, bytes);
}

void Cursor::keep(void* block, void** home) noexcept {
  const PoolState& pool = worker_->pool_;
  const std::atomic_ref<void*> word(*home);
  if (word.load(std::memory_order_acquire) != nullptr) {
    // Run again after a death: the first result is whole, or it would not be there.
    deallocate_block(pool.shared != 0, block);
    return;
  }
  WorkerSlot& slot = worker_->slot_;
  slot.home.store(home, std::memory_order_relaxed);
  slot.pending.store(block, std::memory_order_release);
  if (pool.shared != 0) shm::give(block);
  word.store(block, std::memory_order_release);
  slot.pending.store(nullptr, std::memory_order_release);
}

}  // namespace procyon::engine
