// The heap's beginning and end in the program.
#pragma once

#include <cstddef>

namespace procyon::shm {

/// Makes the heap if there is none. Under the private mutex. Throws SharedMemoryError,
/// std::invalid_argument.
void open_locked();
/// Bytes in blocks, by a walk through the books.
std::size_t used_bytes() noexcept;

}  // namespace procyon::shm
