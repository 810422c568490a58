// Seeing the program's heap from a process that did not inherit it.
#pragma once

#include "base/descriptor.hpp"
#include "shm/members.hpp"

#include <cstdint>

namespace procyon::shm {

/// What a process needs besides the heap's descriptor.
struct HeapTicket {
  std::uint64_t base = 0;
  std::uint64_t limit = 0;
  std::uint32_t chunks = 0;
};

/// Requires: this process has a heap.
HeapTicket heap_ticket() noexcept;
int heap_descriptor() noexcept;

/// Maps the heap at its address and becomes that member. What this process had of another heap, or
/// of this one by inheritance, is unmapped first. Throws SharedMemoryError.
void attach_heap(base::Descriptor fd, const HeapTicket& ticket, MemberId id);

/// Unmaps what was inherited, or made before init(). Requires: its descriptor has been closed, with
/// all others that the process began with.
void leave_heap() noexcept;

}  // namespace procyon::shm
