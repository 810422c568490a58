// The processes that share the heap: one slot each, in the heap, so that a dead one is found.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace procyon::shm {

/// Slot numbers are 1-based; 0 is nobody. An epoch counts the slot's tenants, so {slot, epoch}
/// names one process for ever.
struct MemberId {
  std::uint16_t slot = 0;
  std::uint32_t epoch = 0;
  friend bool operator==(MemberId, MemberId) = default;
};

enum class MemberKind : std::uint32_t { none, program, guardian, zygote, worker, process };

/// One process. FREE -> STARTING (its parent-to-be reserved it) -> LIVE (it joined) ->
/// DEAD (its parent or the guardian saw it die, status is set) -> FREE (its blocks are recovered).
/// The epoch moves on with each reservation. Written by the parent up to LIVE and by whoever
/// reports the death after it. What a tenant has written stays until the next one reserves the
/// slot.
struct alignas(64) Member {
  enum State : std::uint32_t { free, starting, live, dead };
  std::atomic<std::uint32_t> state;  // in STARTING the reserving slot is in the bits from 8 on
  std::atomic<std::uint32_t> epoch;
  std::atomic<std::int32_t> pid;
  std::atomic<std::uint32_t> kind;  // MemberKind
  // Heap address of the pool that it works for, or of a Process's record; 0: none.
  std::atomic<std::uint64_t> pool;
  std::atomic<std::int32_t> status;       // as waitpid gives it; valid in DEAD
  std::atomic<std::uint32_t> index;       // which worker of that pool
  std::atomic<std::uint64_t> parent;      // the block word of the member that reserved the slot
  std::atomic<std::uint64_t> start_time;  // see process::start_time; valid from LIVE on
};

constexpr std::size_t max_members = 1024;

/// The slot table; the heap must exist (`open_heap`).
Member* members() noexcept;  // [max_members + 1]; entry 0 is unused

/// Makes the heap if there is none and this process its program (slot 1). Idempotent.
void open_heap();
/// Whether this process has a heap.
bool heap_is_open() noexcept;
/// Unmaps and closes the heap if no block is in use and no other member is left. The next
/// `allocate` makes a new one. True: it is gone.
bool close_heap_if_unused() noexcept;

/// Reserves a FREE slot (state STARTING) for a process about to be started; {0,0}: table full.
/// Where whoever reserved it dies before that, the slot names it as `parent`: somebody has to
/// recover it.
MemberId reserve_member(MemberKind kind) noexcept;
/// In the child: becomes that member. Private caches of the parent's are dropped, not freed.
/// Ends the process where the reservation was recovered meanwhile.
void become_member(MemberId id) noexcept;
/// Whether that member reserved this slot, whatever has become of it since.
bool is_child_of(const Member& member, MemberId parent) noexcept;
/// The state without who reserved the slot.
Member::State state_of(const Member& member) noexcept;
/// Who this process is; {0,0} where it has no heap or was forked by somebody else's code.
MemberId self() noexcept;

/// Frees what the dead member allocated and had not given, orphans its extents for adoption, and
/// makes the slot FREE. Requires: it is confirmed dead. Idempotent: may be run
/// again from the start when its runner died in the middle, not by two at a time.
void recover_member(std::uint16_t slot) noexcept;

/// Who owns a block that is allocated and not given; {0,0}: given or free.
MemberId block_owner(const void* block) noexcept;

}  // namespace procyon::shm
