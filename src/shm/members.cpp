#include "shm/members.hpp"

#include <unistd.h>

#include <mutex>

#include "process/process.hpp"
#include "shm/extents.hpp"
#include "shm/files.hpp"
#include "shm/large.hpp"
#include "shm/local.hpp"
#include "shm/reservation.hpp"
#include "shm/slabs.hpp"

namespace procyon::shm {
namespace {

/// Frees the blocks of a slab that name the dead one.
void free_words(std::uint32_t chunk, Span span, std::uint64_t dead) noexcept {
  Word* words = chunk_words(chunk);
  std::uint32_t used = 0;
  for (std::uint32_t i = 0; i < class_capacity(span.size_class); ++i) {
    std::uint64_t seen = words[i].load(std::memory_order_acquire);
    if (seen == dead) words[i].compare_exchange_strong(seen, 0, std::memory_order_acq_rel);
    used += words[i].load(std::memory_order_relaxed) != 0;
  }
  region.chunks[chunk].freed.store(0, std::memory_order_relaxed);
  region.chunks[chunk].live.store(used, std::memory_order_relaxed);
}

/// Frees what the dead one owned in its extent, joins what is free, and leaves it to be adopted.
void recover_extent(std::uint32_t first, Extent extent) noexcept {
  const std::uint64_t dead = block_word(extent.owner);
  each_run(first, extent.length, [&](std::uint32_t at, Span span) {
    if (span.state == SpanState::slab && !slab_is_empty(at, span)) free_words(at, span, dead);
    if (span.state == SpanState::large &&
        region.chunks[at].owner.load(std::memory_order_acquire) == dead) {
      reclaim_large(at, span);
    }
  });
  tidy_extent(
      first, extent.length, [](std::uint32_t) { return false; }, [](std::uint32_t, Span) {},
      [](std::uint32_t, Span) {});
  // Extents that its owner was merging into this one.
  for (std::uint32_t at = first + 1; at < first + extent.length; ++at) {
    Word& word = region.chunks[at].extent;
    const Extent inner = extent_of(word.load(std::memory_order_relaxed));
    if (inner.length == 0 || inner.owner.slot == interior_slot) continue;
    word.store(extent_word({inner.length, {interior_slot, 0}}), std::memory_order_relaxed);
  }
  std::uint64_t seen = extent_word(extent);
  region.chunks[first].extent.compare_exchange_strong(seen, extent_word({extent.length, {}}),
                                                      std::memory_order_acq_rel);
}

/// Counts anew what is only counted by hand, so that deaths cannot add up.
void recount_spare() noexcept {
  std::int64_t spare = 0;
  each_extent([&](std::uint32_t first, Extent extent) {
    each_run(first, extent.length, [&](std::uint32_t at, Span span) {
      if (span.state == SpanState::free && !span.cold) {
        for (std::uint32_t i = 0; i < span.length; ++i) {
          spare += region.chunks[at + i].backed.load(std::memory_order_relaxed);
        }
      }
    });
  });
  region.header->spare.store(spare, std::memory_order_relaxed);
}

}  // namespace

Member* members() noexcept { return region.header->members; }

MemberId self() noexcept { return word_member(my_word()); }

MemberId reserve_member(MemberKind kind) noexcept {
  // The private mutex: the heap is not closed between the reservation and its use.
  const std::lock_guard lock(local().mutex);
  const std::uint32_t mine = self().slot;
  for (std::size_t slot = 1; slot <= max_members; ++slot) {
    Member& member = members()[slot];
    std::uint32_t expected = Member::free;
    if (member.state.load(std::memory_order_relaxed) != expected ||
        !member.state.compare_exchange_strong(expected, Member::starting | mine << 8,
                                              std::memory_order_acq_rel)) {
      continue;
    }
    member.pid.store(0, std::memory_order_relaxed);
    member.pool.store(0, std::memory_order_relaxed);
    member.status.store(0, std::memory_order_relaxed);
    member.index.store(0, std::memory_order_relaxed);
    member.start_time.store(0, std::memory_order_relaxed);
    member.parent.store(my_word(), std::memory_order_relaxed);
    member.kind.store(static_cast<std::uint32_t>(kind), std::memory_order_release);
    const std::uint32_t epoch = member.epoch.fetch_add(1, std::memory_order_acq_rel) + 1;
    return {static_cast<std::uint16_t>(slot), epoch};
  }
  return {};
}

void become_member(MemberId id) noexcept {
  Member& member = members()[id.slot];
  // A zygote is LIVE once it can be signalled, and says so itself.
  const bool waits = member.kind.load() == static_cast<std::uint32_t>(MemberKind::zygote);
  // Whoever reserved the slot has died and recovery has taken it back: this process is not wanted.
  const auto require_wanted = [&](std::uint32_t state) {
    const bool is_wanted = (state & 0xff) == Member::starting || state == Member::live;
    if (!is_wanted || member.epoch.load(std::memory_order_acquire) != id.epoch) _exit(1);
  };
  std::uint32_t state = member.state.load(std::memory_order_acquire);
  require_wanted(state);
  reset_local();
  reset_files();
  member.pid.store(getpid(), std::memory_order_relaxed);
  member.start_time.store(process::start_time(getpid()), std::memory_order_relaxed);
  while (state != Member::live && !waits &&
         !member.state.compare_exchange_weak(state, Member::live, std::memory_order_acq_rel)) {
    require_wanted(state);
  }
  self_word.store(block_word(id), std::memory_order_relaxed);
  is_stranger.store(false, std::memory_order_relaxed);
}

Member::State state_of(const Member& member) noexcept {
  return static_cast<Member::State>(member.state.load(std::memory_order_acquire) & 0xff);
}

bool is_child_of(const Member& member, MemberId parent) noexcept {
  const std::uint32_t state = member.state.load(std::memory_order_acquire);
  if ((state & 0xff) == Member::starting) return state >> 8 == parent.slot;
  return state != Member::free &&
         member.parent.load(std::memory_order_acquire) == block_word(parent);
}

void recover_member(std::uint16_t slot) noexcept {
  Member& member = members()[slot];
  if (member.state.load(std::memory_order_acquire) == Member::free) return;
  const MemberId dead{slot, member.epoch.load(std::memory_order_acquire)};
  complete_frontier();
  complete_intent(slot, dead.epoch);
  each_extent([&](std::uint32_t first, Extent extent) {
    if (extent.owner == dead) recover_extent(first, extent);
  });
  recount_spare();
  // Until this store the slot is DEAD, and recovery begins again.
  member.state.store(Member::free, std::memory_order_release);
}

}  // namespace procyon::shm
