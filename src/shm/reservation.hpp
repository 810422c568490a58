// The heap's address range and its pages: reserved once, backed and given back page by page.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shm/attachment.hpp"
#include "shm/layout.hpp"

namespace procyon::shm {

/// Where this process sees the heap. Constant between `reserve` and `unreserve`, which only the
/// program calls, with its private locks held; children inherit it.
struct Region {
  std::atomic<char*> base{nullptr};  // written last; null: there is no heap
  std::atomic<char*> data{nullptr};
  std::atomic<char*> window{nullptr};
  std::atomic<std::size_t> data_bytes{0};
  std::atomic<std::size_t> window_bytes{0};
  Header* header = nullptr;
  Chunk* chunks = nullptr;
  Word* words = nullptr;  // words_per_chunk a chunk
  std::size_t limit = 0;
  int fd = -1;
};
extern Region region;

inline char* chunk_address(std::uint32_t chunk) noexcept {
  return region.data.load(std::memory_order_relaxed) + std::size_t{chunk} * chunk_bytes;
}
/// The chunk that holds an address of the data region.
inline std::uint32_t chunk_at(const void* address) noexcept {
  const char* data = region.data.load(std::memory_order_relaxed);
  return static_cast<std::uint32_t>(
      static_cast<std::size_t>(static_cast<const char*>(address) - data) / chunk_bytes);
}
inline Word* chunk_words(std::uint32_t chunk) noexcept {
  return region.words + std::size_t{chunk} * words_per_chunk;
}
inline bool in_data(const void* address) noexcept {
  const char* data = region.data.load(std::memory_order_relaxed);
  const auto offset = static_cast<const char*>(address) - data;
  return data != nullptr && offset >= 0 &&
         static_cast<std::size_t>(offset) < region.data_bytes.load(std::memory_order_relaxed);
}

/// Makes the file, maps it at a random address of the window that all builds leave free, and backs
/// the header. Requires: there is no heap. Throws SharedMemoryError, std::invalid_argument (limit).
void reserve();
void unreserve() noexcept;
/// Maps a heap that another process has made, at its address. Takes the descriptor over. Requires:
/// there is no heap. Throws SharedMemoryError where the addresses are taken, or the file is no heap
/// of this library's.
void map_existing(int fd, const HeapTicket& ticket);

/// Backs [address, address + bytes), rounded out to pages. Nothing has changed if it throws
/// SharedMemoryError. Two processes that grow at the same instant may pass the limit until one of
/// them has given its pages back.
void back_pages(const void* address, std::size_t bytes);
/// Gives the pages back to the kernel; they read as zero and must be backed again before use.
void unback_pages(const void* address, std::size_t bytes) noexcept;
/// Bytes that the kernel holds for the heap.
std::size_t backed_bytes() noexcept;

/// PROCYON_SHARED_MEMORY; null where it is not set, or empty.
const char* limit_asked_for() noexcept;
/// That limit, or a share of what the machine and the control group have left.
/// Throws std::invalid_argument.
std::size_t memory_limit();

}  // namespace procyon::shm
