// Wrong arguments: named, with both shapes, before any work.
#include <procyon/base/errors.hpp>
#include <procyon/executor/serial_pool.hpp>
#include <procyon/linalg.hpp>

#include <catch.hpp>
#include <climits>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "linalg/callers.hpp"
#include "linalg/support.hpp"

using Catch::Contains;
using procyon::GemmOptions;
using procyon::MatrixBatch;
using procyon::Op;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

// Memory for the largest batch here, filled with something that no product is.
struct Memory {
  std::vector<double> a = std::vector<double>(1000, 1);
  std::vector<double> b = std::vector<double>(1000, 1);
  std::vector<double> c = std::vector<double>(1000, -7);

  // The message of the std::invalid_argument that the call throws; "" if it throws none.
  std::string refusal(const MatrixBatch<double>& x, const MatrixBatch<double>& y,
                      const MatrixBatch<double>& z, const GemmOptions& options = {}) {
    try {
      procyon::SerialPool pool;
      gemm_batch(pool, options, x, y, z);
    } catch (const std::invalid_argument& error) {
      CHECK(c == std::vector<double>(1000, -7));
      return error.what();
    }
    return "";
  }
  MatrixBatch<double> in_a(std::size_t count, std::size_t rows, std::size_t cols) {
    return {a.data(), count, rows, cols};
  }
  MatrixBatch<double> in_b(std::size_t count, std::size_t rows, std::size_t cols) {
    return {b.data(), count, rows, cols};
  }
  MatrixBatch<double> in_c(std::size_t count, std::size_t rows, std::size_t cols) {
    return {c.data(), count, rows, cols};
  }
};

}  // namespace

TEST_CASE("shapes that do not fit are named together") {
  Memory memory;
  CHECK_THAT(memory.refusal(memory.in_a(2, 3, 4), memory.in_b(2, 5, 6), memory.in_c(2, 3, 6)),
             Contains("A is 3x4") && Contains("B is 5x6"));
  CHECK_THAT(memory.refusal(memory.in_a(2, 3, 4), memory.in_b(2, 4, 6), memory.in_c(2, 6, 3)),
             Contains("C is 6x3") && Contains("product is 3x6"));
  CHECK_THAT(memory.refusal(memory.in_a(2, 3, 4), memory.in_b(2, 4, 6), memory.in_c(2, 3, 6),
                            {.op_b = Op::transpose}),
             Contains("A is 3x4") && Contains("B transposed is 6x4"));
}

TEST_CASE("a count that is not C's is refused, unless the stride is 0") {
  Memory memory;
  CHECK_THAT(memory.refusal(memory.in_a(1, 3, 4), memory.in_b(5, 4, 6), memory.in_c(5, 3, 6)),
             Contains("A is 1 matrices of 3x4") && Contains("C is 5") && Contains("stride = 0"));
  CHECK_THAT(memory.refusal(memory.in_a(5, 3, 4), memory.in_b(6, 4, 6), memory.in_c(5, 3, 6)),
             Contains("B is 6 matrices of 4x6"));
  auto one = memory.in_a(77, 3, 4);
  one.stride = 0;
  CHECK(memory.refusal(one, memory.in_b(5, 4, 6), memory.in_c(5, 3, 6)).empty());
}

TEST_CASE("an ld too small, null data and a zero stride of C are refused") {
  Memory memory;
  auto narrow = memory.in_b(2, 4, 6);
  narrow.ld = 5;
  CHECK_THAT(memory.refusal(memory.in_a(2, 3, 4), narrow, memory.in_c(2, 3, 6)),
             Contains("B is 2 matrices of 4x6") && Contains("ld is 5"));
  auto null = memory.in_a(2, 3, 4);
  null.data = nullptr;
  CHECK_THAT(memory.refusal(null, memory.in_b(2, 4, 6), memory.in_c(2, 3, 6)),
             Contains("A is 2 matrices of 3x4") && Contains("null"));
  auto same = memory.in_c(2, 3, 6);
  same.stride = 0;
  CHECK_THAT(memory.refusal(memory.in_a(2, 3, 4), memory.in_b(2, 4, 6), same),
             Contains("C has stride 0"));
}

TEST_CASE("C that overlaps A, B or itself is refused") {
  Memory memory;
  auto result = memory.in_c(2, 4, 4);
  result.data = memory.a.data() + 31;
  CHECK_THAT(memory.refusal(memory.in_a(2, 4, 4), memory.in_b(2, 4, 4), result),
             Contains("C overlaps A"));
  result.data = memory.b.data();
  CHECK_THAT(memory.refusal(memory.in_a(2, 4, 4), memory.in_b(2, 4, 4), result),
             Contains("C overlaps B"));
  result.data = memory.c.data();
  result.stride = 15;
  CHECK_THAT(memory.refusal(memory.in_a(2, 4, 4), memory.in_b(2, 4, 4), result),
             Contains("overlap each other") && Contains("16"));
  MatrixBatch<double> columns{memory.c.data(), 3, 4, 4, 11, 4};
  CHECK_THAT(memory.refusal(memory.in_a(3, 4, 4), memory.in_b(3, 4, 4), columns),
             Contains("overlap each other"));
}

