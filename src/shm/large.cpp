#include "shm/large.hpp"

#include <mutex>

#include "shm/local.hpp"
#include "shm/reservation.hpp"
#include "shm/runs.hpp"

namespace procyon::shm {
namespace {

/// Makes the extent an orphan where the block is all of it and large, so that anybody who needs
/// so much may have it. Requires: the block is not yet free.
bool orphan_extent_of(std::uint32_t chunk, std::uint32_t length) noexcept {
  constexpr std::uint32_t worth_it = 1024;  // chunks
  std::uint64_t word = region.chunks[chunk].extent.load(std::memory_order_acquire);
  const Extent extent = extent_of(word);
  if (length < worth_it || extent.length != length || extent.owner.slot == interior_slot) {
    return false;
  }
  return region.chunks[chunk].extent.compare_exchange_strong(word, extent_word({length, {}}),
                                                             std::memory_order_acq_rel);
}

void mark_free(std::uint32_t chunk, std::uint32_t length, bool cold) noexcept {
  region.chunks[chunk].span.store(span_word({SpanState::free, cold, 0, length}),
                                  std::memory_order_release);
}

/// The end of freeing a block whose pages are gone (`cold`) or kept.
void finish_free(std::uint32_t chunk, std::uint32_t length, bool cold) noexcept {
  if (!cold) region.header->spare.fetch_add(length, std::memory_order_relaxed);
  const bool is_mine = region.chunks[chunk].home.load(std::memory_order_relaxed) == my_word();
  const bool is_orphan = orphan_extent_of(chunk, length);
  if (is_orphan || !is_mine) {
    mark_free(chunk, length, cold);
    return;
  }
  const std::lock_guard lock(local().mutex);
  mark_free(chunk, length, cold);
  put_chunks(chunk, length);
}

}  // namespace

void* allocate_large(std::size_t bytes) {
  const auto need = static_cast<std::uint32_t>((bytes + chunk_bytes - 1) / chunk_bytes);
  std::uint32_t chunk = 0;
  take_chunks(need, class_count, chunk);
  Chunk& book = region.chunks[chunk];
  book.home.store(my_word(), std::memory_order_relaxed);
  book.owner.store(my_word(), std::memory_order_relaxed);
  book.span.store(span_word({SpanState::large, false, 0, need}), std::memory_order_release);
  return chunk_address(chunk);
}

void free_large(std::uint32_t chunk, Span span) noexcept {
  if (!is_too_much(span.length)) {
    finish_free(chunk, span.length, false);
    return;
  }
  const std::lock_guard lock(local().punching);
  const std::uint64_t me = my_word();
  Word& intent = region.header->intents[word_member(me).slot].freeing;
  intent.store(std::uint64_t{chunk} + 1, std::memory_order_release);
  region.chunks[chunk].owner.store(word_freeing | me, std::memory_order_release);
  unback_chunks(chunk, span.length);
  finish_free(chunk, span.length, true);
  intent.store(0, std::memory_order_release);
}

void reclaim_large(std::uint32_t chunk, Span span) noexcept {
  const bool cold = is_too_much(span.length);
  if (cold) {
    unback_chunks(chunk, span.length);
  } else {
    region.header->spare.fetch_add(backed_chunks(chunk, span.length), std::memory_order_relaxed);
  }
  mark_free(chunk, span.length, cold);
}

void complete_intent(std::uint16_t slot, std::uint32_t epoch) noexcept {
  Word& intent = region.header->intents[slot].freeing;
  const std::uint64_t named = intent.load(std::memory_order_acquire);
  if (named == 0) return;
  const auto chunk = static_cast<std::uint32_t>(named - 1);
  Chunk& book = region.chunks[chunk];
  const Span span = span_of(book.span.load(std::memory_order_acquire));
  const std::uint64_t word = word_freeing | block_word({slot, epoch});
  if (span.state == SpanState::large && book.owner.load(std::memory_order_acquire) == word) {
    unback_chunks(chunk, span.length);
    orphan_extent_of(chunk, span.length);
    mark_free(chunk, span.length, true);
  }
  intent.store(0, std::memory_order_release);
}

}  // namespace procyon::shm
