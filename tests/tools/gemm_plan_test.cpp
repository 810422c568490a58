// Broadcasting: which products a pair of shapes means.
#include "procyon/gemm_plan.hpp"

#include <algorithm>
#include <random>
#include <set>
#include <stdexcept>
#include <vector>

#include "catch.hpp"

using namespace procyon::tool;
using Catch::Matchers::Contains;

namespace {

/// Where the matrix at `index` (the leading indices of C) begins in an operand of that shape.
std::size_t offset_of(const Shape& shape, const Shape& index) {
  std::size_t step = *(shape.end() - 2) * shape.back(), offset = 0;
  for (std::size_t d = 1; d + 2 <= shape.size() && d <= index.size(); ++d) {
    const std::size_t length = *(shape.end() - 2 - static_cast<std::ptrdiff_t>(d));
    if (length != 1) offset += step * *(index.end() - static_cast<std::ptrdiff_t>(d));
    step *= length;
    if (d + 2 == shape.size()) break;
  }
  return offset;
}

using Triple = std::vector<std::size_t>;  // where A, B and C of one product begin

std::set<Triple> planned(const GemmPlan& plan) {
  std::set<Triple> found;
  for (const Batch& batch : plan.batches) {
    for (std::size_t i = 0; i < plan.count; ++i) {
      found.insert(
          {batch.a + i * plan.a_step, batch.b + i * plan.b_step, batch.c + i * plan.c_step});
    }
  }
  return found;
}

std::set<Triple> expected(const Shape& a, const Shape& b, const GemmPlan& plan) {
  std::set<Triple> all;
  const Shape lengths(plan.c_shape.begin(), plan.c_shape.end() - 2);
  Shape index(lengths.size(), 0);
  for (std::size_t c = 0; c < plan.c_size; c += plan.rows * plan.cols) {
    all.insert({offset_of(a, index), offset_of(b, index), c});
    for (std::size_t d = lengths.size(); d-- > 0;) {
      if (++index[d] < lengths[d]) break;
      index[d] = 0;
    }
  }
  return all;
}

}  // namespace

TEST_CASE("a 2-D operand is the same for all, and one batch does it") {
  const GemmPlan right = plan_gemm({1797, 8, 4}, {4, 5});
  CHECK(right.c_shape == Shape{1797, 8, 5});
  CHECK(right.batches.size() == 1);
  CHECK(right.count == 1797);
  CHECK(right.a_step == 32);
  CHECK(right.b_step == 0);
  CHECK(right.c_step == 40);
  CHECK(right.flops() == 2.0 * 1797 * 8 * 4 * 5);
  const GemmPlan left = plan_gemm({8, 4}, {3, 2, 4, 5});
  CHECK(left.c_shape == Shape{3, 2, 8, 5});
  CHECK(left.batches.size() == 1);
  CHECK(left.count == 6);
  CHECK(left.a_step == 0);
}

TEST_CASE("broadcasting both operands at once takes several batches, none forgotten or repeated") {
  const GemmPlan plan = plan_gemm({3, 1, 4, 5}, {2, 5, 6});
  CHECK(plan.c_shape == Shape{3, 2, 4, 6});
  CHECK(plan.batches.size() == 2);  // the longer length is the batch
  CHECK(plan.count == 3);
  CHECK(planned(plan) == expected({3, 1, 4, 5}, {2, 5, 6}, plan));
}

TEST_CASE("any shapes that fit give every product once") {
  std::mt19937 random(7);  // NOLINT: the same shapes in every run
  const auto below = [&random](std::size_t limit) { return std::size_t{random() % limit}; };
  for (int round = 0; round < 3000; ++round) {
    Shape a, b;
    const std::size_t depth = below(5);
    for (std::size_t d = 0; d < depth; ++d) {
      const std::size_t length = 1 + below(4);
      const std::size_t which = below(4);
      if (which != 0 || !a.empty()) a.push_back(which == 1 ? 1 : length);
      if (which != 3 || !b.empty()) b.push_back(which == 2 ? 1 : length);
    }
    const std::size_t m = 1 + below(3), k = 1 + below(3), n = 1 + below(3);
    a.insert(a.end(), {m, k});
    b.insert(b.end(), {k, n});
    CAPTURE(a, b);
    const GemmPlan plan = plan_gemm(a, b);
    const auto products = planned(plan);
    REQUIRE(products == expected(a, b, plan));
    REQUIRE(products.size() == plan.batches.size() * plan.count);
  }
}

TEST_CASE("an operand of one dimension is a row or a column, and its dimension goes") {
  CHECK(plan_gemm({4}, {4, 5}).c_shape == Shape{5});
  CHECK(plan_gemm({3, 4}, {4}).c_shape == Shape{3});
  CHECK(plan_gemm({4}, {4}).c_shape.empty());
  CHECK(plan_gemm({4}, {4}).c_size == 1);
  CHECK(plan_gemm({7, 3, 4}, {4}).c_shape == Shape{7, 3});
}

TEST_CASE("empty stacks and empty matrices have nothing to do; an empty sum is zero") {
  CHECK(plan_gemm({0, 3, 4}, {4, 5}).batches.empty());
  CHECK(plan_gemm({0, 3, 4}, {4, 5}).c_shape == Shape{0, 3, 5});
  CHECK(plan_gemm({2, 0, 4}, {4, 5}).c_size == 0);
  CHECK(plan_gemm({0, 3, 4}, {1, 4, 5}).c_shape == Shape{0, 3, 5});
  const GemmPlan sum_of_nothing = plan_gemm({2, 3, 0}, {0, 5});
  CHECK(sum_of_nothing.c_size == 30);
  CHECK(sum_of_nothing.count == 2);
}

TEST_CASE("shapes that do not fit are refused, both named, with the lengths that differ") {
  CHECK_THROWS_WITH(plan_gemm({2, 3, 4}, {5, 6}), Contains("(2, 3, 4)") && Contains("(5, 6)") &&
                                                      Contains("4 columns") && Contains("5 rows"));
  CHECK_THROWS_WITH(plan_gemm({2, 3, 4}, {3, 4, 6}), Contains("2 matrices against 3"));
  CHECK_THROWS_WITH(plan_gemm({0, 3, 4}, {3, 4, 6}), Contains("0 matrices against 3"));
  CHECK_THROWS_WITH(plan_gemm({}, {4, 5}), Contains("single number"));
  const std::size_t big = std::size_t{1} << 40;
  CHECK_THROWS_WITH(plan_gemm({big, 0}, {0, big}), Contains("does not fit in any memory"));
}
