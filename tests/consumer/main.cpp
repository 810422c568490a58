// Compiled and run against the installed package: 3 x 3 products in two worker processes.
#include <procyon/procyon.hpp>

#include <cstdio>
#include <vector>
#ifdef CONSUMER_LINALG
#include <procyon/linalg.hpp>
#endif

int main(int argc, char** argv) {
  procyon::init(argc, argv);
  procyon::Pool pool(2);
  const std::vector<int> numbers{1, 2, 3};
  const std::vector<int> squares = pool.map([](int number) { return number * number; }, numbers);
  if (squares != std::vector<int>{1, 4, 9}) return 1;
#ifdef CONSUMER_LINALG
  const procyon::Array<double> a(9, 2.0);
  const procyon::Array<double> b(9, 3.0);
  const procyon::Array<double> c(9, 0.0);
  const auto matrix = [](const procyon::Array<double>& elements) {
    return procyon::MatrixBatch<double>{elements.data(), 1, 3, 3};
  };
  procyon::gemm_batch(pool, procyon::GemmOptions{}, matrix(a), matrix(b), matrix(c));
  if (c[8] != 18.0) return 1;
#endif
  std::puts("consumer: done");
}
