#include "shm/extents.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include <procyon/base/errors.hpp>

#include "shm/local.hpp"
#include "shm/runs.hpp"

namespace procyon::shm {
namespace {

constexpr std::uint32_t largest_extent = 1024;  // chunks; a larger block has one of its own

MemberId me() noexcept { return word_member(my_word()); }

std::uint32_t chunk_total() noexcept { return region.header->chunks; }

/// Moves the frontier from `from` by `length` chunks. False: somebody else moved it.
bool move_frontier(std::uint32_t from, std::uint32_t length) {
  back_pages(region.chunks + from, length * sizeof(Chunk));
  std::uint64_t seen = region.header->frontier.load(std::memory_order_acquire);
  if (frontier_of(seen).end != from) return false;
  const std::uint64_t next = frontier_word({from + length, length, me().slot});
  if (!region.header->frontier.compare_exchange_strong(seen, next, std::memory_order_acq_rel)) {
    return false;
  }
  complete_frontier();
  return true;
}

bool is_wholly_free(std::uint32_t first, std::uint32_t length) noexcept {
  bool free = true;
  each_run(first, length, [&](std::uint32_t at, Span span) {
    const bool empty = span.state == SpanState::slab && !is_cursor(at) && slab_is_empty(at, span);
    free = free && (span.state == SpanState::free || empty);
  });
  return free;
}

bool adopt(std::uint32_t first, std::uint32_t length) noexcept {
  std::uint64_t seen = extent_word({length, {}});
  return region.chunks[first].extent.compare_exchange_strong(seen, extent_word({length, me()}),
                                                             std::memory_order_acq_rel);
}

/// Makes one extent of a streak that is all this process's own.
void merge(const Streak& streak) noexcept {
  bool cold = true;
  for (const auto& [first, length] : streak.extents) {
    tidy_extent(
        first, length, is_cursor, [&](std::uint32_t, Span run) { cold = cold && run.cold; },
        [](std::uint32_t, Span) {});
  }
  Chunk& head = region.chunks[streak.first];
  head.extent.store(extent_word({streak.length, me()}), std::memory_order_release);
  for (const auto& [first, length] : streak.extents) {
    if (first == streak.first) continue;
    region.chunks[first].extent.store(extent_word({length, {interior_slot, 0}}),
                                      std::memory_order_release);
  }
  head.span.store(span_word({SpanState::free, cold, 0, streak.length}), std::memory_order_release);
}

/// Joins free neighbours, and chunks of the frontier behind them, to a run of `need` chunks.
bool join_extents(std::uint32_t need) {
  for (;;) {
    Streak streak = find_streak(need);
    const std::uint32_t end = streak.first + streak.length;
    if (streak.extents.empty()) return false;
    if (streak.length < need) {
      const std::uint32_t missing = need - streak.length;
      if (frontier_of(region.header->frontier.load(std::memory_order_acquire)).end != end ||
          missing > chunk_total() - end || !move_frontier(end, missing)) {
        return false;
      }
      streak.extents.emplace_back(end, missing);
      streak.length += missing;
    }
    // Lost to somebody else: that one has got on, and the books are different now.
    if (!own_streak(streak)) continue;
    merge(streak);
    return true;
  }
}

/// Whether the extent has room: free chunks in a row, or a slab of the class.
bool has_room(std::uint32_t first, std::uint32_t length, std::uint32_t need,
              std::size_t size_class) noexcept {
  std::uint32_t row = 0;
  bool room = false;
  each_run(first, length, [&](std::uint32_t at, Span span) {
    const bool slab = span.state == SpanState::slab;
    const bool free = span.state == SpanState::free || (slab && slab_is_empty(at, span));
    row = free ? row + span.length : 0;
    const bool serves = slab && span.size_class == size_class && slab_room(at, span) >= 4;
    room = room || row >= need || serves;
  });
  return room;
}

}  // namespace

Streak find_streak(std::uint32_t need) {
  Streak streak;
  each_extent([&](std::uint32_t first, Extent extent) {
    if (streak.length >= need) return;
    const bool usable = (extent.owner == MemberId{} || extent.owner == me()) &&
                        is_wholly_free(first, extent.length);
    if (!usable) {
      streak = {};
      return;
    }
    if (streak.extents.empty()) streak.first = first;
    streak.extents.emplace_back(first, extent.length);
    streak.length += extent.length;
  });
  return streak;
}

// What was seen in an orphan is old: it may have been adopted, filled, and orphaned by a death
// since. What is seen in an own extent stays, since nobody else makes blocks there; but whoever
// frees the one block that fills it makes it an orphan before: look at the owner last.
bool own_streak(const Streak& streak) noexcept {
  return std::ranges::all_of(streak.extents, [](const auto& each) {
    const auto [first, length] = each;
    const std::uint64_t mine = extent_word({length, me()});
    const Word& word = region.chunks[first].extent;
    return (word.load(std::memory_order_acquire) == mine || adopt(first, length)) &&
           is_wholly_free(first, length) && word.load(std::memory_order_acquire) == mine;
  });
}

std::uint32_t complete_frontier() noexcept {
  const Frontier claim = frontier_of(region.header->frontier.load(std::memory_order_acquire));
  if (claim.length == 0) return claim.end;
  const std::uint32_t first = claim.end - claim.length;
  Chunk& head = region.chunks[first];
  if (head.extent.load(std::memory_order_acquire) != 0) return claim.end;
  // The claimant's slot cannot have a new epoch: recovery completes the claim before it changes.
  const std::uint32_t epoch =
      region.header->members[claim.slot].epoch.load(std::memory_order_acquire);
  std::uint64_t none = 0;
  head.span.compare_exchange_strong(none, span_word({SpanState::free, true, 0, claim.length}),
                                    std::memory_order_acq_rel);
  none = 0;
  head.extent.compare_exchange_strong(none, extent_word({claim.length, {claim.slot, epoch}}),
                                      std::memory_order_acq_rel);
  return claim.end;
}

bool adopt_extent(std::uint32_t need, std::size_t size_class) noexcept {
  const std::uint32_t end = complete_frontier();
  const bool scarce = chunk_total() - end < std::max(need, largest_extent);
  bool adopted = false;
  each_extent([&](std::uint32_t first, Extent extent) {
    if (adopted || !(extent.owner == MemberId{})) return;
    // A huge orphan is left for those who need it whole, while there is anything else.
    if (!scarce && extent.length > largest_extent && need < extent.length / 2) return;
    adopted = has_room(first, extent.length, need, size_class) && adopt(first, extent.length);
  });
  return adopted;
}

void adopt_all_extents() noexcept {
  each_extent([](std::uint32_t first, Extent extent) {
    if (extent.owner == MemberId{}) adopt(first, extent.length);
  });
}

void claim_extent(std::uint32_t need) {
  if (need > largest_extent && join_extents(need)) return;
  for (;;) {
    const std::uint32_t end = complete_frontier();
    const std::uint32_t left = chunk_total() - end;
    if (need > left) {
      if (join_extents(need)) return;
      throw SharedMemoryError(fmt::format(
          "the shared heap's address range of {} MiB has no {} bytes in a row left; free memory",
          region.data_bytes.load() >> 20, std::size_t{need} * chunk_bytes));
    }
    std::uint32_t& next = local().next_extent;
    const std::uint32_t length = std::min(left, std::max(need, next));
    if (!move_frontier(end, length)) continue;
    next = std::min(next * 2, largest_extent);
    return;
  }
}

}  // namespace procyon::shm
