// What the processes of a pool share. Only data; who may change what, and when, is said here.
//
// The life of a job (one map, or one apply):
//
//   submitter       FREE --prepare--> PREPARED --submit--> RUNNING ------------------> FINISHED
//   (the program)    ^                    generation odd;  workers claim chunks          |
//                    '------------ release, generation even; reused when no slot names it'
//
// The life of a chunk is one 64-bit lease word, the only truth about it; everything else that
// speaks of it (ring, `next`, `done`) is a hint:
//
//   READY(attempt, resume) --claim, CAS by a worker--> RUN(owner) --publish, CAS by it--> DONE
//        ^                                                |
//        '--- recovery, after the owner's death is proven-'--> DONE, with a Failure recorded
//             (READY behind the item that failed, where the job keeps going)
//
//   A job with a time limit: the zygote stops a worker whose item has had its time, and kills it
//   where the slot, looked at again, still says so (overdue.hpp). `overdue` tells recovery why.
//   A job that is cancelled: its READY leases go to DONE by CAS of the submitter's.
//   READY: the payload is the submitter's to read only.   RUN: results of the chunk's items are
//   written by the owner alone.   DONE: they are the submitter's.
//
// What a death leaves behind, and who clears it (recovery.cpp): a RUN lease, found through the
// slot's `job` and `chunk`; a block on its way into a job (`pending`, `home`); its sleep and spin
// bits; a ticket drawn from `next` and not used, and a chunk done but not counted: both are made
// good by `rescan` and `recount`, which make the living look at the leases themselves.
#pragma once

#include <procyon/engine/job.hpp>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace procyon::engine {

struct TraceLog;

constexpr std::size_t inline_payload = 320;
constexpr std::size_t block_align = 128;
constexpr std::size_t first_block = 64;  // jobs; each further block holds twice as many
constexpr std::size_t max_blocks = 24;
constexpr std::size_t ring_size = 1 << 14;
constexpr std::size_t max_modules = 64;
constexpr std::uint64_t no_item = ~std::uint64_t{0};

/// A lease word: state in bits 0-2, attempt in 3-7, owner (worker index + 1) in 8-23, and in
/// 24-63 the offset in the chunk from which to run.
struct Lease {
  enum State : std::uint64_t { none, ready, run, done };
  static constexpr unsigned max_attempt = 31;
  State state;
  unsigned attempt;
  std::uint32_t owner;
  std::uint64_t resume;

  static constexpr Lease unpack(std::uint64_t word) noexcept {
    return {static_cast<State>(word & 7), static_cast<unsigned>(word >> 3 & 31),
            static_cast<std::uint32_t>(word >> 8 & 0xffff), word >> 24};
  }
  constexpr std::uint64_t pack() const noexcept {
    return static_cast<std::uint64_t>(state) | std::uint64_t{attempt} << 3 |
           std::uint64_t{owner} << 8 | resume << 24;
  }
};
static_assert(Lease::unpack(Lease{Lease::run, 5, 999, max_items - 1}.pack()).resume ==
              max_items - 1);

using LeaseWord = std::atomic<std::uint64_t>;

/// One job. A descriptor is recycled only when no worker's slot names it.
struct alignas(64) Job {
  enum State : std::uint32_t { idle = 0, finished = 1, has_waiters = 2 };

  // Written by the submitter before the job is published; constant until it is released.
  std::atomic<std::uint32_t> generation;  // odd: submitted and not yet released
  std::uint32_t index;
  CodeToken code;
  void* payload;
  std::uint64_t items;
  std::uint64_t chunk;  // items in a chunk
  std::uint64_t chunks;
  LeaseWord* leases;           // [chunks]
  std::uint32_t may_rerun;     // running an item again gives the same result
  std::uint16_t keep_going;    // a failure is its item's alone, and all of them are kept
  std::uint16_t whole_chunks;  // a worker that has had its tasks finishes its chunk first

  // Changed by every worker that takes part.
  alignas(64) std::atomic<std::uint64_t> next;  // the next chunk to try; may run past `chunks`
  std::int64_t time_limit;  // constant: nanoseconds that an item may take; 0: any
  alignas(64) std::atomic<std::uint64_t> done;  // chunks counted as done; may lag for ever
  std::atomic<std::uint32_t> recount;           // somebody died: count the leases instead
  std::atomic<std::uint32_t> state;             // futex word of whoever waits for the job
  // Lowest item that failed: items above it need not begin. Of a job that keeps going: 0, once
  // none of its items need begin any more.
  std::atomic<std::uint64_t> bound;
  // The failure of that item, or the latest of a job that keeps going; owned by the job.
  std::atomic<Failure*> failure;
  std::atomic<std::uint32_t> interrupted;  // workers that run it are to be killed
  LeaseWord inline_lease;

  alignas(64) unsigned char inline_bytes[inline_payload];
};
static_assert(sizeof(Job) == 512 && std::is_trivially_copyable_v<std::atomic<Failure*>>);
static_assert(std::atomic<Failure*>::is_always_lock_free, "a lock here would die with its owner");

