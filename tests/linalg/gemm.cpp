// What gemm_batch computes: one body for every executor.
#include <procyon/executor/pool.hpp>
#include <procyon/executor/serial_pool.hpp>
#include <procyon/executor/thread_pool.hpp>
#include <procyon/linalg.hpp>
#include <procyon/shm/array.hpp>

#include <catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "linalg/support.hpp"

using linalg_test::by_definition;
using linalg_test::Case;
using linalg_test::Operands;
using procyon::Op;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

template <class T>
procyon::Array<T> shared(const std::vector<T>& values) {
  return procyon::Array<T>(values);
}

// All the memory of C after the call, gaps included.
template <class T, class E>
std::vector<T> multiply(E& executor, const Case& one, const Operands<T>& operands) {
  const auto a = shared(operands.a);
  const auto b = shared(operands.b);
  auto c = shared(operands.c);
  gemm_batch(executor, one.options(), operands.batch_a(a.data()), operands.batch_b(b.data()),
             operands.batch_c(c.data()));
  return {c.begin(), c.end()};
}

std::vector<Case> many_cases() {
  std::vector<Case> cases;
  const Op ops[] = {Op::none, Op::transpose, Op::adjoint};
  const double scalars[] = {0, 1, -2, 3};
  unsigned turn = 0;
  for (const std::size_t m : {1U, 2U, 7U, 33U, 101U}) {
    for (const std::size_t n : {1U, 3U, 8U, 65U}) {
      for (const std::size_t k : {1U, 5U, 16U, 104U}) {
        ++turn;
        cases.push_back({.m = m,
                         .n = n,
                         .k = k,
                         .count = 1 + turn % 5,
                         .op_a = ops[turn % 3],
                         .op_b = ops[turn / 3 % 3],
                         .alpha = scalars[turn / 2 % 4],
                         .beta = scalars[turn / 5 % 4],
                         .ld_gap = turn % 4,
                         .stride_gap = turn / 4 % 3,
                         .one_a = turn % 7 == 0,
                         .one_b = turn % 4 == 1});
      }
    }
  }
  return cases;
}

template <class T, class E>
void check_integers(E& executor) {
  for (const Case& one : many_cases()) {
    const Operands<T> operands(one, 7);
    const bool equal = multiply(executor, one, operands) == by_definition(one, operands);
    INFO("m " << one.m << " n " << one.n << " k " << one.k << " count " << one.count << " ops "
              << static_cast<int>(one.op_a) << static_cast<int>(one.op_b) << " alpha " << one.alpha
              << " beta " << one.beta << " gaps " << one.ld_gap << one.stride_gap);
    REQUIRE(equal);
  }
}

template <class T, class E>
void check_bound(E& executor) {
  for (const Case& one : many_cases()) {
    Operands<T> operands(one);
    operands.make_fractional(3);
    const std::vector<T> c = multiply(executor, one, operands);
    const auto check = procyon::verify_gemm(
        one.options(), operands.batch_a(operands.a.data()), operands.batch_b(operands.b.data()),
        operands.batch_c(operands.c.data()), operands.batch_c(c.data()));
    INFO("m " << one.m << " n " << one.n << " k " << one.k << ": " << check.computed << " for "
              << check.reference);
    REQUIRE(check.complete);
    REQUIRE(check.checked == one.m * one.n * one.count);
    REQUIRE(check.passed());
  }
}

template <class E>
void check_all(E& executor) {
  check_integers<float>(executor);
  check_integers<double>(executor);
  check_bound<float>(executor);
  check_bound<double>(executor);
}

template <class T, class E>
std::vector<T> bits_of(E& executor) {
  std::vector<T> all;
  for (const std::size_t n : {4U, 31U, 64U, 101U, 129U}) {
    const Case one{.m = n, .n = n, .k = n, .count = 9, .alpha = 0.7, .beta = 0.3, .one_b = true};
    Operands<T> operands(one);
    operands.make_fractional(static_cast<unsigned>(n));
    const auto c = multiply(executor, one, operands);
    all.insert(all.end(), c.begin(), c.end());
  }
  return all;
}

}  // namespace

TEST_CASE("products of all shapes, transposes, gaps and scalars are right in the calling thread") {
  procyon::SerialPool pool;
  check_all(pool);
}

TEST_CASE("products of all shapes, transposes, gaps and scalars are right in threads") {
  procyon::ThreadPool pool(3);
  check_all(pool);
}

TEST_CASE("products of all shapes, transposes, gaps and scalars are right in processes",
          "[process]") {
  procyon::Pool pool(2);
  check_all(pool);
}

TEST_CASE("serial, thread and process mode give the same bits", "[process]") {
  procyon::SerialPool serial;
  procyon::ThreadPool threads(2);
  procyon::Pool processes(2);
  const auto equal = [](const auto& x, const auto& y) {
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(x[0])) == 0;
  };
  CHECK(equal(bits_of<double>(serial), bits_of<double>(threads)));
  CHECK(equal(bits_of<double>(serial), bits_of<double>(processes)));
  CHECK(equal(bits_of<float>(serial), bits_of<float>(threads)));
  CHECK(equal(bits_of<float>(serial), bits_of<float>(processes)));
}

TEST_CASE("NaN in C does not leak into a product that does not read C") {
  procyon::SerialPool pool;
  for (const std::size_t n : {2U, 8U, 50U, 101U, 130U}) {
    const Case one{.m = n, .n = n, .k = n, .count = 2, .alpha = 1, .beta = 0};
    Operands<double> operands(one);
    const auto expected = by_definition(one, operands);
    operands.c.assign(operands.c.size(), nan_value);
    CHECK(multiply(pool, one, operands) == expected);
  }
}

TEST_CASE("sums of nothing leave beta times C, and zeros where beta is 0") {
  procyon::SerialPool pool;
  for (const double beta : {0.0, 1.0, -2.0}) {
    const Case one{.m = 3, .n = 4, .k = 0, .count = 2, .beta = beta, .ld_gap = 1};
    Operands<double> operands(one);
    CHECK(multiply(pool, one, operands) == by_definition(one, operands));
    const Case tight{.m = 3, .n = 4, .k = 0, .count = 2, .op_a = Op::transpose, .beta = beta};
    const Operands<float> others(tight);
    CHECK(multiply(pool, tight, others) == by_definition(tight, others));
  }
}

TEST_CASE("a batch of nothing and matrices of nothing are no error and touch nothing") {
  procyon::SerialPool pool;
  double c = 5;
  const double x = 1;
  const procyon::MatrixBatch<const double> one{&x, 0, 1, 1};
  gemm_batch(pool, {.beta = 2}, one, one, procyon::MatrixBatch<double>{&c, 0, 1, 1});
  const procyon::MatrixBatch<const double> flat{nullptr, 3, 0, 4};
  const procyon::MatrixBatch<const double> thin{nullptr, 3, 4, 0};
  gemm_batch(pool, {.beta = 2}, flat, thin, procyon::MatrixBatch<double>{nullptr, 3, 0, 0});
  CHECK(c == 5);
}

TEST_CASE("an executor and batches are taken as they come: temporary, deduced, const or not") {
  double a[] = {2};
  const double b[] = {3};
  double c[] = {0};
  gemm_batch(procyon::SerialPool(), procyon::GemmOptions{}, procyon::MatrixBatch{a, 1, 1, 1},
             procyon::MatrixBatch{b, 1, 1, 1}, procyon::MatrixBatch{c, 1, 1, 1});
  CHECK(c[0] == 6);
}
