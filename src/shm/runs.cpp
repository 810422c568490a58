#include "shm/runs.hpp"

#include <algorithm>

#include <procyon/base/errors.hpp>

#include "shm/extents.hpp"
#include "shm/local.hpp"
#include "shm/slabs.hpp"

namespace procyon::shm {
namespace {

constexpr std::int64_t most_spare = 1024;  // chunks kept backed for reuse, in the whole heap
constexpr std::uint32_t most_ahead = 16;   // chunks backed at once, where one is needed

std::int64_t spare_limit() noexcept {
  return std::min<std::int64_t>(most_spare,
                                static_cast<std::int64_t>(region.limit / 8 / chunk_bytes));
}

void add_spare(std::int64_t chunks) noexcept {
  if (chunks != 0) region.header->spare.fetch_add(chunks, std::memory_order_relaxed);
}

/// Backs what is not backed of [first, first + length).
void back_chunks(std::uint32_t first, std::uint32_t length) {
  const std::uint32_t end = first + length;
  const auto is_backed = [](std::uint32_t chunk) {
    return region.chunks[chunk].backed.load(std::memory_order_acquire) != 0;
  };
  while (first < end) {
    if (is_backed(first)) {
      ++first;
      continue;
    }
    std::uint32_t stop = first + 1;
    while (stop < end && !is_backed(stop)) ++stop;
    back_pages(chunk_address(first), std::size_t{stop - first} * chunk_bytes);
    for (; first < stop; ++first) region.chunks[first].backed.store(1, std::memory_order_release);
  }
}

/// Backs `need` chunks of a free run of `length`, and a few more where that is cheap.
void back_run(std::uint32_t first, std::uint32_t need, std::uint32_t length) {
  Word& span = region.chunks[first].span;
  const Span was = span_of(span.load(std::memory_order_relaxed));
  const std::uint32_t ready = was.cold ? 0 : backed_chunks(first, need);
  if (was.cold)
    span.store(span_word({SpanState::free, false, 0, length}), std::memory_order_release);
  if (ready < need) {
    std::uint32_t& next = local().next_ahead;
    const std::uint32_t ahead = std::min(length, next);
    next = std::min(next * 2, most_ahead);
    const bool more = ahead > need && !is_too_much(2 * ahead);
    const std::uint32_t count = more ? ahead : need;
    const std::uint32_t had = more ? backed_chunks(first, count) : ready;
    try {
      back_chunks(first, count);
      add_spare(std::int64_t{count} - had);
    } catch (const SharedMemoryError&) {
      if (!more) throw;
      const std::uint32_t now = backed_chunks(first, need);
      back_chunks(first, need);
      add_spare(std::int64_t{need} - now);
    }
  }
  add_spare(-std::int64_t{need});
}

bool fit(std::uint32_t need, std::uint32_t& first, std::uint32_t& length) {
  auto& runs = local().runs;
  const auto found = runs.lower_bound({need, 0});
  if (found == runs.end()) return false;
  length = found->first;
  first = found->second;
  runs.erase(found);
  return true;
}

/// Looks for chunks where it costs least first. False: a slab of the class turned up instead.
bool find_run(std::uint32_t need, std::size_t size_class, std::uint32_t& first,
              std::uint32_t& length) {
  if (fit(need, first, length)) return true;
  scan_own_extents();
  if (open_any_slab(size_class)) return false;
  if (fit(need, first, length)) return true;
  if (adopt_extent(need, size_class)) {
    scan_own_extents();
    if (open_any_slab(size_class)) return false;
    if (fit(need, first, length)) return true;
  }
  for (;;) {
    claim_extent(need);
    scan_own_extents();
    if (fit(need, first, length)) return true;
  }
}

}  // namespace

bool take_chunks(std::uint32_t need, std::size_t size_class, std::uint32_t& first) {
  std::uint32_t length = 0;
  if (!find_run(need, size_class, first, length)) return false;
  const bool was_cold = span_of(region.chunks[first].span.load(std::memory_order_relaxed)).cold;
  try {
    back_run(first, need, length);
  } catch (...) {
    put_chunks(first, length);
    throw;
  }
  if (length > need) {
    const std::uint32_t rest = length - need;
    const std::uint32_t probe = std::min(rest, most_ahead);
    const bool cold = was_cold && backed_chunks(first + need, probe) == 0;
    region.chunks[first + need].span.store(span_word({SpanState::free, cold, 0, rest}),
                                           std::memory_order_release);
    put_chunks(first + need, rest);
  }
  return true;
}

void put_chunks(std::uint32_t first, std::uint32_t length) noexcept {
  try {
    local().runs.insert({length, first});
  } catch (const std::bad_alloc&) {
    // Out of private memory: the run is found again by the next scan.
    static_cast<void>(first);
  }
}

void scan_own_extents() {
  Local& mine = local();
  mine.runs.clear();
  for (auto& list : mine.slabs) list.clear();
  const std::uint64_t word = my_word();
  each_extent([&](std::uint32_t first, Extent extent) {
    if (block_word(extent.owner) != word) return;
    const auto on_free = [&](std::uint32_t at, Span run) {
      // An extent whose one block somebody freed is an orphan by then: look at the owner last.
      const bool still_mine =
          region.chunks[first].extent.load(std::memory_order_acquire) == extent_word(extent);
      if (still_mine) mine.runs.insert({run.length, at});
    };
    const auto on_slab = [&](std::uint32_t at, Span slab) {
      region.chunks[at].home.store(word, std::memory_order_relaxed);
      list_slab(at, slab.size_class);
    };
    tidy_extent(first, extent.length, is_cursor, on_free, on_slab);
  });
}

void trim_own_extents() noexcept {
  Local& mine = local();
  for (const auto& [length, first] : mine.runs) {
    Word& span = region.chunks[first].span;
    if (span_of(span.load(std::memory_order_relaxed)).cold) continue;
    add_spare(-std::int64_t{backed_chunks(first, length)});
    unback_chunks(first, length);
    span.store(span_word({SpanState::free, true, 0, length}), std::memory_order_release);
  }
}

bool is_too_much(std::uint32_t chunks) noexcept {
  return region.header->spare.load(std::memory_order_relaxed) + chunks > spare_limit();
}

void unback_chunks(std::uint32_t first, std::uint32_t length) noexcept {
  for (std::uint32_t at = first; at < first + length; ++at) {
    Chunk& chunk = region.chunks[at];
    // Release, here and below: the page must not be gone before its mark, whenever a death comes.
    chunk.backed.store(0, std::memory_order_release);
    if (chunk.word_bytes.load(std::memory_order_relaxed) == 0) continue;
    chunk.word_bytes.store(0, std::memory_order_release);
    unback_pages(chunk_words(at), word_bytes_per_chunk);
  }
  unback_pages(chunk_address(first), std::size_t{length} * chunk_bytes);
}

std::uint32_t backed_chunks(std::uint32_t first, std::uint32_t length) noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t at = first; at < first + length; ++at) {
    count += region.chunks[at].backed.load(std::memory_order_relaxed);
  }
  return count;
}

bool is_cursor(std::uint32_t chunk) noexcept {
  return std::ranges::any_of(local().cursors, [&](const Cursor& cursor) {
    return cursor.book != nullptr && cursor.chunk == chunk;
  });
}

}  // namespace procyon::shm
