// What gemm_batch demands of its arguments.
#pragma once

#include <procyon/linalg/gemm.hpp>

#include <cstddef>
#include <string>

namespace procyon::linalg {

/// C's shape and the length of the sums.
struct GemmShape {
  std::size_t m = 0, n = 0, k = 0, count = 0;
};

inline std::size_t size_of(Element element) {
  return element == Element::f32 ? sizeof(float) : sizeof(double);
}

/// Checks everything but aliasing and where the operands lie. Throws `std::invalid_argument`.
GemmShape check_arguments(const GemmOptions& options, Element element, const Operand& a,
                          const Operand& b, const Operand& c);

/// Throws `std::invalid_argument` where C shares memory with A or B, or its matrices with each
/// other. Requires: check_arguments has passed.
void check_aliasing(Element element, const Operand& a, const Operand& b, const Operand& c,
                    const GemmShape& shape);

/// Throws `std::invalid_argument` where C lies in a file that is mapped: its pages are read-only.
/// Requires: check_arguments has passed.
void check_writable(Element element, const Operand& c);

/// Elements from the first to behind the last of a checked operand of `count` matrices.
std::size_t extent(const Operand& operand, std::size_t count);

/// "A is 1797 matrices of 8x8".
std::string describe(const char* name, const Operand& operand);

}  // namespace procyon::linalg
