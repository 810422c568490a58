#include "engine/recovery.hpp"

#include "engine/exceptions.hpp"
#include "engine/worker.hpp"
#include "shm/members.hpp"
#include "sync/futex.hpp"

#include <procyon/shm/heap.hpp>

#include <algorithm>
#include <new>

namespace procyon::engine {
namespace {

// Whether the word at `home` names the block. A failure may have been chained behind a lower one.
bool has_arrived(const void* block, void** home, const Job* job) noexcept {
  if (job == nullptr || static_cast<const void*>(home) != &job->failure) {
    return std::atomic_ref<void*>(*home).load(std::memory_order_acquire) == block;
  }
  const Failure* failure = job->failure.load(std::memory_order_acquire);
  while (failure != nullptr && failure != block) failure = failure->next;
  return failure != nullptr;
}

// A block on its way into a job: the job has it, or nobody will ever find it.
void settle_pending(WorkerSlot& slot, const Job* job) noexcept {
  void* block = slot.pending.load(std::memory_order_acquire);
  if (block == nullptr) return;
  const bool arrived = has_arrived(block, slot.home.load(std::memory_order_acquire), job);
  // Forgotten first and freed after: a death in between leaks the block, the other way round it
  // would be freed twice.
  slot.pending.store(nullptr, std::memory_order_release);
  if (!arrived && shm::block_owner(block) == shm::MemberId{}) shm::deallocate(block);
}

// Without memory for the record the bound alone says that the item failed.
void record_crash(Job& job, std::uint64_t item, unsigned attempt, pid_t pid, int status,
                  bool overdue) noexcept {
  Failure* failure = nullptr;
  try {
    failure = static_cast<Failure*>(shm::allocate(sizeof(Failure), block_align));
  } catch (const std::bad_alloc&) {
    if (job.keep_going == 0) lower_bound(job, item);
    return;
  }
  *failure = {};
  failure->item = item;
  failure->pid = pid;
  failure->attempt = attempt + 1;
  failure->kind = overdue ? Failure::Kind::timed_out : Failure::Kind::crashed;
  failure->limit = job.time_limit;
  failure->status = status;
  shm::give(failure);
  if (!offer_failure(job, failure)) shm::deallocate(failure);
}

// None of its items need begin, and how those end that have begun is nobody's business.
bool is_over(const Job& job) noexcept {
  if (job.keep_going != 0) return job.bound.load(std::memory_order_acquire) == 0;
  const Failure* lowest = job.failure.load(std::memory_order_acquire);
  return lowest != nullptr && lowest->ends_job();
}

// What becomes of the chunk that the dead worker had claimed.
Lease settle_chunk(const PoolState& pool, Job& job, const WorkerSlot& slot, Lease lease, pid_t pid,
                   int status) noexcept {
  const std::uint64_t announced = slot.item.load(std::memory_order_acquire);
  const std::uint64_t first = slot.chunk.load(std::memory_order_acquire) * job.chunk;
  if (is_over(job)) {
    lease.state = Lease::done;
  } else if (announced == no_item || pool.status.load() != PoolState::running) {
    // Nothing was begun, so nobody is guilty; or the pool ends, and its jobs fail as a whole.
    lease.state = Lease::ready;
  } else if ((announced & Cursor::batch_flag) != 0) {
    lease.state = Lease::ready;  // one of a batch: the next attempt finds out which
    lease.resume = (announced & ~Cursor::batch_flag) - first;
    lease.attempt = std::min(lease.attempt + 1, Lease::max_attempt);
  } else {
    const bool overdue = slot.overdue.load(std::memory_order_acquire) != 0;
    record_crash(job, announced, lease.attempt, pid, status, overdue);
    // Items after a failure need not begin, unless the job keeps going.
    const std::uint64_t end = std::min(first + job.chunk, job.items);
    const bool goes_on = job.keep_going != 0 && announced + 1 < end;
    lease.state = goes_on ? Lease::ready : Lease::done;
    lease.resume = announced + 1 - first;
  }
  lease.owner = 0;
  return lease;
}

void settle_job(const PoolState& pool, Job& job, const WorkerSlot& slot, std::uint32_t index,
                pid_t pid, int status) noexcept {
  const std::uint64_t chunk = slot.chunk.load(std::memory_order_acquire);
  if (chunk < job.chunks) {
    std::uint64_t word = job.leases[chunk].load(std::memory_order_acquire);
    const Lease lease = Lease::unpack(word);
    if (lease.state == Lease::run && lease.owner == index + 1) {
      const Lease next = settle_chunk(pool, job, slot, lease, pid, status);
      job.leases[chunk].compare_exchange_strong(word, next.pack(), std::memory_order_seq_cst);
    }
  }
  // The dead may have published a chunk without counting it, or finished without waking.
  job.recount.store(1, std::memory_order_seq_cst);
  if (all_done(job)) finish(job);
  sync::futex_wake(job.state, sync::all_waiters);
}

void clear_bit(std::atomic<std::uint64_t>* mask, std::uint32_t index) noexcept {
  mask[index / 64].fetch_and(~(std::uint64_t{1} << (index % 64)), std::memory_order_seq_cst);
}

}  // namespace

void recover_worker(PoolState& pool, std::uint32_t index, pid_t pid, int status) noexcept {
  WorkerSlot& slot = pool.slots[index];
  const std::uint32_t named = slot.job.load(std::memory_order_acquire);
  settle_pending(slot, named == 0 ? nullptr : &pool.job(named - 1));
  if (named != 0) {
    // The pin of the dead keeps the descriptor from being recycled; one that was released before
    // the pin has an even generation and is nobody's.
    Job& job = pool.job(named - 1);
    if (job.generation.load(std::memory_order_acquire) % 2 == 1) {
      settle_job(pool, job, slot, index, pid, status);
    }
    slot.job.store(0, std::memory_order_release);
  }
  clear_bit(pool.sleeping, index);
  clear_bit(pool.spinning, index);
  // A wake-up or a ticket may have died with it.
  pool.rescan.fetch_add(1, std::memory_order_seq_cst);
  wake_workers(pool, sync::all_waiters);
}

}  // namespace procyon::engine
