// Batches with room around them, and a product computed by definition.
#pragma once

#include <procyon/linalg.hpp>

#include <cstddef>
#include <random>
#include <span>
#include <vector>

namespace linalg_test {

using procyon::GemmOptions;
using procyon::MatrixBatch;
using procyon::Op;

/// Runs everything in the calling thread, but claims to be other processes.
struct IsolatedStandIn {
  static constexpr bool isolated = true;
  std::size_t size() const { return 2; }
  template <class F>
  void for_index(std::size_t n, const F& f) {
    for (std::size_t i = 0; i < n; ++i) f(i);
  }
};

/// Claims more threads than there are.
struct CrowdStandIn {
  static constexpr bool isolated = false;
  std::size_t threads = 1;
  std::size_t size() const { return threads; }
  template <class F>
  void for_index(std::size_t n, const F& f) {
    for (std::size_t i = 0; i < n; ++i) f(i);
  }
};

/// One product to try.
struct Case {
  std::size_t m = 1, n = 1, k = 1, count = 1;
  Op op_a = Op::none, op_b = Op::none;
  double alpha = 1, beta = 0;
  std::size_t ld_gap = 0;
  std::size_t stride_gap = 0;
  bool one_a = false, one_b = false;

  GemmOptions options(bool copy = false) const {
    return {.alpha = alpha, .beta = beta, .op_a = op_a, .op_b = op_b, .copy = copy};
  }
};

/// The three operands in one piece of memory each, which the caller may place.
template <class T>
struct Operands {
  std::vector<T> a, b, c;

  explicit Operands(const Case& one, unsigned seed = 1) : case_(one) {
    a.resize(room(rows_a(), cols_a(), one.one_a ? 1 : one.count));
    b.resize(room(rows_b(), cols_b(), one.one_b ? 1 : one.count));
    c.resize(room(one.m, one.n, one.count));
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> number(-4, 4);
    for (auto* const values : {&a, &b, &c}) {
      for (T& value : *values) value = static_cast<T>(number(random));
    }
  }
  void make_fractional(unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> number(-0.5, 0.5);
    for (auto* const values : {&a, &b, &c}) {
      for (T& value : *values) value = static_cast<T>(number(random));
    }
  }

  MatrixBatch<const T> batch_a(const T* data) const {
    return batch(data, rows_a(), cols_a(), case_.one_a);
  }
  MatrixBatch<const T> batch_b(const T* data) const {
    return batch(data, rows_b(), cols_b(), case_.one_b);
  }
  template <class U>
  MatrixBatch<U> batch_c(U* data) const {
    return batch(data, case_.m, case_.n, false);
  }

 private:
  std::size_t rows_a() const { return case_.op_a == Op::none ? case_.m : case_.k; }
  std::size_t cols_a() const { return case_.op_a == Op::none ? case_.k : case_.m; }
  std::size_t rows_b() const { return case_.op_b == Op::none ? case_.k : case_.n; }
  std::size_t cols_b() const { return case_.op_b == Op::none ? case_.n : case_.k; }
  std::size_t room(std::size_t rows, std::size_t cols, std::size_t count) const {
    return count * (rows * (cols + case_.ld_gap) + case_.stride_gap);
  }
  template <class U>
  MatrixBatch<U> batch(U* data, std::size_t rows, std::size_t cols, bool one) const {
    const std::size_t ld = cols + case_.ld_gap;
    return {.data = data,
            .count = case_.count,
            .rows = rows,
            .cols = cols,
            .ld = ld,
            .stride = one ? 0 : rows * ld + case_.stride_gap};
  }
  Case case_;
};

/// C by the definition, element by element, over the memory that C had before.
template <class T>
std::vector<T> by_definition(const Case& one, const Operands<T>& operands) {
  std::vector<T> result = operands.c;
  const auto a = operands.batch_a(operands.a.data());
  const auto b = operands.batch_b(operands.b.data());
  const auto c = operands.batch_c(result.data());
  for (std::size_t p = 0; p < one.count; ++p) {
    for (std::size_t i = 0; i < one.m; ++i) {
      for (std::size_t j = 0; j < one.n; ++j) {
        T sum = 0;
        for (std::size_t l = 0; l < one.k; ++l) {
          const T x = a.data[p * a.stride + (one.op_a == Op::none ? i * a.ld + l : l * a.ld + i)];
          const T y = b.data[p * b.stride + (one.op_b == Op::none ? l * b.ld + j : j * b.ld + l)];
          sum += x * y;
        }
        T& out = c.data[p * c.stride + i * c.ld + j];
        const T old = one.beta == 0 ? T{0} : static_cast<T>(one.beta) * out;
        out = static_cast<T>(one.alpha) * sum + old;
      }
    }
  }
  return result;
}

}  // namespace linalg_test
