// The shared heap: one range of memory at one address in every process of the program.
#pragma once

#include <cstddef>

namespace procyon {

/// A view of the shared heap, for people and programs that watch memory. Cheap to copy.
/// Each call walks the heap's own books, so a death in the middle of anything cannot falsify it.
class SharedHeap {
 public:
  std::size_t used() const;      ///< bytes in blocks that are allocated, rounded to their classes
  std::size_t reserved() const;  ///< bytes that the kernel holds for the heap
  std::size_t limit() const;     ///< bytes that `reserved()` never passes
};

/// The program's shared heap. `PROCYON_SHARED_MEMORY` (bytes, or with K, M, G) sets its limit.
SharedHeap shared_heap();

namespace shm {

/// Memory that every process of the program sees at this address. The heap comes into being with
/// the first call. `align` is a power of two up to 64 KiB; at least 64 is always given.
/// The block belongs to this process and is freed when it dies, unless it was given away.
/// Not zeroed. Throws `SharedMemoryError` (limit, memory, address range), never SIGBUS later; also
/// in a child that other code than this library forked: it reads and writes what there is, no more.
void* allocate(std::size_t bytes, std::size_t align = 64);

/// Frees a block of `allocate`, in any process. Null is allowed. Does nothing in a child that other
/// code than this library forked: its pointers are copies of its parent's.
void deallocate(void* block) noexcept;

/// From now on the block outlives the process that allocated it: something that others can reach
/// will name it. Call before it is named there.
void give(void* block) noexcept;

/// Whether all of [address, address + bytes) lies in the heap or in a file mapped beside it
/// (`map_file`), so that it means the same in every process.
bool contains(const void* address, std::size_t bytes = 1) noexcept;

/// Whether any of [address, address + bytes) lies where files are mapped (`load_npy`): writing
/// there is a fault, in every process.
bool is_read_only(const void* address, std::size_t bytes = 1) noexcept;

}  // namespace shm
}  // namespace procyon
