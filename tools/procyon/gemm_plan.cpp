#include "procyon/gemm_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>

namespace procyon::tool {
namespace {

/// One length that A, B and C have in common, and how far each moves at a step of it.
struct Level {
  std::size_t length = 1;
  std::size_t a_step = 0, b_step = 0, c_step = 0;
};

[[noreturn]] void refuse(const Shape& a, const Shape& b, const std::string& reason) {
  throw std::invalid_argument(
      fmt::format("A has shape {} and B has shape {}: {}", shape_text(a), shape_text(b), reason));
}

std::size_t product(std::size_t x, std::size_t y, const Shape& a, const Shape& b) {
  std::size_t result = 0;
  if (__builtin_mul_overflow(x, y, &result) || result > PTRDIFF_MAX / 16) {
    refuse(a, b, "their product does not fit in any memory");
  }
  return result;
}

/// The lengths before the matrix, the first one first, padded in front to `size` with ones.
Shape leading(const Shape& shape, std::size_t size) {
  Shape lengths(size, 1);
  std::copy(shape.begin(), shape.end() - 2,
            lengths.end() - static_cast<std::ptrdiff_t>(shape.size() - 2));
  return lengths;
}

/// The levels, the innermost first; lengths of one are left out.
std::vector<Level> broadcast(const Shape& a, const Shape& b, GemmPlan& plan) {
  const std::size_t depth = std::max(a.size(), b.size()) - 2;
  const Shape a_leading = leading(a, depth), b_leading = leading(b, depth);
  std::size_t a_step = plan.rows * plan.inner, b_step = plan.inner * plan.cols;
  std::size_t c_step = product(plan.rows, plan.cols, a, b);
  std::vector<Level> levels;
  plan.c_shape.assign(depth, 1);
  for (std::size_t d = depth; d-- > 0;) {
    const std::size_t in_a = a_leading[d], in_b = b_leading[d];
    if (in_a != in_b && in_a != 1 && in_b != 1) {
      refuse(a, b,
             fmt::format("{} matrices against {} in one dimension; these must be equal, or one of "
                         "them 1",
                         in_a, in_b));
    }
    const std::size_t length = in_a == 1 ? in_b : in_a;
    plan.c_shape[d] = length;
    if (length != 1) {
      levels.push_back({length, in_a == 1 ? 0 : a_step, in_b == 1 ? 0 : b_step, c_step});
    }
    a_step = product(a_step, in_a, a, b);
    b_step = product(b_step, in_b, a, b);
    c_step = product(c_step, length, a, b);
  }
  plan.c_size = c_step;
  return levels;
}

/// Makes one level of two neighbours where a step of the outer one is as far as going through the
/// inner one, in A, B and C.
std::vector<Level> merge(const std::vector<Level>& levels) {
  std::vector<Level> merged;
  for (const Level& outer : levels) {
    if (!merged.empty()) {
      Level& inner = merged.back();
      if (outer.a_step == inner.a_step * inner.length &&
          outer.b_step == inner.b_step * inner.length) {
        inner.length *= outer.length;
        continue;
      }
    }
    merged.push_back(outer);
  }
  return merged;
}

/// The longest level becomes the batch; the others are counted through.
void spread(std::vector<Level> levels, GemmPlan& plan) {
  const auto by_length = [](const Level& x, const Level& y) { return x.length < y.length; };
  Level batch{1, 0, 0, plan.rows * plan.cols};
  if (const auto longest = std::ranges::max_element(levels, by_length); longest != levels.end()) {
    batch = *longest;
    levels.erase(longest);
  }
  plan.count = batch.length;
  plan.a_step = batch.a_step;
  plan.b_step = batch.b_step;
  plan.c_step = batch.c_step;
  plan.batches = {Batch{}};
  for (const Level& level : levels) {
    const std::vector<Batch> within = std::move(plan.batches);
    plan.batches.clear();
    plan.batches.reserve(within.size() * level.length);
    for (std::size_t i = 0; i < level.length; ++i) {
      for (const Batch& at : within) {
        plan.batches.push_back(
            {at.a + i * level.a_step, at.b + i * level.b_step, at.c + i * level.c_step});
      }
    }
  }
}

}  // namespace

double GemmPlan::flops() const {
  double result = 2 * static_cast<double>(batches.size()) * static_cast<double>(count);
  for (const std::size_t length : {rows, inner, cols}) result *= static_cast<double>(length);
  return result;
}

GemmPlan plan_gemm(const Shape& a, const Shape& b) {
  if (a.empty() || b.empty()) {
    refuse(a, b, "a single number is no matrix; multiply by numbers in numpy");
  }
  Shape a_stack = a, b_stack = b;
  if (a.size() == 1) a_stack.insert(a_stack.begin(), 1);
  if (b.size() == 1) b_stack.push_back(1);
  GemmPlan plan;
  plan.rows = *(a_stack.end() - 2);
  plan.inner = a_stack.back();
  plan.cols = b_stack.back();
  if (const std::size_t b_rows = *(b_stack.end() - 2); b_rows != plan.inner) {
    refuse(a, b,
           fmt::format("matrices of {} columns times matrices of {} rows; these must be equal",
                       plan.inner, b_rows));
  }
  const std::vector<Level> levels = merge(broadcast(a_stack, b_stack, plan));
  if (a.size() > 1) plan.c_shape.push_back(plan.rows);
  if (b.size() > 1) plan.c_shape.push_back(plan.cols);
  if (plan.c_size > 0) spread(levels, plan);
  return plan;
}

std::string shape_text(const Shape& shape) {
  return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

}  // namespace procyon::tool
