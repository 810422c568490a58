// Which products a stack of matrices times a stack of matrices means.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace procyon::tool {

using Shape = std::vector<std::size_t>;

/// `count` products at even distances: matrix i of A begins at element `a + i * a_step`, and so on.
struct Batch {
  std::size_t a = 0, b = 0, c = 0;
};

/// A product of stacks, taken apart into batches of even distances, all of one form.
struct GemmPlan {
  std::size_t rows = 0, inner = 0, cols = 0;       ///< each product: rows x inner x cols
  std::size_t count = 0;                           ///< products in each batch
  std::size_t a_step = 0, b_step = 0, c_step = 0;  ///< elements; 0: the same for all
  std::vector<Batch> batches;                      ///< where each begins; none: nothing to do
  Shape c_shape;                                   ///< as numpy's matmul has it
  std::size_t c_size = 0;                          ///< its elements
  double flops() const;
};

/// The rules of numpy.matmul: the last two lengths are a matrix, those before them are broadcast
/// against each other; an operand of one dimension is a row on the left, a column on the right.
/// Throws `std::invalid_argument` that names both shapes and says which lengths do not fit.
GemmPlan plan_gemm(const Shape& a, const Shape& b);

/// "(3, 4)", "(3,)", "()".
std::string shape_text(const Shape& shape);

}  // namespace procyon::tool