/// What one worker is doing. Written by that worker; read by recovery once its death is proven.
struct alignas(128) WorkerSlot {
  std::atomic<std::uint32_t> job;    // index + 1; while it stands the job is not recycled
  std::atomic<std::uint64_t> chunk;  // set before the chunk's lease is claimed
  std::atomic<std::uint64_t> item;   // announced by Cursor; no_item: none begun
  std::atomic<void*> pending;        // a block that is being stored in ...
  std::atomic<void**> home;          // ... this word of a job
  std::atomic<std::uint64_t> tasks;  // done; by this tenant and those before it
  // When `item` began, of jobs with a time limit; set before `item`.
  std::atomic<std::int64_t> began;
  // Written by whoever starts workers, but for `is_ready`, which the worker sets when its
  // initializer has run.
  std::atomic<std::int32_t> pid;
  std::atomic<std::uint32_t> is_ready;
  std::atomic<std::uint32_t> starts;
  // It is to be killed for the time that `item` has taken. Set while it is stopped.
  std::atomic<std::uint32_t> overdue;
};
static_assert(sizeof(WorkerSlot) == 128, "no two workers write to one line");

struct JobPlace {
  std::uint32_t block;
  std::uint32_t offset;
};
/// Descriptors in the first `blocks` blocks.
constexpr std::uint32_t jobs_before(std::uint32_t blocks) noexcept {
  return static_cast<std::uint32_t>(first_block) * ((std::uint32_t{1} << blocks) - 1);
}
constexpr JobPlace place_of(std::uint32_t index) noexcept {
  const auto block = static_cast<std::uint32_t>(std::bit_width(index / first_block + 1)) - 1;
  return {block, index - jobs_before(block)};
}
static_assert(place_of(63).block == 0 && place_of(64).block == 1 && place_of(191).block == 1);
static_assert(place_of(192).block == 2 && place_of(192).offset == 0);

/// A module (the executable or a library) that jobs have their code in. Constant once its address
/// is in PoolState::modules. Its path follows, ended by a 0.
struct Module {
  std::uintptr_t base;        // where the submitter has it
  std::uint64_t fingerprint;  // of its build, so that another build is not taken for it
  char* path() noexcept { return reinterpret_cast<char*>(this + 1); }
  const char* path() const noexcept { return reinterpret_cast<const char*>(this + 1); }
};

/// A pool. Everything in it may be read by all its workers.
struct alignas(64) PoolState {
  enum Status : std::uint32_t { running, stopping, broken };
  enum Loss : std::uint32_t { zygote_lost, initializer_failed, workers_die };

  // Constant after construction.
  std::uint32_t workers;
  std::uint32_t shared;  // in the shared heap: the workers are processes
  std::uint32_t cpus;
  WorkerSlot* slots;                  // [workers]
  std::atomic<std::uint32_t> zygote;  // its member slot; 0: none

  Job* initializer;  // not in the ring: every worker runs it for itself; null: none
  CodeToken initializer_code;

  std::atomic<std::uint32_t> status;
  // Why it is broken; set before `status` says so, when no worker is left.
  std::atomic<std::uint32_t> loss;
  std::atomic<std::int32_t> last_status;  // of a worker, as waitpid gives it
  std::atomic<TraceLog*> trace;           // null: tasks are not recorded

  // Job descriptors, and the modules their code is in. Written by the submitter only.
  std::atomic<std::uint32_t> blocks_used;
  std::atomic<const Module*> modules[max_modules];
  std::atomic<Job*> blocks[max_blocks];

  // The ring of hints: {generation, index} of jobs in the order they were submitted.
  alignas(64) std::atomic<std::uint64_t> head;  // written by the submitter
  alignas(64) std::atomic<std::uint64_t> tail;  // moved past jobs that have no unclaimed chunk
  alignas(64) std::atomic<std::uint32_t> bell;  // futex word of sleeping workers
  std::atomic<std::uint32_t> rescan;  // bumped when leases may be READY behind the ring's tail
  alignas(64) std::atomic<std::uint64_t> sleeping[(max_workers + 63) / 64];  // a bit a worker
  alignas(64) std::atomic<std::uint64_t> spinning[(max_workers + 63) / 64];
  // Entries between tail and head are valid; the others have never been written, or are old.
  alignas(64) std::atomic<std::uint64_t> ring[ring_size];

  Job& job(std::uint32_t index) const noexcept {
    const JobPlace place = place_of(index);
    return blocks[place.block].load(std::memory_order_acquire)[place.offset];
  }
  /// Descriptors that exist: indices below it are valid.
  std::uint32_t job_count() const noexcept {
    return jobs_before(blocks_used.load(std::memory_order_acquire));
  }
  std::size_t mask_words() const noexcept { return (workers + 63) / 64; }
};

/// A Process: what it needs to know of itself and what it is to run, for the time that it runs.
/// Belongs to its parent, as all that it refers to does.
struct alignas(64) ProcessRecord {
  struct Text {
    const char* data;
    std::uint64_t size;
  };
  // Constant once the process is started.
  Text name;
  Text identity;                                    // "1:2": the second child of the first
  std::uint32_t daemon;                             // or not
  std::uint64_t ignored;                            // signals, a bit each
  CodeToken code;                                   // of a call in the heap
  void* payload;                                    // null: the child has a copy of its parent's
  std::atomic<const Module*> modules[max_modules];  // of code and what the payload names
  // Written by the child: its exit code + 1 when it leaves by itself.
  std::atomic<std::uint32_t> reported;

  std::string_view name_text() const noexcept { return {name.data, name.size}; }
};

inline std::uint64_t ring_entry(std::uint32_t index, std::uint32_t generation) noexcept {
  return std::uint64_t{generation} << 32 | index;
}

}  // namespace procyon::engine
