// Extents: who may make blocks where.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "shm/layout.hpp"
#include "shm/reservation.hpp"

namespace procyon::shm {

/// Completes the last claim of the frontier if its claimant has not; returns the frontier's end.
std::uint32_t complete_frontier() noexcept;

/// Calls visit(first chunk, Extent) for every extent, in order. Extents that are claimed or merged
/// meanwhile may be missed or seen as they were.
template <class Visit>
void each_extent(Visit visit) {
  const std::uint32_t end = complete_frontier();
  for (std::uint32_t first = 0; first < end;) {
    const Extent extent = extent_of(region.chunks[first].extent.load(std::memory_order_acquire));
    if (extent.length == 0) return;
    visit(first, extent);
    first += extent.length;
  }
}

/// Calls visit(first chunk, Span) for every run of an extent, in order. Exact where nobody else
/// changes runs (the owner of the extent, recovery of a dead one); otherwise a view in passing.
template <class Visit>
void each_run(std::uint32_t first, std::uint32_t length, Visit visit) {
  for (const std::uint32_t end = first + length; first < end;) {
    const Span span = span_of(region.chunks[first].span.load(std::memory_order_acquire));
    if (span.length == 0) return;
    visit(first, span);
    first += span.length;
  }
}

/// Whether no block of the slab is in use: exact for its owner and in recovery.
bool slab_is_empty(std::uint32_t chunk, Span span) noexcept;

/// Joins neighbouring free runs and empty slabs of an extent that only the caller may change,
/// leaving the slabs out that `keep` says. Calls on_free(first, Span) and on_slab(first, Span).
template <class Keep, class OnFree, class OnSlab>
void tidy_extent(std::uint32_t first, std::uint32_t length, Keep keep, OnFree on_free,
                 OnSlab on_slab) {
  std::uint32_t begin = first;
  Span run{SpanState::free, true, 0, 0};
  std::uint32_t pieces = 0;
  const auto flush = [&] {
    if (run.length == 0) return;
    if (pieces > 1) region.chunks[begin].span.store(span_word(run), std::memory_order_release);
    on_free(begin, run);
    run = {SpanState::free, true, 0, 0};
    pieces = 0;
  };
  each_run(first, length, [&](std::uint32_t at, Span span) {
    const bool empty = span.state == SpanState::slab && !keep(at) && slab_is_empty(at, span);
    if (span.state != SpanState::free && !empty) {
      flush();
      if (span.state == SpanState::slab) on_slab(at, span);
      return;
    }
    if (empty) {
      region.header->spare.fetch_add(region.chunks[at].backed.load(std::memory_order_relaxed),
                                     std::memory_order_relaxed);
    }
    if (run.length == 0) begin = at;
    run.length += span.length;
    run.cold = run.cold && span.cold;
    pieces += empty ? 2 : 1;
  });
  flush();
}

/// Neighbouring extents without any block, all of them this process's own or orphans.
struct Streak {
  std::uint32_t first = 0;
  std::uint32_t length = 0;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> extents;  // {first chunk, length} of each
};

/// The first streak of `need` chunks, else the one that ends at the frontier.
Streak find_streak(std::uint32_t need);
/// Takes over the orphans of a streak. False: one of its extents was somebody's since it was found,
/// and may have blocks, or another length. What was taken over until then is kept.
bool own_streak(const Streak& streak) noexcept;

/// Takes over an orphan that has `need` free chunks in a row, or slabs of this class with room.
/// False: there is none.
bool adopt_extent(std::uint32_t need, std::size_t size_class) noexcept;
/// Takes over every orphan.
void adopt_all_extents() noexcept;
/// Makes a free run of at least `need` chunks this process's own: from the frontier, joined with
/// free extents before it, or from free neighbouring extents alone. Throws SharedMemoryError.
void claim_extent(std::uint32_t need);

}  // namespace procyon::shm
