// The heap's beginning and end in the program.
#pragma once

#include <cstddef>

namespace procyon::shm {

/// Makes the heap if there is none. Under the private mutex. Throws SharedMemoryError,
/// std::invalid_argument.
void open_locked();
/// From here on, a child that somebody else's code forks is told from a member.
void watch_forks();
/// Bytes in blocks, by a walk through the books.
std::size_t used_bytes() noexcept;

}  // namespace procyon::shm
