// Blocks: made, given, freed.
#include <procyon/shm/heap.hpp>

#include <fmt/format.h>

#include <mutex>

#include <procyon/base/errors.hpp>

#include "shm/extents.hpp"
#include "shm/files.hpp"
#include "shm/large.hpp"
#include "shm/local.hpp"
#include "shm/members.hpp"
#include "shm/opening.hpp"
#include "shm/reservation.hpp"
#include "shm/runs.hpp"
#include "shm/slabs.hpp"

namespace procyon::shm {
namespace {

constexpr std::size_t most_align = chunk_bytes;

void check_request(std::size_t bytes, std::size_t align) {
  if (align == 0 || align > most_align || (align & (align - 1)) != 0) {
    throw SharedMemoryError(
        fmt::format("shared memory aligned to {}: the alignment must be a power of two up to {}",
                    align, most_align));
  }
  if (bytes > std::size_t{max_chunks} * chunk_bytes) {
    throw SharedMemoryError(
        fmt::format("{} bytes of shared memory: the heap never has more than {}", bytes,
                    std::size_t{max_chunks} * chunk_bytes));
  }
}

void check_member() {
  if (!is_stranger.load(std::memory_order_relaxed)) return;
  throw SharedMemoryError(
      "this process was forked from a program that has a shared heap, but not by Procyon: it may "
      "read and write what is there, not allocate; start processes with a Pool or Process");
}

void* allocate_small(std::size_t size_class) {
  for (;;) {
    if (void* block = take_small(size_class)) return block;
    refill(size_class);
  }
}

/// Tries again once after the free pages of this process, and of the dead, were given back.
template <class Allocate>
void* with_trim(Allocate allocate) {
  try {
    return allocate();
  } catch (const SharedMemoryError&) {
    adopt_all_extents();
    scan_own_extents();
    trim_own_extents();
    return allocate();
  }
}

void free_small(void* block, Chunk& book, Span span, std::uint32_t chunk) {
  const auto offset = static_cast<std::size_t>(static_cast<char*>(block) - chunk_address(chunk));
  Word& word = chunk_words(chunk)[block_index(offset, span.size_class)];
  // Not one atomic step, which would cost as much as all the rest: a hint may lose a count.
  const std::uint32_t freed = book.freed.load(std::memory_order_relaxed) + 1;
  book.freed.store(freed, std::memory_order_relaxed);
  const bool maybe_empty = freed >= book.live.load(std::memory_order_relaxed) &&
                           book.home.load(std::memory_order_relaxed) == my_word();
  // The last access: from here on the heap may be closed by another thread.
  word.store(0, std::memory_order_release);
  if (!maybe_empty) return;
  const std::lock_guard lock(local().mutex);
  if (in_data(block)) retire_slab(chunk);
}

Word& word_of(const void* block) noexcept {
  const std::uint32_t chunk = chunk_at(block);
  Chunk& book = region.chunks[chunk];
  const Span span = span_of(book.span.load(std::memory_order_acquire));
  if (span.state != SpanState::slab) return book.owner;
  const auto offset =
      static_cast<std::size_t>(static_cast<const char*>(block) - chunk_address(chunk));
  return chunk_words(chunk)[block_index(offset, span.size_class)];
}

}  // namespace

void* allocate(std::size_t bytes, std::size_t align) {
  check_member();
  const std::size_t size_class = find_class(bytes, align);
  Local& mine = local();
  const std::lock_guard lock(mine.mutex);
  if (size_class < class_count) {
    if (void* block = take_small(size_class)) return block;
  }
  check_request(bytes, align);
  open_locked();
  return with_trim([&] {
    return size_class < class_count ? allocate_small(size_class) : allocate_large(bytes);
  });
}

void deallocate(void* block) noexcept {
  // A stranger holds copies of its parent's pointers: what they refer to is the parent's to free.
  if (block == nullptr || my_word() == 0 || !in_data(block)) return;
  const std::uint32_t chunk = chunk_at(block);
  Chunk& book = region.chunks[chunk];
  const Span span = span_of(book.span.load(std::memory_order_acquire));
  if (span.state == SpanState::slab) {
    free_small(block, book, span, chunk);
  } else if (span.state == SpanState::large) {
    free_large(chunk, span);
  }
}

void give(void* block) noexcept {
  if (block == nullptr || my_word() == 0 || !in_data(block)) return;
  word_of(block).store(word_given, std::memory_order_release);
}

bool contains(const void* address, std::size_t bytes) noexcept {
  const char* data = region.data.load(std::memory_order_acquire);
  if (data == nullptr) return false;
  const auto at = static_cast<const char*>(address);
  if (in_data(at)) {
    const auto offset = static_cast<std::size_t>(at - data);
    return bytes <= region.data_bytes.load(std::memory_order_relaxed) - offset;
  }
  return in_mapped_file(address, bytes);
}

bool is_read_only(const void* address, std::size_t bytes) noexcept {
  const char* window = region.window.load(std::memory_order_acquire);
  if (window == nullptr) return false;
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const auto begin = reinterpret_cast<std::uintptr_t>(window);
  if (at < begin) return bytes > begin - at;
  return bytes > 0 && at - begin < region.window_bytes.load(std::memory_order_relaxed);
}

MemberId block_owner(const void* block) noexcept {
  if (!in_data(block)) return {};
  const std::uint64_t word = word_of(block).load(std::memory_order_acquire);
  return (word & (word_given | word_freeing)) != 0 ? MemberId{} : word_member(word);
}

}  // namespace procyon::shm
