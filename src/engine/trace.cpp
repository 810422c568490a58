#include "engine/trace.hpp"

#include "engine/worker.hpp"
#include "process/process.hpp"

#include <procyon/base/errors.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

namespace procyon::engine {
namespace {

// Of a pool: a share of them is a worker's.
constexpr std::uint64_t events_in_all = std::uint64_t{1} << 16;
constexpr std::uint64_t fewest_events = 1024;

// The log, its rings and their events in one block.
TraceLog* make_log(const PoolState& pool) {
  const std::uint64_t capacity = std::max(events_in_all / pool.workers, fewest_events);
  const std::size_t rings = (sizeof(TraceLog) + 63) / 64 * 64;
  const std::size_t events = rings + (pool.workers * sizeof(TraceRing) + 63) / 64 * 64;
  auto* block = static_cast<unsigned char*>(
      allocate_block(pool.shared != 0, events + pool.workers * capacity * sizeof(TraceEvent)));
  auto* log = ::new (block) TraceLog{pool.workers, reinterpret_cast<TraceRing*>(block + rings)};
  auto* first = reinterpret_cast<TraceEvent*>(block + events);
  std::memset(static_cast<void*>(first), 0,
              pool.workers * capacity * sizeof(TraceEvent));  // none is written yet
  for (std::uint32_t i = 0; i < pool.workers; ++i) {
    ::new (log->rings + i) TraceRing{{0}, capacity, first + i * capacity};
  }
  return log;
}

void read_ring(const TraceRing& ring, std::uint32_t worker, RecordedPool& out) {
  const std::uint64_t count = ring.count.load(std::memory_order_acquire);
  const std::uint64_t kept = std::min(count, ring.capacity);
  for (std::uint64_t i = 0; i < kept; ++i) {
    const TraceEvent& event = ring.events[i];
    const std::int64_t begin = event.begin.load(std::memory_order_acquire);
    if (begin == 0) continue;
    const std::int64_t end = event.end.load(std::memory_order_acquire);
    out.tasks.push_back({begin, end, event.item, event.items.load(std::memory_order_relaxed),
                         event.attempt, worker, event.thread.pid, event.thread.thread});
  }
  out.dropped += count - kept;
}

}  // namespace

/// The pools of this process, and the trace that is being recorded.
class TraceRegistry {
 public:
  // Never destroyed, for pools that static objects hold. A process that was forked gets its own:
  // its parent's may be locked, and names the parent's pools.
  static TraceRegistry& get() {
    static std::atomic<TraceRegistry*> current{nullptr};
    TraceRegistry* registry = current.load(std::memory_order_acquire);
    while (registry == nullptr || registry->generation_ != process::fork_generation()) {
      auto mine = std::make_unique<TraceRegistry>();
      if (current.compare_exchange_strong(registry, mine.get(), std::memory_order_acq_rel)) {
        return *mine.release();
      }
    }
    return *registry;
  }

  void begin() {
    const std::scoped_lock lock(mutex_);
    if (is_recording_) {
      throw Error("a Trace is being recorded already: end it before the next one begins");
    }
    std::size_t begun = 0;
    try {
      for (; begun < records_.size(); ++begun) records_[begun]->begin();
    } catch (...) {
      while (begun > 0) records_[--begun]->retire();
      throw;
    }
    is_recording_ = true;
  }

  std::vector<RecordedPool> end() {
    const std::scoped_lock lock(mutex_);
    for (PoolRecord* record : records_) record->collect(ended_);
    is_recording_ = false;
    return std::exchange(ended_, {});
  }

  void add(PoolRecord& record) {
    const std::scoped_lock lock(mutex_);
    records_.reserve(records_.size() + 1);
    if (is_recording_) record.begin();
    records_.push_back(&record);
  }

  void remove(PoolRecord& record) noexcept {
    const std::scoped_lock lock(mutex_);
    try {
      if (is_recording_) record.collect(ended_);
    } catch (const std::bad_alloc&) {
      record.retire();
    }
    std::erase(records_, &record);
  }

  std::mutex& mutex() noexcept { return mutex_; }

 private:
  std::mutex mutex_;
  const unsigned generation_ = process::fork_generation();
  std::vector<PoolRecord*> records_;
  std::vector<RecordedPool> ended_;  // of pools that ended while the trace lives
  bool is_recording_ = false;
};

TraceEvent* TraceRing::begin(std::int64_t now, std::uint64_t item, std::uint32_t attempt,
                             TraceThread thread) noexcept {
  const std::uint64_t number = count.fetch_add(1, std::memory_order_relaxed);
  TraceEvent* event = nullptr;
  if (number < capacity) {
    event = events + number;
    event->items.store(1, std::memory_order_relaxed);
    event->item = item;
    event->attempt = attempt;
    event->thread = thread;
    event->begin.store(now, std::memory_order_release);
  }
  return event;
}

void PoolRecord::add(PoolState& pool, bool has_slots) {
  pool_ = &pool;
  has_slots_ = has_slots;
  generation_ = process::fork_generation();
  try {
    TraceRegistry::get().add(*this);
  } catch (...) {
    pool_ = nullptr;
    throw;
  }
}

void PoolRecord::remove() noexcept {
  if (pool_ == nullptr || generation_ != process::fork_generation()) return;
  TraceRegistry::get().remove(*this);
  for (TraceLog* log : retired_) deallocate_block(pool_->shared != 0, log);
  pool_ = nullptr;
}

void PoolRecord::set_name(std::string name) {
  const std::scoped_lock lock(TraceRegistry::get().mutex());
  name_ = std::move(name);
}

void PoolRecord::begin() {
  retired_.reserve(retired_.size() + 1);
  pool_->trace.store(make_log(*pool_), std::memory_order_seq_cst);
}

void PoolRecord::collect(std::vector<RecordedPool>& out) {
  const TraceLog* log = pool_->trace.load(std::memory_order_relaxed);
  if (log == nullptr) return;
  RecordedPool pool{name_, pool_->shared != 0, {}};
  for (std::uint32_t i = 0; i < log->workers; ++i) read_ring(log->rings[i], i, pool);
  out.push_back(std::move(pool));
  retire();
}

// A worker looks for the log after its slot says that it has a job.
void PoolRecord::retire() noexcept {
  TraceLog* log = pool_->trace.exchange(nullptr, std::memory_order_seq_cst);
  if (log == nullptr) return;
  bool is_held = !has_slots_;
  for (std::uint32_t i = 0; i < pool_->workers; ++i) {
    is_held = is_held || pool_->slots[i].job.load(std::memory_order_seq_cst) != 0;
  }
  if (is_held) {
    retired_.push_back(log);
  } else {
    deallocate_block(pool_->shared != 0, log);
  }
}

void begin_trace() { TraceRegistry::get().begin(); }
std::vector<RecordedPool> end_trace() { return TraceRegistry::get().end(); }

}  // namespace procyon::engine
