#include "linalg/callers.hpp"

#include <procyon/base/errors.hpp>
#include <procyon/linalg/gemm.hpp>

#include <cblas.h>
#include <fmt/format.h>
#include <pthread.h>

#include <atomic>
#include <stdexcept>

namespace procyon::linalg {

namespace {

// A child process has none of the threads that its parent announced.
std::atomic<std::size_t>& callers() {
  static std::atomic<std::size_t> count = 0;
  [[maybe_unused]] static const int registered =
      ::pthread_atfork(nullptr, nullptr, [] { count.store(0, std::memory_order_relaxed); });
  return count;
}

}  // namespace

void check_callers(std::size_t threads, std::size_t others, int openblas_parallel) {
  if (openblas_parallel == 0 && threads + others > 1) {
    throw Error(fmt::format(
        "gemm_batch: {} threads of this process would call OpenBLAS at once, and the OpenBLAS "
        "loaded was built without threads: it gives wrong results then. Use procyon::Pool, whose "
        "workers are processes, or a threaded OpenBLAS (Debian: libopenblas0-pthread)",
        threads + others));
  }
  if (threads + others > max_blas_callers) {
    throw std::invalid_argument(fmt::format(
        "gemm_batch: {} threads of this process would call OpenBLAS at once; it has buffers for "
        "128, so the limit here is {}. Use ThreadPool({}) or fewer threads, or procyon::Pool, "
        "whose workers have an OpenBLAS each",
        threads + others, max_blas_callers, max_blas_callers));
  }
}

CallerReservation::CallerReservation(std::size_t threads) : threads_(threads) {
  const std::size_t others = callers().fetch_add(threads);
  try {
    check_callers(threads, others, openblas_get_parallel());
  } catch (...) {
    callers().fetch_sub(threads);
    throw;
  }
}

CallerReservation::~CallerReservation() { callers().fetch_sub(threads_); }

}  // namespace procyon::linalg
