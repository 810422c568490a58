// Comparing computed products with a reference of higher precision.
#pragma once

#include <cstddef>
#include <type_traits>

#include <procyon/linalg/gemm.hpp>
#include <procyon/linalg/matrix_batch.hpp>

namespace procyon {

/// How far computed products are from the reference, in units of the bound that holds for any
/// order of summation: |C - reference| <= gamma_{k+2} (|alpha| |A| |B| + |beta| |C before|), where
/// gamma_j = j u / (1 - j u) and u is half the distance from 1 to the next number.
/// Source: N. J. Higham, Accuracy and Stability of Numerical Algorithms, section 3.5.
struct GemmCheck {
  double worst_ratio = 0;  ///< error / bound; more than 1 is an error of the program
  std::size_t product = 0, row = 0, col = 0;      ///< where that is
  double computed = 0, reference = 0, bound = 0;  ///< what is there
  std::size_t checked = 0;                        ///< elements compared
  bool complete = true;                           ///< whether they were all
  bool passed() const noexcept { return worst_ratio <= 1; }
};

namespace linalg {
GemmCheck verify(const GemmOptions& options, Element element, const Operand& a, const Operand& b,
                 const Operand& before, const Operand& c, double budget);
}

/// Compares C with alpha op(A) op(B) + beta C_before, computed in long double. At most about
/// `budget` multiplications are spent: where that is not enough for all, rows (first and last ones
/// among them) and then products are taken at even distances.
/// `c_before` is read only where beta is not 0. Throws as `gemm_batch` does.
template <class A, class B, class Before, class C>
GemmCheck verify_gemm(const GemmOptions& options, const MatrixBatch<A>& a, const MatrixBatch<B>& b,
                      const MatrixBatch<Before>& c_before, const MatrixBatch<C>& c,
                      double budget = 2e8) {
  using T = std::remove_const_t<C>;
  static_assert(std::same_as<T, float> || std::same_as<T, double>);
  static_assert(std::same_as<std::remove_const_t<A>, T> &&
                    std::same_as<std::remove_const_t<B>, T> &&
                    std::same_as<std::remove_const_t<Before>, T>,
                "verify_gemm: A, B and C must have elements of one type");
  return linalg::verify(options, linalg::element_of<T>, linalg::untyped(a), linalg::untyped(b),
                        linalg::untyped(c_before), linalg::untyped(c), budget);
}

}  // namespace procyon
