// What one process knows of the heap: who it is, and short cuts to free memory in its own extents.
// Nothing here is shared, nothing here is needed for recovery.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "shm/layout.hpp"

namespace procyon::shm {

/// The slab that a size class is being served from.
struct Cursor {
  Word* next = nullptr;
  Word* end = nullptr;
  Chunk* book = nullptr;
  char* data = nullptr;  // of the chunk
  std::uint32_t chunk = 0;
};

/// Short cuts. Guarded by `Local::mutex`.
struct Hints {
  std::array<Cursor, class_count> cursors{};
  std::array<std::vector<std::uint32_t>, class_count> slabs;  // all slabs of this process
  std::array<std::size_t, class_count> probes{};              // where the next search begins
  std::set<std::pair<std::uint32_t, std::uint32_t>> runs;  // {length, first}: free, in own extents
  std::uint32_t next_ahead = 1;                            // chunks to back at once
  std::uint32_t next_extent = 16;                          // chunks to claim at once
};

struct Local : Hints {
  std::mutex punching;  // guards this process's Intent; taken before `mutex`, where both are
  std::mutex mutex;
};

/// Never destroyed: blocks are freed until the very end of the process.
Local& local() noexcept;
/// Forgets everything, frees nothing: for a child, where another thread may have held the mutex.
void reset_local() noexcept;

/// The block word of this process; 0: it is no member.
extern std::atomic<std::uint64_t> self_word;
/// This process was forked from a member by somebody else's code.
extern std::atomic<bool> is_stranger;

inline std::uint64_t my_word() noexcept { return self_word.load(std::memory_order_relaxed); }

}  // namespace procyon::shm
