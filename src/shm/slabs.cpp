#include "shm/slabs.hpp"

#include <algorithm>
#include <array>

#include <procyon/base/errors.hpp>

#include "shm/extents.hpp"
#include "shm/local.hpp"
#include "shm/runs.hpp"

namespace procyon::shm {
namespace {

constexpr std::size_t probes_a_refill = 16;

constexpr auto classes_by_size = [] {
  std::array<std::uint8_t, max_small / 64 + 1> table{};
  std::uint8_t size_class = 0;
  for (std::size_t i = 0; i < table.size(); ++i) {
    while (class_sizes[size_class] < i * 64) ++size_class;
    table[i] = size_class;
  }
  return table;
}();

// index = offset * reciprocal >> 32, exact for every offset inside a chunk.
constexpr auto reciprocals = [] {
  std::array<std::uint64_t, class_count> table{};
  for (std::size_t i = 0; i < class_count; ++i) {
    table[i] = ((std::uint64_t{1} << 32) + class_sizes[i] - 1) / class_sizes[i];
  }
  return table;
}();

constexpr std::size_t needed_word_bytes(std::size_t size_class) noexcept {
  constexpr std::size_t page = 4096;
  return (class_capacity(size_class) * sizeof(Word) + page - 1) / page * page;
}

/// Whether the block words have pages. A slab without was being retired: nothing is to be read.
bool has_words(std::uint32_t chunk, std::size_t size_class) noexcept {
  return region.chunks[chunk].word_bytes.load(std::memory_order_acquire) >=
         needed_word_bytes(size_class);
}

/// Makes an own slab the current one of its class.
void open_slab(std::uint32_t chunk, std::size_t size_class) noexcept {
  Cursor& cursor = local().cursors[size_class];
  const Cursor last = cursor;
  Chunk& book = region.chunks[chunk];
  book.freed.store(0, std::memory_order_relaxed);
  book.live.store(count_used(chunk, size_class) | current_slab, std::memory_order_relaxed);
  book.home.store(my_word(), std::memory_order_relaxed);
  Word* words = chunk_words(chunk);
  cursor = {words, words + class_capacity(size_class), &book, chunk_address(chunk), chunk};
  if (last.book == nullptr || last.chunk == chunk) return;
  const std::uint32_t live = last.book->live.load(std::memory_order_relaxed) & ~current_slab;
  last.book->live.store(live, std::memory_order_relaxed);
  if (last.book->freed.load(std::memory_order_relaxed) >= live) retire_slab(last.chunk);
}

/// Whether a chunk is still a slab of the class with at least `least` free blocks.
bool has_room(std::uint32_t chunk, std::size_t size_class, std::uint32_t least) noexcept {
  const Span span = span_of(region.chunks[chunk].span.load(std::memory_order_relaxed));
  return span.state == SpanState::slab && span.size_class == size_class &&
         slab_room(chunk, span) >= least;
}

/// Looks at `count` slabs of the class, from where the last search ended.
bool open_listed_slab(std::size_t size_class, std::size_t count, std::uint32_t least) noexcept {
  const auto& list = local().slabs[size_class];
  std::size_t& probe = local().probes[size_class];
  for (count = std::min(count, list.size()); count > 0; --count) {
    probe = probe + 1 < list.size() ? probe + 1 : 0;
    if (!has_room(list[probe], size_class, least)) continue;
    open_slab(list[probe], size_class);
    return true;
  }
  return false;
}

void make_slab(std::uint32_t chunk, std::size_t size_class) {
  Chunk& book = region.chunks[chunk];
  const auto need = static_cast<std::uint32_t>(needed_word_bytes(size_class));
  if (book.word_bytes.load(std::memory_order_relaxed) < need) {
    try {
      back_pages(chunk_words(chunk), need);
    } catch (...) {
      book.span.store(span_word({SpanState::free, false, 0, 1}), std::memory_order_release);
      put_chunks(chunk, 1);
      throw;
    }
    book.word_bytes.store(need, std::memory_order_release);
  }
  book.span.store(span_word({SpanState::slab, false, static_cast<std::uint8_t>(size_class), 1}),
                  std::memory_order_release);
  list_slab(chunk, size_class);
  open_slab(chunk, size_class);
}

void unlist_slab(std::uint32_t chunk, std::size_t size_class) noexcept {
  auto& list = local().slabs[size_class];
  const std::uint32_t place = region.chunks[chunk].index;
  if (place >= list.size() || list[place] != chunk) return;
  list[place] = list.back();
  region.chunks[list[place]].index = place;
  list.pop_back();
}

}  // namespace

void* take_small(std::size_t size_class) noexcept {
  Cursor& cursor = local().cursors[size_class];
  for (Word* word = cursor.next; word != cursor.end; ++word) {
    // Acquire: the block's last user is done with it.
    if (word->load(std::memory_order_acquire) != 0) continue;
    word->store(my_word(), std::memory_order_release);
    cursor.next = word + 1;
    std::atomic<std::uint32_t>& live = cursor.book->live;
    live.store(live.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    const auto index = static_cast<std::size_t>(word - chunk_words(cursor.chunk));
    return cursor.data + index * class_sizes[size_class];
  }
  cursor.next = cursor.end;
  return nullptr;
}

void refill(std::size_t size_class) {
  const Cursor& cursor = local().cursors[size_class];
  const std::uint32_t enough = std::max(class_capacity(size_class) / 4, 1U);
  if (cursor.book != nullptr && has_room(cursor.chunk, size_class, enough)) {
    open_slab(cursor.chunk, size_class);
    return;
  }
  if (open_listed_slab(size_class, probes_a_refill, enough)) return;
  std::uint32_t chunk = 0;
  try {
    if (take_chunks(1, size_class, chunk)) make_slab(chunk, size_class);
  } catch (const SharedMemoryError&) {
    if (!open_listed_slab(size_class, local().slabs[size_class].size(), 1)) throw;
  }
}

bool open_any_slab(std::size_t size_class) noexcept {
  if (size_class == class_count) return false;
  const std::uint32_t least = std::max(class_capacity(size_class) / 8, 1U);
  return open_listed_slab(size_class, local().slabs[size_class].size(), least);
}

void list_slab(std::uint32_t chunk, std::size_t size_class) {
  auto& list = local().slabs[size_class];
  region.chunks[chunk].index = static_cast<std::uint32_t>(list.size());
  list.push_back(chunk);
}

void retire_slab(std::uint32_t chunk) noexcept {
  Chunk& book = region.chunks[chunk];
  const Span span = span_of(book.span.load(std::memory_order_acquire));
  if (span.state != SpanState::slab || is_cursor(chunk) ||
      book.home.load(std::memory_order_relaxed) != my_word()) {
    return;
  }
  if (!slab_is_empty(chunk, span)) {
    book.freed.store(0, std::memory_order_relaxed);
    book.live.store(count_used(chunk, span.size_class), std::memory_order_relaxed);
    return;
  }
  unlist_slab(chunk, span.size_class);
  const bool cold = is_too_much(1);
  if (cold) {
    unback_chunks(chunk, 1);
  } else {
    region.header->spare.fetch_add(1, std::memory_order_relaxed);
  }
  book.span.store(span_word({SpanState::free, cold, 0, 1}), std::memory_order_release);
  put_chunks(chunk, 1);
}

std::uint32_t count_used(std::uint32_t chunk, std::size_t size_class) noexcept {
  if (!has_words(chunk, size_class)) return 0;
  const Word* words = chunk_words(chunk);
  std::uint32_t used = 0;
  for (std::uint32_t i = 0; i < class_capacity(size_class); ++i) {
    // Acquire: whoever closes the heap because of this comes after the last user.
    used += words[i].load(std::memory_order_acquire) != 0;
  }
  return used;
}

bool slab_is_empty(std::uint32_t chunk, Span span) noexcept {
  if (!has_words(chunk, span.size_class)) return true;
  const Word* words = chunk_words(chunk);
  for (std::uint32_t i = 0; i < class_capacity(span.size_class); ++i) {
    if (words[i].load(std::memory_order_acquire) != 0) return false;
  }
  return true;
}

std::uint32_t slab_room(std::uint32_t chunk, Span span) noexcept {
  const Chunk& book = region.chunks[chunk];
  const std::uint32_t capacity = class_capacity(span.size_class);
  const std::uint32_t counted = book.live.load(std::memory_order_relaxed) & ~current_slab;
  const std::uint32_t live = std::min(counted, capacity);
  return std::min(capacity - live + book.freed.load(std::memory_order_relaxed), capacity);
}

std::size_t find_class(std::size_t bytes, std::size_t align) noexcept {
  if (bytes > max_small || align > max_small) return class_count;
  std::size_t size_class = classes_by_size[(bytes + 63) / 64];
  while (size_class < class_count && (class_sizes[size_class] & (align - 1)) != 0) ++size_class;
  return size_class;
}

std::uint32_t block_index(std::size_t offset, std::size_t size_class) noexcept {
  return static_cast<std::uint32_t>(offset * reciprocals[size_class] >> 32);
}

}  // namespace procyon::shm
