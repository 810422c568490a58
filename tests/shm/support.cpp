#include "support.hpp"

#include <fstream>

namespace heap_test {

std::size_t heap_mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find("memfd:procyon") != std::string::npos;
  }
  return count;
}

std::vector<void*> given_blocks() {
  std::vector<void*> blocks;
  const auto visit = [&](std::uint32_t at, shm::Span span) {
    const bool large = span.state == shm::SpanState::large;
    if (large && shm::region.chunks[at].owner.load() == shm::word_given) {
      blocks.push_back(shm::chunk_address(at));
    }
    if (span.state != shm::SpanState::slab || shm::slab_is_empty(at, span)) return;
    for (std::uint32_t i = 0; i < shm::class_capacity(span.size_class); ++i) {
      if (shm::chunk_words(at)[i].load() != shm::word_given) continue;
      blocks.push_back(shm::chunk_address(at) + std::size_t{i} * shm::class_sizes[span.size_class]);
    }
  };
  shm::each_extent(
      [&](std::uint32_t first, shm::Extent extent) { shm::each_run(first, extent.length, visit); });
  return blocks;
}

}  // namespace heap_test
