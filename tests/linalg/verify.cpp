// The check itself: it must notice a wrong product, and not accuse a right one.
#include <procyon/executor/serial_pool.hpp>
#include <procyon/linalg.hpp>

#include <catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "linalg/support.hpp"

using linalg_test::Case;
using linalg_test::Operands;

namespace {

// A product that gemm_batch computed, and room to spoil it.
template <class T>
struct Computed {
  Case one;
  Operands<T> operands;
  std::vector<T> c;

  explicit Computed(const Case& wanted) : one(wanted), operands(wanted) {
    operands.make_fractional(5);
    compute();
  }
  void compute() {
    c = operands.c;
    procyon::SerialPool pool;
    gemm_batch(pool, one.options(), operands.batch_a(operands.a.data()),
               operands.batch_b(operands.b.data()), operands.batch_c(c.data()));
  }
  procyon::GemmCheck check(double budget = 2e8) const {
    return procyon::verify_gemm(
        one.options(), operands.batch_a(operands.a.data()), operands.batch_b(operands.b.data()),
        operands.batch_c(operands.c.data()), operands.batch_c(c.data()), budget);
  }
};

}  // namespace

TEST_CASE("one wrong element is found, and where it is") {
  Computed<double> product({.m = 6, .n = 5, .k = 7, .count = 4, .alpha = 2, .beta = -1});
  CHECK(product.check().passed());
  CHECK(product.check().checked == 120);
  product.c[2 * 30 + 3 * 5 + 4] += 1e-10;
  const auto check = product.check();
  CHECK_FALSE(check.passed());
  CHECK(check.product == 2);
  CHECK(check.row == 3);
  CHECK(check.col == 4);
}

TEST_CASE("an error of a few units in the last place of a float is within the bound, more is not") {
  Computed<float> product({.m = 3, .n = 3, .k = 16});
  CHECK(product.check().worst_ratio < 0.5);
  product.c[4] *= 1.001F;
  CHECK_FALSE(product.check().passed());
}

TEST_CASE("a result that is no number is an error where the reference is one") {
  Computed<double> product({.m = 2, .n = 2, .k = 2});
  product.c[0] = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isinf(product.check().worst_ratio));
  product.c[0] = std::numeric_limits<double>::infinity();
  CHECK(std::isinf(product.check().worst_ratio));
}

TEST_CASE("infinities, NaN, overflow and tiny numbers in the operands are not held against C") {
  const double value = GENERATE(std::numeric_limits<double>::infinity(),
                                std::numeric_limits<double>::quiet_NaN(), 1e308, 1e-310, 0.0);
  Computed<double> product({.m = 3, .n = 3, .k = 3, .alpha = 4});
  product.operands.a[1] = value;
  product.operands.b[3] = value;
  product.compute();
  CHECK(product.check().passed());
}

TEST_CASE("products that vanish below the smallest numbers are not held against C") {
  Computed<double> product({.m = 3, .n = 3, .k = 3});
  for (double& value : product.operands.a) value *= 1e-161;
  for (double& value : product.operands.b) value *= 1e-161;
  product.compute();
  CHECK(product.check().passed());
  product.c[4] += 1e-300;
  CHECK_FALSE(product.check().passed());
}

TEST_CASE("a small budget takes fewer rows, the first and the last among them, and says so") {
  Computed<double> product({.m = 50, .n = 20, .k = 20, .count = 3});
  const auto check = product.check(20 * 21 * 3 * 10);
  CHECK_FALSE(check.complete);
  CHECK(check.checked == 10 * 20 * 3);
  product.c.back() += 1;
  CHECK_FALSE(product.check(20 * 21 * 3 * 10).passed());
  CHECK_FALSE(product.check(1).passed());
  CHECK(product.check(1).checked == 2 * 2 * 20);
}

TEST_CASE("a product with wrong shapes is refused, not compared") {
  Computed<double> product({.m = 2, .n = 2, .k = 2});
  auto other = product.operands.batch_c(product.c.data());
  other.rows = 3;
  CHECK_THROWS_AS(procyon::verify_gemm(
                      product.one.options(), product.operands.batch_a(product.operands.a.data()),
                      product.operands.batch_b(product.operands.b.data()), other, other),
                  std::invalid_argument);
}
