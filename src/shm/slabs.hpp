// Small blocks: chunks of one size class each. All of it but the lookups under the private mutex.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shm/layout.hpp"

namespace procyon::shm {

/// A block of the class; null: the class's slab has none left, call `refill`.
void* take_small(std::size_t size_class) noexcept;
/// Makes another slab the class's current one. Throws SharedMemoryError.
void refill(std::size_t size_class);
/// Makes a listed slab with free blocks the current one. False: there is none.
bool open_any_slab(std::size_t size_class) noexcept;
/// Enters a slab of an own extent in the private list.
void list_slab(std::uint32_t chunk, std::size_t size_class);
/// Makes a slab of this process without blocks a free chunk. Does nothing where it is not one.
void retire_slab(std::uint32_t chunk) noexcept;

/// Blocks of a slab in use.
std::uint32_t count_used(std::uint32_t chunk, std::size_t size_class) noexcept;
/// The smallest class for so many bytes whose blocks are aligned so; class_count: none.
std::size_t find_class(std::size_t bytes, std::size_t align) noexcept;
/// Which block of its slab an address is.
std::uint32_t block_index(std::size_t offset, std::size_t size_class) noexcept;

}  // namespace procyon::shm