TEST_CASE("matrices of C side by side, as columns of a larger one, are not an overlap") {
  Memory memory;
  const MatrixBatch<double> columns{memory.c.data(), 3, 4, 4, 12, 4};
  CHECK(memory.refusal(memory.in_a(3, 4, 4), memory.in_b(3, 4, 4), columns).empty());
  CHECK(std::vector<double>(memory.c.begin(), memory.c.begin() + 48) == std::vector<double>(48, 4));
  CHECK(memory.c[48] == -7);
}

TEST_CASE("numbers that are none or do not fit the element type are refused") {
  Memory memory;
  const auto a = memory.in_a(1, 1, 1);
  const auto b = memory.in_b(1, 1, 1);
  const auto c = memory.in_c(1, 1, 1);
  CHECK_THAT(memory.refusal(a, b, c, {.alpha = nan_value}), Contains("alpha is NaN"));
  CHECK_THAT(memory.refusal(a, b, c, {.beta = nan_value}), Contains("beta is NaN"));
  CHECK_THAT(memory.refusal(a, b, c, {.op_a = static_cast<Op>(9)}), Contains("9 is no Op"));
  CHECK_THAT(memory.refusal(a, b, c, {.kernel = static_cast<procyon::Kernel>(9)}),
             Contains("9 is no Kernel"));
  float x = 1;
  float y = 2;
  float z = 0;
  CHECK_THROWS_WITH(gemm_batch(procyon::SerialPool(), {.alpha = 1e300}, MatrixBatch{&x, 1, 1, 1},
                               MatrixBatch{&y, 1, 1, 1}, MatrixBatch{&z, 1, 1, 1}),
                    Contains("too large for float"));
}

TEST_CASE("sizes beyond an int or an address are refused and not computed with") {
  Memory memory;
  constexpr std::size_t big = std::size_t{INT_MAX} + 1;
  CHECK_THAT(memory.refusal(memory.in_a(1, big, 1), memory.in_b(1, 1, 1), memory.in_c(1, big, 1)),
             Contains("rows of A") && Contains(std::to_string(big)));
  auto wide = memory.in_a(1, 1, 1);
  wide.ld = big;
  CHECK_THAT(memory.refusal(wide, memory.in_b(1, 1, 1), memory.in_c(1, 1, 1)), Contains("ld of A"));
  auto far = memory.in_a(3, 1, 1);
  far.stride = SIZE_MAX / 2;
  CHECK_THAT(memory.refusal(far, memory.in_b(3, 1, 1), memory.in_c(3, 1, 1)),
             Contains("A does not fit in memory"));
  auto many = memory.in_a(SIZE_MAX, 1, 1);
  many.stride = 0;
  CHECK_THAT(memory.refusal(many, many, memory.in_c(SIZE_MAX, 1, 1)),
             Contains("C does not fit in memory"));
}

TEST_CASE("more threads than OpenBLAS has buffers for are refused, in all calls together") {
  double x = 1;
  double y = 2;
  double z = 0;
  const MatrixBatch a{&x, 1, 1, 1};
  const MatrixBatch b{&y, 1, 1, 1};
  const MatrixBatch c{&z, 1, 1, 1};
  linalg_test::CrowdStandIn crowd{procyon::max_blas_callers + 1};
  CHECK_THROWS_AS(gemm_batch(crowd, {}, a, b, c), std::invalid_argument);
  CHECK_THROWS_WITH(gemm_batch(crowd, {}, a, b, c), Contains("ThreadPool(96)"));
  --crowd.threads;
  CHECK_NOTHROW(gemm_batch(crowd, {}, a, b, c));
  const procyon::linalg::CallerReservation another(1);
  CHECK_THROWS_AS(gemm_batch(crowd, {}, a, b, c), std::invalid_argument);
}

TEST_CASE("an OpenBLAS without threads is refused to a second caller") {
  constexpr int no_threads = 0;
  constexpr int pthreads = 1;
  CHECK_NOTHROW(procyon::linalg::check_callers(1, 0, no_threads));
  CHECK_THROWS_AS(procyon::linalg::check_callers(2, 0, no_threads), procyon::Error);
  CHECK_THROWS_AS(procyon::linalg::check_callers(1, 1, no_threads), procyon::Error);
  CHECK_NOTHROW(procyon::linalg::check_callers(2, 0, pthreads));
}
