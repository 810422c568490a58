#include "engine/worker.hpp"

#include "engine/code.hpp"
#include "engine/trace.hpp"
#include "process/process.hpp"
#include "shm/files.hpp"
#include "sync/futex.hpp"

#include <procyon/base/errors.hpp>
#include <procyon/shm/heap.hpp>

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <new>

namespace procyon::engine {
namespace {

using std::chrono::steady_clock;

// A wake-up costs tens of microseconds and a cross-core hand-over a third of one; longer spins
// take the CPU from the very process that is waited for.
constexpr std::chrono::microseconds spin_time{20};

std::size_t count_bits(const std::atomic<std::uint64_t>* mask, std::size_t words) noexcept {
  std::size_t bits = 0;
  for (std::size_t i = 0; i < words; ++i) {
    bits += static_cast<std::size_t>(std::popcount(mask[i].load(std::memory_order_seq_cst)));
  }
  return bits;
}

bool has_work(const PoolState& pool) noexcept {
  return pool.tail.load(std::memory_order_seq_cst) != pool.head.load(std::memory_order_seq_cst);
}

bool has_sleepers(const PoolState& pool) noexcept {
  return std::any_of(pool.sleeping, pool.sleeping + pool.mask_words(),
                     [](const auto& word) { return word.load(std::memory_order_seq_cst) != 0; });
}

class Frame;
thread_local const Frame* innermost = nullptr;

// The pools that this thread is a worker of, the innermost first.
class Frame {
 public:
  Frame(const PoolState& pool, std::uint32_t index) noexcept
      : pool_(pool), index_(index), outer_(innermost) {
    innermost = this;
  }
  ~Frame() { innermost = outer_; }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  static const Frame* find(const PoolState& pool) noexcept {
    const Frame* frame = innermost;
    while (frame != nullptr && &frame->pool_ != &pool) frame = frame->outer_;
    return frame;
  }
  std::uint32_t index() const noexcept { return index_; }

