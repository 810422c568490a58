#include "linalg/shared_copy.hpp"

#include <procyon/shm/heap.hpp>

#include <cstring>

#include "linalg/arguments.hpp"

namespace procyon::linalg {

SharedCopy::SharedCopy(const Operand& original, std::size_t count, Element element)
    : original_(original),
      shared_(original),
      count_(original.stride == 0 ? 1 : count),
      size_(size_of(element)) {
  shared_.data = shm::allocate(extent(original, count_) * size_);
}

SharedCopy::~SharedCopy() { shm::deallocate(shared_.data); }

void SharedCopy::copy_in() { copy(original_, shared_, count_, size_); }
void SharedCopy::copy_out() { copy(shared_, original_, count_, size_); }

void SharedCopy::copy(const Operand& from, const Operand& to, std::size_t count, std::size_t size) {
  const auto* const source = static_cast<const unsigned char*>(from.data);
  auto* const target = static_cast<unsigned char*>(to.data);
  if (from.ld == from.cols && (count == 1 || from.stride == from.rows * from.cols)) {
    std::memcpy(target, source, count * from.rows * from.cols * size);
    return;
  }
  for (std::size_t product = 0; product < count; ++product) {
    for (std::size_t row = 0; row < from.rows; ++row) {
      const std::size_t offset = (product * from.stride + row * from.ld) * size;
      std::memcpy(target + offset, source + offset, from.cols * size);
    }
  }
}

}  // namespace procyon::linalg
