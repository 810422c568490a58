// A batch of matrix products, distributed over worker processes: each has BLAS pinned to one
// thread, and all read and write the same shared memory.
// Output: C\[63\]\(31, 31\) = 32.*the same bits from this thread alone: yes
#include <procyon/linalg.hpp>
#include <procyon/procyon.hpp>

#include <algorithm>
#include <iostream>

int main(int argc, char** argv) {
  procyon::init(argc, argv);
  constexpr std::size_t count = 64;
  constexpr std::size_t n = 32;

  procyon::Array<double> a(count * n * n, 0.5);
  procyon::Array<double> b(n * n, 2.0);  // one right operand for all products
  procyon::Array<double> c(count * n * n);
  procyon::Array<double> check(count * n * n);

  using procyon::MatrixBatch;
  const MatrixBatch<const double> left{a.data(), count, n, n};
  const MatrixBatch<const double> right{
      .data = b.data(), .count = 1, .rows = n, .cols = n, .stride = 0};
  procyon::Pool pool;
  procyon::gemm_batch(pool, {}, left, right, MatrixBatch<double>{c.data(), count, n, n});
  std::cout << count << " products of 32x32 matrices: C[63](31, 31) = " << c.back() << '\n';

  procyon::SerialPool serial;
  procyon::gemm_batch(serial, {}, left, right, MatrixBatch<double>{check.data(), count, n, n});
  std::cout << "the same bits from this thread alone: "
            << (std::equal(c.begin(), c.end(), check.begin()) ? "yes" : "no") << '\n';
}
