// What the heap holds, read from its own books.
#include <mutex>

#include <procyon/shm/heap.hpp>

#include "shm/extents.hpp"
#include "shm/local.hpp"
#include "shm/opening.hpp"
#include "shm/reservation.hpp"
#include "shm/slabs.hpp"

namespace procyon {
namespace shm {

std::size_t used_bytes() noexcept {
  std::size_t bytes = 0;
  each_extent([&](std::uint32_t first, Extent extent) {
    each_run(first, extent.length, [&](std::uint32_t at, Span span) {
      if (span.state == SpanState::large) bytes += span.length * chunk_bytes;
      if (span.state == SpanState::slab) {
        bytes += std::size_t{count_used(at, span.size_class)} * class_sizes[span.size_class];
      }
    });
  });
  return bytes;
}

namespace {

/// Keeps the heap open while it is read. A stranger's copy of the mutex may be held for ever by a
/// thread that it does not have; nobody closes a stranger's heap.
std::unique_lock<std::mutex> keep_open() {
  if (is_stranger.load(std::memory_order_relaxed)) return {};
  return std::unique_lock(local().mutex);
}

}  // namespace
}  // namespace shm

std::size_t SharedHeap::used() const {
  const auto lock = shm::keep_open();
  return shm::heap_is_open() ? shm::used_bytes() : 0;
}

std::size_t SharedHeap::reserved() const {
  const auto lock = shm::keep_open();
  return shm::heap_is_open() ? shm::backed_bytes() : 0;
}

std::size_t SharedHeap::limit() const {
  const auto lock = shm::keep_open();
  return shm::heap_is_open() ? shm::region.limit : shm::memory_limit();
}

SharedHeap shared_heap() { return {}; }

}  // namespace procyon
