// How many threads of this process may be inside OpenBLAS at once.
#pragma once

#include <cstddef>

namespace procyon::linalg {

/// Announces `threads` concurrent callers of OpenBLAS while it lives, over all calls of
/// gemm_batch in this process.
/// Throws `std::invalid_argument` past `max_blas_callers`, and `Error` for a second caller of an
/// OpenBLAS built without threads, whose buffers are not locked.
class CallerReservation {
 public:
  explicit CallerReservation(std::size_t threads);
  ~CallerReservation();
  CallerReservation(const CallerReservation&) = delete;
  CallerReservation& operator=(const CallerReservation&) = delete;

 private:
  std::size_t threads_;
};

/// What the constructor throws, as a function of what it looks at.
void check_callers(std::size_t threads, std::size_t others, int openblas_parallel);

}  // namespace procyon::linalg
