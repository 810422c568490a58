// Free chunks in this process's own extents. All of it under the private mutex.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shm/layout.hpp"

namespace procyon::shm {

/// Finds `need` free chunks, backs them and splits off the rest. The caller stores the span word
/// of the first chunk, which takes them in one step; until then they are free. `size_class`: a slab
/// of that class that turns up on the way serves as well (then it returns false).
/// Throws SharedMemoryError.
bool take_chunks(std::uint32_t need, std::size_t size_class, std::uint32_t& first);
/// Puts a run that is free (or was never taken) back.
void put_chunks(std::uint32_t first, std::uint32_t length) noexcept;
/// Reads the books of the own extents anew: joins free runs, lists the slabs.
void scan_own_extents();
/// Gives all free pages of the own extents back to the kernel.
void trim_own_extents() noexcept;

/// Whether freeing so many backed chunks would leave more free memory than is kept for reuse.
bool is_too_much(std::uint32_t chunks) noexcept;
/// Gives the pages of the chunks back. Requires: they hold no block and nobody can take them.
void unback_chunks(std::uint32_t first, std::uint32_t length) noexcept;
std::uint32_t backed_chunks(std::uint32_t first, std::uint32_t length) noexcept;

/// Whether a size class is being served from this slab of this process.
bool is_cursor(std::uint32_t chunk) noexcept;
/// About how many blocks of a slab are free.
std::uint32_t slab_room(std::uint32_t chunk, Span span) noexcept;

}  // namespace procyon::shm
