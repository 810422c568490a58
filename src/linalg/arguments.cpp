#include "linalg/arguments.hpp"

#include <procyon/shm/heap.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>

namespace procyon::linalg {

namespace {

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
  throw std::invalid_argument("gemm_batch: " + fmt::format(format, std::forward<Args>(args)...));
}

bool empty(const Operand& operand) { return operand.rows == 0 || operand.cols == 0; }

void check_scalar(const char* name, double value, Element element) {
  if (std::isnan(value)) refuse("{} is NaN; it must be a number", name);
  const bool too_big = std::isfinite(value) && std::abs(value) > std::numeric_limits<float>::max();
  if (element == Element::f32 && too_big) {
    refuse("{} is {}, which is too large for float matrices", name, value);
  }
}

void check_enumerations(const GemmOptions& options) {
  for (const Op op : {options.op_a, options.op_b}) {
    if (op != Op::none && op != Op::transpose && op != Op::adjoint) {
      refuse("{} is no Op; use Op::none, Op::transpose or Op::adjoint", static_cast<int>(op));
    }
  }
  if (options.kernel != Kernel::automatic && options.kernel != Kernel::openblas) {
    refuse("{} is no Kernel; use Kernel::automatic", static_cast<int>(options.kernel));
  }
}

// The bytes from the first to behind the last element must fit an address, and what BLAS counts
// by int must fit an int.
void check_sizes(const char* name, const Operand& operand, std::size_t count, Element element) {
  for (const auto& [what, value] : {std::pair{"rows", operand.rows},
                                    std::pair{"cols", operand.cols}, std::pair{"ld", operand.ld}}) {
    if (value > INT_MAX) {
      refuse("{} of {} is {}; BLAS counts by int, so it must be at most {}", what, name, value,
             INT_MAX);
    }
  }
  std::size_t bytes = 0;
  bool overflow = __builtin_mul_overflow(count - (count > 0), operand.stride, &bytes);
  overflow |=
      __builtin_add_overflow(bytes, operand.rows * std::max<std::size_t>(operand.ld, 1), &bytes);
  overflow |= __builtin_mul_overflow(bytes, size_of(element), &bytes);
  if (overflow || bytes > PTRDIFF_MAX) {
    refuse("{} does not fit in memory: {} matrices at a stride of {} elements", name, count,
           operand.stride);
  }
}

void check_operand(const char* name, const Operand& operand, std::size_t count, Element element) {
  if (operand.stride != 0 && operand.count != count) {
    refuse("{} but C is {} of them; the counts must agree (stride = 0 takes one matrix for all)",
           describe(name, operand), count);
  }
  if (!empty(operand) && operand.ld < operand.cols) {
    refuse("{} but its ld is {}; ld counts elements from row to row and must be at least cols, {}",
           describe(name, operand), operand.ld, operand.cols);
  }
  check_sizes(name, operand, count, element);
  if (operand.data == nullptr && !empty(operand) && count > 0) {
    refuse("{} but its data is null", describe(name, operand));
  }
}

std::string shape_text(const char* name, Op op, const Operand& operand) {
  if (op == Op::none) return fmt::format("{} is {}x{}", name, operand.rows, operand.cols);
  return fmt::format("{} transposed is {}x{}", name, operand.cols, operand.rows);
}

GemmShape fit(const GemmOptions& options, const Operand& a, const Operand& b, const Operand& c) {
  const bool ta = options.op_a != Op::none;
  const bool tb = options.op_b != Op::none;
  const GemmShape shape{.m = ta ? a.cols : a.rows,
                        .n = tb ? b.rows : b.cols,
                        .k = ta ? a.rows : a.cols,
                        .count = c.count};
  const std::size_t k_of_b = tb ? b.cols : b.rows;
  if (shape.k != k_of_b) {
    refuse("{} and {}; the columns of the first, {}, must be the rows of the second, {}",
           shape_text("A", options.op_a, a), shape_text("B", options.op_b, b), shape.k, k_of_b);
  }
  if (c.rows != shape.m || c.cols != shape.n) {
    refuse("C is {}x{} but {} and {}, whose product is {}x{}", c.rows, c.cols,
           shape_text("A", options.op_a, a), shape_text("B", options.op_b, b), shape.m, shape.n);
  }
  return shape;
}

struct Range {
  std::uintptr_t begin = 0, end = 0;
};

Range touched(const Operand& operand, std::size_t count, Element element) {
  const auto begin = reinterpret_cast<std::uintptr_t>(operand.data);
  return {begin, begin + extent(operand, count) * size_of(element)};
}

// Whether two of the matrices share an element: matrix 0 and matrix d, which lies d strides on, do
// where d strides are some whole rows and less than a row's columns away from it.
bool overlaps_itself(const Operand& c, std::size_t count) {
  const std::size_t reach = (c.rows - 1) * c.ld + c.cols;
  for (std::size_t d = 1; d < count && d <= (reach - 1) / c.stride; ++d) {
    const std::size_t rows = d * c.stride / c.ld;
    const std::size_t cols = d * c.stride % c.ld;
    if (rows < c.rows && cols < c.cols) return true;
    if (rows + 1 < c.rows && c.ld - cols < c.cols) return true;
  }
  return false;
}

}  // namespace

std::string describe(const char* name, const Operand& operand) {
  if (operand.stride == 0) {
    return fmt::format("{} is one matrix of {}x{}", name, operand.rows, operand.cols);
  }
  return fmt::format("{} is {} matrices of {}x{}", name, operand.count, operand.rows, operand.cols);
}

std::size_t extent(const Operand& operand, std::size_t count) {
  if (count == 0 || empty(operand)) return 0;
  return (count - 1) * operand.stride + (operand.rows - 1) * operand.ld + operand.cols;
}

GemmShape check_arguments(const GemmOptions& options, Element element, const Operand& a,
                          const Operand& b, const Operand& c) {
  check_enumerations(options);
  check_scalar("alpha", options.alpha, element);
  check_scalar("beta", options.beta, element);
  const GemmShape shape = fit(options, a, b, c);
  check_operand("A", a, c.count, element);
  check_operand("B", b, c.count, element);
  check_operand("C", c, c.count, element);
  if (c.stride == 0 && c.count > 1 && !empty(c)) {
    refuse("C has stride 0, so that its {} matrices of {}x{} would all be the same one", c.count,
           c.rows, c.cols);
  }
  return shape;
}

void check_aliasing(Element element, const Operand& a, const Operand& b, const Operand& c,
                    const GemmShape& shape) {
  const Range result = touched(c, shape.count, element);
  if (result.begin == result.end) return;
  for (const auto& [name, operand] : {std::pair{"A", &a}, std::pair{"B", &b}}) {
    const Range range = touched(*operand, shape.count, element);
    if (range.begin == range.end) continue;
    if (range.begin < result.end && result.begin < range.end) {
      refuse("C overlaps {} in memory ({}, {}); give C memory of its own", name, describe("C", c),
             describe(name, *operand));
    }
  }
  if (shape.count > 1 && overlaps_itself(c, shape.count)) {
    refuse(
        "{} at a stride of {} with ld {}: they overlap each other; a stride of rows * ld, {}, "
        "keeps them apart",
        describe("C", c), c.stride, c.ld, c.rows * c.ld);
  }
}

void check_writable(Element element, const Operand& c) {
  if (!shm::is_read_only(c.data, extent(c, c.count) * size_of(element))) return;
  refuse(
      "{}, in a file that load_npy mapped, which can only be read; give C a procyon::Array of its "
      "own, or the copy that the file's array makes: data.clone()",
      describe("C", c));
}

}  // namespace procyon::linalg
