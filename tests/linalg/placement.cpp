// Where operands lie: shared memory for processes, or copies.
#include <procyon/base/errors.hpp>
#include <procyon/executor/pool.hpp>
#include <procyon/executor/serial_pool.hpp>
#include <procyon/executor/thread_pool.hpp>
#include <procyon/linalg.hpp>
#include <procyon/shm/array.hpp>
#include <procyon/shm/heap.hpp>
#include <procyon/shm/npy.hpp>

#include <catch.hpp>
#include <stdexcept>
#include <vector>

#include "linalg/support.hpp"

using linalg_test::by_definition;
using linalg_test::Case;
using linalg_test::IsolatedStandIn;
using linalg_test::Operands;

namespace {

// Loses its worker after the first item.
struct Failing : IsolatedStandIn {
  template <class F>
  void for_index(std::size_t, const F& f) const {
    f(0);
    throw std::runtime_error("died");
  }
};

}  // namespace

TEST_CASE("an operand in private memory is named, with the cure, before any work") {
  IsolatedStandIn processes;
  const Case one{.m = 2, .n = 2, .k = 2, .count = 3};
  Operands<double> operands(one);
  const procyon::Array<double> a(operands.a);
  const procyon::Array<double> b(operands.b);
  procyon::Array<double> c(operands.c);
  const auto call = [&](const double* in_a, const double* in_b, double* in_c) {
    gemm_batch(processes, one.options(), operands.batch_a(in_a), operands.batch_b(in_b),
               operands.batch_c(in_c));
  };
  CHECK_THROWS_AS(call(operands.a.data(), b.data(), c.data()), procyon::NotShareable);
  CHECK_THROWS_WITH(call(operands.a.data(), b.data(), c.data()),
                    Catch::Contains("A is 3 matrices of 2x2, in private memory") &&
                        Catch::Contains("procyon::Array") && Catch::Contains(".copy = true"));
  CHECK_THROWS_WITH(call(a.data(), operands.b.data(), c.data()), Catch::Contains("B is"));
  CHECK_THROWS_WITH(call(a.data(), b.data(), operands.c.data()), Catch::Contains("C is"));
  CHECK(operands.c == Operands<double>(one).c);
  CHECK_NOTHROW(call(a.data(), b.data(), c.data()));
}

TEMPLATE_TEST_CASE("a C in a mapped file, which would be a fault, is refused before any work",
                   "[process]", procyon::Pool, procyon::ThreadPool, procyon::SerialPool) {
  TestType executor(procyon::PoolOptions{.processes = 2});
  const auto file = procyon::load_npy<float>(PROCYON_TEST_DATA "/dct8.npy");
  const auto images = procyon::load_npy<float>(PROCYON_TEST_DATA "/digits.npy");
  const procyon::Array<float> own = file.data.clone();
  const auto batch = [](const procyon::Array<float>& array) {
    return procyon::MatrixBatch<float>{array.data(), 1, 8, 8};
  };
  for (const bool copy : {false, true}) {
    CHECK_THROWS_WITH(
        gemm_batch(executor, {.copy = copy}, batch(images.data), batch(own), batch(file.data)),
        Catch::Contains("C is 1 matrices of 8x8, in a file") && Catch::Contains("data.clone()"));
  }
  gemm_batch(executor, {}, batch(images.data), batch(file.data), batch(own));
  CHECK(own[0] != file.data[0]);
}

TEST_CASE("private operands are copied to the workers and back, the gaps of C untouched",
          "[process]") {
  procyon::Pool processes(2);
  const Case one = GENERATE(Case{.m = 5,
                                 .n = 4,
                                 .k = 3,
                                 .count = 6,
                                 .beta = 2,
                                 .ld_gap = 2,
                                 .stride_gap = 3,
                                 .one_a = true},
                            Case{.m = 40, .n = 30, .k = 20, .count = 4, .one_b = true},
                            Case{.m = 2, .n = 2, .k = 0, .count = 2, .beta = 3});
  Operands<double> operands(one);
  const auto expected = by_definition(one, operands);
  gemm_batch(processes, one.options(true), operands.batch_a(operands.a.data()),
             operands.batch_b(operands.b.data()), operands.batch_c(operands.c.data()));
  CHECK(operands.c == expected);
}

TEST_CASE("copies are freed, also when the work fails, and then C is as it was") {
  const Case one{.m = 5, .n = 4, .k = 3, .count = 6, .beta = 2};
  Operands<double> operands(one);
  const procyon::Array<char> keeps_the_heap(1);
  const std::size_t before = procyon::shared_heap().used();
  CHECK_THROWS_AS(
      gemm_batch(Failing(), one.options(true), operands.batch_a(operands.a.data()),
                 operands.batch_b(operands.b.data()), operands.batch_c(operands.c.data())),
      std::runtime_error);
  CHECK(operands.c == Operands<double>(one).c);
  CHECK(procyon::shared_heap().used() == before);
}
