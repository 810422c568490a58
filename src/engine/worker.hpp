// One worker: finds jobs, claims chunks, runs them in place. The same code in a process of a
// Pool, in a thread of a ThreadPool, and in the caller of a SerialPool.
#pragma once

#include "engine/layout.hpp"

#include <procyon/engine/engine.hpp>

namespace procyon::engine {

class Worker {
 public:
  /// `max_tasks`: it leaves after so many; 0: it stays.
  Worker(PoolState& pool, std::uint32_t index, std::uint64_t max_tasks = 0) noexcept;

  /// Runs the pool's initializer. False: it failed, here or in another worker, and the job says
  /// how.
  bool initialise();
  /// Runs jobs until the pool stops, or the worker has had its tasks.
  void run();
  /// Runs every chunk of the job that nobody has claimed.
  void run_job(Job& job);
  /// The same for a caller that is its own worker; the listener may be null.
  void run_in_caller(Job& job, ProgressListener* listener);

  /// Whether the calling thread is in a task of the pool, which runs in this process.
  static bool is_in_task_of(const PoolState& pool) noexcept;
  /// Where that is so, runs every chunk of `job` that nobody has claimed: a task that waits for a
  /// job of its own pool does not wait for workers that wait themselves. Of that job only: what
  /// lies on this thread's stack is then always what the frame below waits for, so that jobs which
  /// wait for each other in no circle all end.
  static void help(PoolState& pool, Job& job);

 private:
  friend class Cursor;
  bool run_from_ring();
  void wake_for_others(std::uint64_t tail) noexcept;
  bool run_from_leases();
  void rest();
  bool spin();
  Job* pin(std::uint64_t entry) noexcept;
  void unpin() noexcept;
  bool claim_and_run(Job& job, std::uint64_t chunk);
  /// Returns where it stopped, counted in the job: after the chunk, or after this worker's tasks.
  std::uint64_t run_chunk(Job& job, std::uint64_t chunk, Lease lease);
  void run_items(Job& job, CodeToken code, Cursor& cursor);
  void hand_on(Job& job, std::uint64_t chunk, Lease lease, std::uint64_t stopped);
  void publish(Job& job, std::uint64_t chunk, Lease lease);
  const JobType& resolve(CodeToken code);
  bool set_bit(std::atomic<std::uint64_t>* mask, bool on) noexcept;

  PoolState& pool_;
  WorkerSlot& slot_;
  std::uint32_t index_;
  std::uint32_t rescanned_ = 0;
  std::uint64_t tasks_left_;
  bool counted_on_ = false;  // submitters may have seen this worker spin, and woken nobody
  CodeToken last_code_ = 0;
  const JobType* last_type_ = nullptr;
};

/// Marks the job finished and wakes who waits for it. May be done more than once.
void finish(Job& job) noexcept;
/// Whether every lease is DONE: the truth that `done` only approximates.
bool all_done(const Job& job) noexcept;
/// Makes `failure` the job's if its item is the lowest so far; a job that keeps going takes every
/// one. Returns false when it was not taken.
bool offer_failure(Job& job, Failure* failure) noexcept;
/// Says that `item` failed, so that items above it need not begin.
void lower_bound(Job& job, std::uint64_t item) noexcept;
/// Wakes up to `count` sleeping workers.
void wake_workers(PoolState& pool, int count) noexcept;
/// Memory that all workers of a pool see, aligned to `block_align`: in the shared heap or not.
void* allocate_block(bool shared, std::size_t bytes);
void deallocate_block(bool shared, void* block) noexcept;

}  // namespace procyon::engine
