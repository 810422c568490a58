#include <procyon/linalg/verify.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "linalg/arguments.hpp"

namespace procyon::linalg {

namespace {

// `wanted` of the numbers 0 to count - 1, evenly, the first and the last among them.
std::vector<std::size_t> spread(std::size_t count, double wanted) {
  const double limited = std::clamp(wanted, std::min<double>(2, static_cast<double>(count)),
                                    static_cast<double>(count));
  const auto take = static_cast<std::size_t>(limited);
  std::vector<std::size_t> chosen(take);
  for (std::size_t i = 0; i < take; ++i) {
    const auto position = static_cast<double>(i) * static_cast<double>(count - 1) /
                          static_cast<double>(std::max<std::size_t>(take - 1, 1));
    chosen[i] = static_cast<std::size_t>(std::llround(position));
  }
  return chosen;
}

template <class T>
struct Problem {
  const T* a;
  const T* b;
  const T* before;
  const T* c;
  Operand a_shape, b_shape, before_shape, c_shape;
  bool transpose_a, transpose_b;
  long double alpha, beta;
  std::size_t k;

  long double left(std::size_t product, std::size_t row, std::size_t l) const {
    const T* const matrix = a + product * a_shape.stride;
    return transpose_a ? matrix[l * a_shape.ld + row] : matrix[row * a_shape.ld + l];
  }
};

// One row of C as it should be, and what its errors are measured by.
struct Row {
  std::vector<long double> sum;
  std::vector<long double> magnitude;
};

template <class T>
void multiply_row(const Problem<T>& problem, std::size_t product, std::size_t row, Row& out) {
  const std::size_t n = problem.c_shape.cols;
  out.sum.assign(n, 0);
  out.magnitude.assign(n, 0);
  const T* const b = problem.b + product * problem.b_shape.stride;
  const std::size_t ld = problem.b_shape.ld;
  // As in BLAS, alpha = 0 means that A and B are not looked at, and beta = 0 that C is not.
  for (std::size_t l = 0; problem.alpha != 0 && l < problem.k; ++l) {
    const long double x = problem.left(product, row, l);
    for (std::size_t col = 0; col < n; ++col) {
      const long double term = x * (problem.transpose_b ? b[col * ld + l] : b[l * ld + col]);
      out.sum[col] += term;
      out.magnitude[col] += std::abs(term);
    }
  }
  for (std::size_t col = 0; col < n; ++col) {
    out.sum[col] *= problem.alpha;
    out.magnitude[col] *= std::abs(problem.alpha);
    if (problem.beta == 0) continue;
    const Operand& shape = problem.before_shape;
    const long double old = problem.before[product * shape.stride + row * shape.ld + col];
    out.sum[col] += problem.beta * old;
    out.magnitude[col] += std::abs(problem.beta * old);
  }
}

// Error in units of the bound. Where the result may overflow, or is no number by the rules of
// arithmetic, only its kind can be compared.
template <class T>
double ratio(T computed, long double reference, long double magnitude, long double bound) {
  if (std::isnan(reference) || std::isinf(reference)) {
    const auto expected = static_cast<T>(reference);
    return std::isnan(expected) ? (std::isnan(computed) ? 0 : HUGE_VAL)
                                : (computed == expected ? 0 : HUGE_VAL);
  }
  const bool may_overflow = magnitude + bound > std::numeric_limits<T>::max();
  if (may_overflow && !std::isfinite(computed)) return 0;
  if (std::isnan(computed)) return HUGE_VAL;
  const long double error = std::abs(static_cast<long double>(computed) - reference);
  if (error == 0) return 0;
  return bound == 0 ? HUGE_VAL : static_cast<double>(error / bound);
}

template <class T>
void compare_row(const Problem<T>& problem, std::size_t product, std::size_t row, const Row& want,
                 GemmCheck& check) {
  constexpr long double unit = std::numeric_limits<T>::epsilon() / 2.0L;
  // Each of the k + 2 roundings may also lose a fraction of the smallest number there is.
  constexpr long double tiny = std::numeric_limits<T>::denorm_min();
  const auto roundings = static_cast<long double>(problem.k + 2);
  const long double gamma = roundings * unit / (1 - roundings * unit);
  const Operand& shape = problem.c_shape;
  const T* const computed = problem.c + product * shape.stride + row * shape.ld;
  for (std::size_t col = 0; col < shape.cols; ++col) {
    const long double scale = std::max(1.0L, std::abs(problem.alpha));
    const bool exact = want.magnitude[col] == 0;
    const long double bound = gamma * want.magnitude[col] + (exact ? 0 : roundings * tiny * scale);
    const double found = ratio(computed[col], want.sum[col], want.magnitude[col], bound);
    ++check.checked;
    if (check.checked > 1 && !(found > check.worst_ratio)) continue;
    check.worst_ratio = found;
    check.product = product;
    check.row = row;
    check.col = col;
    check.computed = static_cast<double>(computed[col]);
    check.reference = static_cast<double>(want.sum[col]);
    check.bound = static_cast<double>(bound);
  }
}

template <class T>
GemmCheck compare(const Problem<T>& problem, const GemmShape& shape, double budget) {
  GemmCheck check;
  if (shape.count == 0 || shape.m == 0 || shape.n == 0) return check;
  const double row_cost = static_cast<double>(shape.n) * static_cast<double>(shape.k + 1);
  const auto count = static_cast<double>(shape.count);
  const auto rows = spread(shape.m, budget / (row_cost * count));
  const auto products = spread(shape.count, budget / (row_cost * static_cast<double>(rows.size())));
  check.complete = rows.size() == shape.m && products.size() == shape.count;
  Row row;
  for (const std::size_t product : products) {
    for (const std::size_t index : rows) {
      multiply_row(problem, product, index, row);
      compare_row(problem, product, index, row, check);
    }
  }
  return check;
}

template <class T>
GemmCheck verify_as(const GemmOptions& options, const GemmShape& shape, const Operand& a,
                    const Operand& b, const Operand& before, const Operand& c, double budget) {
  const Problem<T> problem{.a = static_cast<const T*>(a.data),
                           .b = static_cast<const T*>(b.data),
                           .before = static_cast<const T*>(before.data),
                           .c = static_cast<const T*>(c.data),
                           .a_shape = a,
                           .b_shape = b,
                           .before_shape = before,
                           .c_shape = c,
                           .transpose_a = options.op_a != Op::none,
                           .transpose_b = options.op_b != Op::none,
                           .alpha = static_cast<T>(options.alpha),
                           .beta = static_cast<T>(options.beta),
                           .k = shape.k};
  return compare(problem, shape, budget);
}

}  // namespace

GemmCheck verify(const GemmOptions& options, Element element, const Operand& a, const Operand& b,
                 const Operand& before, const Operand& c, double budget) {
  const GemmShape shape = check_arguments(options, element, a, b, c);
  if (options.beta != 0) check_arguments(options, element, a, b, before);
  return element == Element::f32 ? verify_as<float>(options, shape, a, b, before, c, budget)
                                 : verify_as<double>(options, shape, a, b, before, c, budget);
}

}  // namespace procyon::linalg