 private:
  const PoolState& pool_;
  std::uint32_t index_;
  const Frame* outer_;
};

}  // namespace

Worker::Worker(PoolState& pool, std::uint32_t index, std::uint64_t max_tasks) noexcept
    : pool_(pool),
      slot_(pool.slots[index]),
      index_(index),
      tasks_left_(max_tasks != 0 ? max_tasks : no_item) {}

bool Worker::initialise() {
  if (Job* job = pool_.initializer) {
    Cursor cursor;
    cursor.end_ = 1;
    cursor.decide_at_ = max_items;
    run_items(*job, pool_.initializer_code, cursor);
    slot_.item.store(no_item, std::memory_order_relaxed);
    if (job->bound.load(std::memory_order_acquire) != no_item) return false;
  }
  slot_.is_ready.store(1, std::memory_order_release);
  return true;
}

void Worker::run() {
  const Frame frame(pool_, index_);
  while (tasks_left_ != 0 && pool_.status.load(std::memory_order_acquire) == PoolState::running) {
    if (run_from_ring()) continue;
    if (rescanned_ != pool_.rescan.load(std::memory_order_acquire)) {
      run_from_leases();
    } else if (!spin()) {
      rest();
    }
  }
}

// The tail moves on only when its job has nothing left to claim, so a death on the way loses no
// job: the next worker finds the same entry.
bool Worker::run_from_ring() {
  std::uint64_t tail = pool_.tail.load(std::memory_order_acquire);
  if (tail == pool_.head.load(std::memory_order_acquire)) return false;
  if (Job* job = pin(pool_.ring[tail % ring_size].load(std::memory_order_acquire))) {
    if (counted_on_ && job->next.load(std::memory_order_relaxed) < job->chunks) {
      wake_for_others(tail);
    }
    run_job(*job);
    unpin();
    if (tasks_left_ == 0) return true;  // perhaps before its last chunk
  }
  pool_.tail.compare_exchange_strong(tail, tail + 1, std::memory_order_seq_cst);
  return true;
}

// Every submitter that saw the spin bit counted on this worker, which has time for one job only.
// Either a submitter sees that the bit is gone, or this sees its job.
void Worker::wake_for_others(std::uint64_t tail) noexcept {
  counted_on_ = false;
  const std::uint64_t jobs = pool_.head.load(std::memory_order_seq_cst) - tail;
  if (jobs <= 1 || !has_sleepers(pool_)) return;
  wake_workers(pool_, static_cast<int>(std::min<std::uint64_t>(jobs - 1, max_workers)));
}

// After a death: chunks may be READY behind the ring's tail, or never handed out by `next`.
bool Worker::run_from_leases() {
  const std::uint32_t asked = pool_.rescan.load(std::memory_order_acquire);
  bool ran = false;
  for (std::uint32_t index = 0; index < pool_.job_count(); ++index) {
    const auto generation = pool_.job(index).generation.load(std::memory_order_acquire);
    Job* job = generation % 2 == 1 ? pin(ring_entry(index, generation)) : nullptr;
    if (job == nullptr) continue;
    if ((job->state.load(std::memory_order_acquire) & Job::finished) == 0) {
      for (std::uint64_t chunk = 0; chunk < job->chunks && tasks_left_ != 0; ++chunk) {
        ran |= claim_and_run(*job, chunk);
      }
    }
    unpin();
  }
  rescanned_ = asked;
  return ran;
}

// Store, then look again: either the submitter sees the pin and does not recycle the descriptor,
// or this sees that it was recycled.
Job* Worker::pin(std::uint64_t entry) noexcept {
  const auto index = static_cast<std::uint32_t>(entry);
  const auto generation = static_cast<std::uint32_t>(entry >> 32);
  slot_.job.store(index + 1, std::memory_order_seq_cst);
  Job& job = pool_.job(index);
  if (job.generation.load(std::memory_order_seq_cst) == generation) return &job;
  unpin();
  return nullptr;
}

void Worker::unpin() noexcept { slot_.job.store(0, std::memory_order_release); }

bool Worker::is_in_task_of(const PoolState& pool) noexcept { return Frame::find(pool) != nullptr; }

// The slot's chunk and item are the outer task's no more; only recovery reads them, and threads
// are not recovered.
void Worker::help(PoolState& pool, Job& job) {
  const Frame* const frame = Frame::find(pool);
  if (frame != nullptr) Worker(pool, frame->index()).run_job(job);
}

void Worker::run_in_caller(Job& job, ProgressListener* listener) {
  const Frame frame(pool_, index_);
  for (std::uint64_t chunk = 0; chunk < job.chunks; ++chunk) {
    claim_and_run(job, chunk);
    if (listener != nullptr) listener->show((chunk + 1) * job.chunk, job.items);
  }
}

void Worker::run_job(Job& job) {
  while (tasks_left_ != 0 && job.next.load(std::memory_order_relaxed) < job.chunks) {
    const std::uint64_t chunk = job.next.fetch_add(1, std::memory_order_relaxed);
    if (chunk >= job.chunks) return;
    claim_and_run(job, chunk);
  }
}

bool Worker::claim_and_run(Job& job, std::uint64_t chunk) {
  std::uint64_t word = job.leases[chunk].load(std::memory_order_acquire);
  Lease lease = Lease::unpack(word);
  if (lease.state != Lease::ready) return false;
  // Before the claim, so that recovery looks at the right lease and charges no old item.
  slot_.item.store(no_item, std::memory_order_relaxed);
  slot_.chunk.store(chunk, std::memory_order_release);
  lease.state = Lease::run;
  lease.owner = index_ + 1;
  if (!job.leases[chunk].compare_exchange_strong(word, lease.pack(), std::memory_order_acq_rel)) {
    return false;
  }
  const std::uint64_t stopped = run_chunk(job, chunk, lease);
  // Items after a failure need not run.
  const std::uint64_t end = std::min((chunk + 1) * job.chunk, job.items);
  if (stopped < end && job.bound.load(std::memory_order_relaxed) > stopped) {
    hand_on(job, chunk, lease, stopped);
  } else {
    publish(job, chunk, lease);
  }
  return true;
}

std::uint64_t Worker::run_chunk(Job& job, std::uint64_t chunk, Lease lease) {
  Cursor cursor;
  cursor.begin_ = chunk * job.chunk + lease.resume;
  cursor.end_ = std::min((chunk + 1) * job.chunk, job.items);
  if (job.whole_chunks == 0) {
    cursor.end_ = cursor.begin_ + std::min(cursor.end_ - cursor.begin_, tasks_left_);
  }
  cursor.attempt_ = lease.attempt;
  cursor.keep_going_ = job.keep_going != 0;
  cursor.limit_ = job.time_limit;
  // A chunk that somebody died in is run one by one, and so is the rest of a job that goes on.
  const bool may_batch = job.may_rerun != 0 && lease.attempt == 0 && job.time_limit == 0 &&
                         (!cursor.keep_going_ || job.recount.load(std::memory_order_relaxed) == 0);
  cursor.choose_at_ = may_batch ? cursor.begin_ : max_items;
  cursor.decide_at_ = job.time_limit == 0 ? cursor.choose_at_ : 0;
  // Not before the slot names the job: the log lives as long as that.
  const TraceLog* log = pool_.trace.load(std::memory_order_seq_cst);
  if (log != nullptr) cursor.record(log->rings[index_]);
  run_items(job, job.code, cursor);
  cursor.finish();
  const std::uint64_t count = cursor.end_ - cursor.begin_;
  slot_.tasks.store(slot_.tasks.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  if (tasks_left_ != no_item) tasks_left_ -= std::min(count, tasks_left_);
  return cursor.end_;
}

void Worker::run_items(Job& job, CodeToken code, Cursor& cursor) {
  cursor.announced_ = &slot_.item;
  cursor.stop_ = &job.bound;
  cursor.worker_ = this;
  cursor.job_ = &job;
  try {
    // Files that the program has mapped since this process was forked.
    if (pool_.shared != 0) shm::sync_mappings();
    resolve(code).run(job.payload, cursor);
  } catch (...) {
    const std::uint64_t last = cursor.keep_going_ ? cursor.end_ : cursor.begin_ + 1;
    for (std::uint64_t item = cursor.begin_; item < last; ++item) cursor.fail(item);
  }
}

// The rest of a chunk, for whoever finds it.
void Worker::hand_on(Job& job, std::uint64_t chunk, Lease lease, std::uint64_t stopped) {
  std::uint64_t word = lease.pack();
  const Lease rest{Lease::ready, lease.attempt, 0, stopped - chunk * job.chunk};
  if (!job.leases[chunk].compare_exchange_strong(word, rest.pack(), std::memory_order_seq_cst)) {
    return;
  }
  slot_.item.store(no_item, std::memory_order_relaxed);
  pool_.rescan.fetch_add(1, std::memory_order_seq_cst);
  wake_workers(pool_, sync::all_waiters);
}

// Release: the chunk's results are there for whoever reads DONE. A failed CAS would mean that
// this worker was declared dead while it lived; it then has no say any more.
void Worker::publish(Job& job, std::uint64_t chunk, Lease lease) {
  std::uint64_t word = lease.pack();
  lease.state = Lease::done;
  if (!job.leases[chunk].compare_exchange_strong(word, lease.pack(), std::memory_order_seq_cst)) {
    return;
  }
  slot_.item.store(no_item, std::memory_order_relaxed);
  const std::uint64_t counted = job.done.fetch_add(1, std::memory_order_seq_cst) + 1;
  // After a death the count may be short for ever, and the leases are asked. Recovery raises
  // `recount` before it looks at the leases, so one of the two sees the last DONE.
  const bool last =
      counted == job.chunks || (job.recount.load(std::memory_order_seq_cst) != 0 && all_done(job));
  if (last) finish(job);
}

const JobType& Worker::resolve(CodeToken code) {
  if (code != last_code_ || last_type_ == nullptr) {
    last_type_ = find_code(code, pool_.modules);
    last_code_ = code;
  }
  if (last_type_ != nullptr) return *last_type_;
  throw_unknown_code(code, pool_.modules);
}

// One bit a worker, not a count: what a dead or stopped worker leaves can be taken back.
bool Worker::set_bit(std::atomic<std::uint64_t>* mask, bool on) noexcept {
  const std::uint64_t bit = std::uint64_t{1} << (index_ % 64);
  if (on) return (mask[index_ / 64].fetch_or(bit, std::memory_order_seq_cst) & bit) == 0;
  return (mask[index_ / 64].fetch_and(~bit, std::memory_order_seq_cst) & bit) != 0;
}

bool Worker::spin() {
  if (count_bits(pool_.spinning, pool_.mask_words()) + 1 >= pool_.cpus) return false;
  set_bit(pool_.spinning, true);
  counted_on_ = true;
  const auto end = steady_clock::now() + spin_time;
  bool found = has_work(pool_);
  while (!found && steady_clock::now() < end) {
    for (int turn = 0; turn < 32 && !found; ++turn) {
      sync::cpu_relax();
      found =
          pool_.tail.load(std::memory_order_relaxed) != pool_.head.load(std::memory_order_relaxed);
    }
  }
  set_bit(pool_.spinning, false);
  return found;
}

// The bit is set before the last look, and the submitter looks for bits after it has published:
// one of the two sees the other.
void Worker::rest() {
  if (pool_.shared != 0) process::flush_output();
  const std::uint32_t heard = pool_.bell.load(std::memory_order_seq_cst);
  set_bit(pool_.sleeping, true);
  if (!has_work(pool_) && rescanned_ == pool_.rescan.load(std::memory_order_seq_cst) &&
      pool_.status.load(std::memory_order_seq_cst) == PoolState::running) {
    sync::futex_wait(pool_.bell, heard);
  }
  set_bit(pool_.sleeping, false);
}

void finish(Job& job) noexcept {
  const auto before = job.state.fetch_or(Job::finished, std::memory_order_seq_cst);
  if ((before & Job::has_waiters) != 0) sync::futex_wake(job.state, sync::all_waiters);
}

bool all_done(const Job& job) noexcept {
  for (std::uint64_t chunk = 0; chunk < job.chunks; ++chunk) {
    const auto word = job.leases[chunk].load(std::memory_order_seq_cst);
    if (Lease::unpack(word).state != Lease::done) return false;
  }
  return true;
}

bool offer_failure(Job& job, Failure* failure) noexcept {
  const bool lowest_only = job.keep_going == 0;
  Failure* before = job.failure.load(std::memory_order_acquire);
  do {
    if (lowest_only && before != nullptr && before->item <= failure->item) return false;
    failure->next = before;  // not freed here: others may be looking at it
  } while (!job.failure.compare_exchange_weak(before, failure, std::memory_order_acq_rel));
  if (lowest_only || failure->ends_job()) lower_bound(job, failure->item);
  return true;
}

void lower_bound(Job& job, std::uint64_t item) noexcept {
  std::uint64_t bound = job.bound.load(std::memory_order_relaxed);
  while (item < bound && !job.bound.compare_exchange_weak(bound, item, std::memory_order_relaxed)) {
  }
}

void wake_workers(PoolState& pool, int count) noexcept {
  pool.bell.fetch_add(1, std::memory_order_seq_cst);
  sync::futex_wake(pool.bell, count);
}

void* allocate_block(bool shared, std::size_t bytes) {
  if (shared) return shm::allocate(bytes, block_align);
  return ::operator new (bytes, std::align_val_t{block_align});
}

void deallocate_block(bool shared, void* block) noexcept {
  if (block == nullptr) return;
  if (shared) {
    shm::deallocate(block);
  } else {
    ::operator delete (block, std::align_val_t{block_align});
  }
}

}  // namespace procyon::engine
