// Batched matrix products on any executor.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <type_traits>

#include <procyon/executor/executor.hpp>
#include <procyon/executor/options.hpp>
#include <procyon/linalg/matrix_batch.hpp>

namespace procyon {

/// What is done to a stored matrix before it is multiplied. For real elements `adjoint` is
/// `transpose`.
enum class Op { none, transpose, adjoint };

/// Threads of one process that may compute products at once, over all calls of gemm_batch:
/// OpenBLAS has 128 buffers, and versions before 0.3.25 write out of bounds when more are wanted.
constexpr std::size_t max_blas_callers = 96;

/// Which code computes one product.
enum class Kernel { automatic, openblas };

struct GemmOptions {
  double alpha = 1;
  double beta = 0;
  Op op_a = Op::none;
  Op op_b = Op::none;
  Kernel kernel = Kernel::automatic;
  bool copy = false;  ///< with processes: copy operands in private memory to the workers and back
};

namespace linalg {

enum class Element : int { f32, f64 };

/// A MatrixBatch whose element type is known elsewhere.
struct Operand {
  void* data;
  std::size_t count, rows, cols, ld, stride;
};

/// The products of one call in chunks that are worth handing to a worker. Bytewise, so that it
/// travels to another process as it is.
class GemmJob {
 public:
  std::size_t chunks() const noexcept { return (count_ + chunk_ - 1) / chunk_; }
  /// Computes the products of one chunk, BLAS pinned to one thread meanwhile.
  void run(std::size_t chunk) const;

 private:
  friend class GemmCall;
  void multiply(std::size_t product) const;

  unsigned char* a_ = nullptr;
  unsigned char* b_ = nullptr;
  unsigned char* c_ = nullptr;
  std::size_t a_step_ = 0, b_step_ = 0, c_step_ = 0;  // bytes from one matrix to the next
  std::size_t count_ = 0, chunk_ = 1;
  double alpha_ = 1, beta_ = 0;
  std::size_t m_ = 0, n_ = 0, k_ = 0, lda_ = 1, ldb_ = 1, ldc_ = 1;
  std::size_t element_ = 0, transpose_a_ = 0, transpose_b_ = 0;
};

/// One call of gemm_batch: its arguments checked, its operands where the workers see them.
class GemmCall {
 public:
  GemmCall(const GemmOptions& options, Element element, const Operand& a, const Operand& b,
           const Operand& c, std::size_t workers, bool isolated);
  ~GemmCall();
  GemmCall(const GemmCall&) = delete;
  GemmCall& operator=(const GemmCall&) = delete;

  const GemmJob& job() const noexcept { return job_; }
  /// After all chunks: brings a copied C back.
  void finish();

 private:
  struct State;
  void place(const GemmOptions& options, Element element, std::array<Operand, 3>& operands,
             std::size_t count);
  GemmJob job_;
  std::unique_ptr<State> state_;
};

template <class T>
Operand untyped(const MatrixBatch<T>& batch) {
  return {const_cast<std::remove_const_t<T>*>(batch.data),
          batch.count,
          batch.rows,
          batch.cols,
          batch.ld,
          batch.stride};
}

template <class T>
constexpr Element element_of = std::same_as<T, float> ? Element::f32 : Element::f64;

}  // namespace linalg

/// C = alpha op(A) op(B) + beta C for every matrix of the batch, C's `count` products in all.
///
/// Each product is one call of BLAS in one thread, the same call whatever the executor: the bits
/// of C do not depend on where it was computed. With beta = 0, C is not read, and NaN in it does
/// not matter; with k = 0, C = beta C; with alpha = 0, A and B need not be finite.
///
/// Requires: C overlaps neither A nor B, nor itself. A and B have as many matrices as C, or
/// stride 0. With `Pool`, all operands in shared memory (`Array<T>`, `load_npy`), or
/// `GemmOptions::copy`, which takes room for them there and leaves gaps between C's rows alone.
/// In this process (`ThreadPool`, `SerialPool`) BLAS is held at one thread until the call returns.
///
/// When it throws after work has begun (a worker died), matrices of C may be old, new or, where
/// a worker died on them, half written; with `copy`, C is as it was.
/// Throws, before any work, `std::invalid_argument` naming the argument and both shapes, and
/// `NotShareable`; `Error` where the OpenBLAS loaded is not safe to call from several threads.
template <class E, class A, class B, class C>
requires Executor<std::remove_cvref_t<E>>
void gemm_batch(E&& executor, const GemmOptions& options, const MatrixBatch<A>& a,
                const MatrixBatch<B>& b, const MatrixBatch<C>& c) {
  using T = std::remove_const_t<C>;
  static_assert(!std::is_const_v<C>, "gemm_batch: C is written; its elements must not be const");
  static_assert(std::same_as<T, float> || std::same_as<T, double>,
                "gemm_batch: the elements of C must be float or double");
  static_assert(std::same_as<std::remove_const_t<A>, T> && std::same_as<std::remove_const_t<B>, T>,
                "gemm_batch: A, B and C must have elements of one type");
  linalg::GemmCall call(options, linalg::element_of<T>, linalg::untyped(a), linalg::untyped(b),
                        linalg::untyped(c), executor.size(), std::remove_cvref_t<E>::isolated);
  const linalg::GemmJob job = call.job();
  if (job.chunks() == 0) return;
  const auto run = [job](std::size_t i) { job.run(i); };
  // Each chunk is worth handing over alone: larger portions would only end unevenly.
  if constexpr (requires { executor.for_index(job.chunks(), run, MapOptions{.chunk_size = 1}); }) {
    executor.for_index(job.chunks(), run, MapOptions{.chunk_size = 1});
  } else {
    executor.for_index(job.chunks(), run);
  }
  call.finish();
}

}  // namespace procyon
