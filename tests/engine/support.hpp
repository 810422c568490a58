// A pool made by hand in the shared heap, and workers that really die.
#pragma once

#include <procyon/engine/engine.hpp>
#include <procyon/shm/heap.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>

#include "catch.hpp"
#include "engine/code.hpp"
#include "engine/layout.hpp"
#include "engine/recovery.hpp"
#include "engine/worker.hpp"
#include "process/process.hpp"
#include "shm/members.hpp"

extern "C" __attribute__((visibility("hidden"))) const char __ehdr_start[];  // NOLINT

namespace hand_made {

using namespace procyon::engine;  // NOLINT(google-build-using-namespace): the room under test
namespace shm = procyon::shm;

/// A PoolState with one block of jobs, as Engine makes it, without processes.
class HandMadePool {
 public:
  explicit HandMadePool(std::uint32_t workers)
      : pool_(construct<PoolState>(1)),
        slots_(construct<WorkerSlot>(workers)),
        jobs_(construct<Job>(first_block)) {
    pool_->workers = workers;
    pool_->shared = 1;
    pool_->cpus = 2;
    pool_->slots = slots_;
    for (std::uint32_t i = 0; i < workers; ++i) slots_[i].item.store(no_item);
    for (std::uint32_t i = 0; i < first_block; ++i) jobs_[i].index = i;
    pool_->blocks[0].store(jobs_);
    pool_->blocks_used.store(1);
  }
  ~HandMadePool() {
    for (Failure* failure = job().failure.load(); failure != nullptr;) {
      Failure* const next = failure->next;
      shm::deallocate(failure);
      failure = next;
    }
    if (leases_ != nullptr) shm::deallocate(leases_);
    shm::deallocate(jobs_);
    shm::deallocate(slots_);
    shm::deallocate(pool_);
  }
  HandMadePool(const HandMadePool&) = delete;
  HandMadePool& operator=(const HandMadePool&) = delete;

  PoolState& state() const { return *pool_; }
  WorkerSlot& slot(std::uint32_t worker) const { return slots_[worker]; }
  /// The only job, number 3 of its block.
  Job& job() const { return jobs_[3]; }
  Lease lease(std::size_t chunk = 0) const { return Lease::unpack(job().leases[chunk].load()); }
  void set_lease(std::size_t chunk, Lease lease) const { job().leases[chunk].store(lease.pack()); }

  /// A submitted job of `chunks` chunks with `chunk` items each, all READY.
  void submit(std::uint64_t chunks, std::uint64_t chunk) {
    Job& submitted = job();
    submitted.items = chunks * chunk;
    submitted.chunk = chunk;
    submitted.chunks = chunks;
    if (chunks > 1) leases_ = construct<LeaseWord>(chunks);
    submitted.leases = chunks > 1 ? leases_ : &submitted.inline_lease;
    for (std::size_t i = 0; i < chunks; ++i) set_lease(i, {Lease::ready, 0, 0, 0});
    submitted.bound.store(no_item);
    submitted.payload = submitted.inline_bytes;
    submitted.generation.store(1);
  }
  /// What a worker writes when it claims a chunk.
  void claim(std::uint32_t worker, std::uint64_t chunk, unsigned attempt = 0) const {
    slot(worker).job.store(job().index + 1);
    slot(worker).item.store(no_item);
    slot(worker).chunk.store(chunk);
    set_lease(chunk, {Lease::run, attempt, worker + 1, 0});
  }
  /// As the guardian calls it, and once more: recovery may die and is done again.
  void recover(std::uint32_t worker, pid_t pid = 4711, int status = SIGKILL) const {
    recover_worker(state(), worker, pid, status);
    recover_worker(state(), worker, pid, status);
  }

 private:
  template <class T>
  static T* construct(std::size_t count) {
    auto* first = static_cast<T*>(allocate_block(true, count * sizeof(T)));
    std::uninitialized_value_construct_n(first, count);
    return first;
  }

  PoolState* pool_;
  WorkerSlot* slots_;
  Job* jobs_;
  LeaseWord* leases_ = nullptr;
};

/// Runs `body` in a member of the heap that dies at its end; its slot is left to be recovered.
inline std::uint16_t die_after(const std::function<void()>& body) {
  const shm::MemberId id = shm::reserve_member(shm::MemberKind::worker);
  const pid_t pid = procyon::process::fork_child("a test", [&] {
    shm::become_member(id);
    body();
    return 0;
  });
  CHECK(procyon::process::reap(pid) == 0);
  return id.slot;
}

}  // namespace hand_made
