// Files that are mapped read-only beside the heap, at one address in every process.
#pragma once

#include <cstddef>

namespace procyon::shm {

/// Maps the first `bytes` bytes of a file into the file window. Only in the program; the other
/// members see it after their next `sync_mappings`. The file may be closed and unlinked afterwards,
/// not truncated. Throws SharedMemoryError (window or registry full, errno of mmap),
/// std::logic_error in another process.
void* map_file(int fd, std::size_t bytes);
/// Ends a mapping. In the program at once; elsewhere the program does so at its next `map_file`.
void unmap_file(void* address) noexcept;
/// Maps what the program has mapped since the last call, drops what it has unmapped. A member calls
/// it at the start of each job; one atomic load where nothing has changed.
/// Throws SharedMemoryError where a file cannot be opened through the program's /proc/PID/fd.
void sync_mappings();

/// Whether the range lies in one file that this process has mapped.
bool in_mapped_file(const void* address, std::size_t bytes) noexcept;
bool files_are_mapped() noexcept;
/// Forgets what the parent knew: for a child (its mappings are inherited and stay).
void reset_files() noexcept;
/// As above for a process that inherited no mappings.
void forget_files() noexcept;

}  // namespace procyon::shm
