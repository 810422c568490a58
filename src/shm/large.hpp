// Blocks of whole chunks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shm/layout.hpp"

namespace procyon::shm {

/// Under the private mutex. Throws SharedMemoryError.
void* allocate_large(std::size_t bytes);
/// Without it; any process. `chunk` is the block's first, `span` its span.
void free_large(std::uint32_t chunk, Span span) noexcept;
/// Recovery: frees a block that nobody can refer to any more, except through `word`.
/// May be run again after a death in the middle.
void reclaim_large(std::uint32_t chunk, Span span) noexcept;
/// Recovery: completes what the dead one's Intent names.
void complete_intent(std::uint16_t slot, std::uint32_t epoch) noexcept;

}  // namespace procyon::shm
