// A limit on the threads of BLAS and OpenMP while a scope lasts.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace procyon {

/// Sets the thread count of the runtimes loaded now, and restores what it found on destruction.
/// `user_api`: "blas", "openmp", or empty for both.
///
/// The scope of the setting is the runtime's, not ours: OpenBLAS with pthreads has one count for
/// the process; OpenMP, and OpenBLAS built on it, have one for each thread, and a new thread begins
/// without the limit. So where threads are made afterwards, each needs a limit of its own.
/// Limits nest; those of two threads on a runtime with one count should not overlap.
///
/// Throws `std::invalid_argument` for 0 threads or another `user_api`.
class ThreadLimit {
 public:
  explicit ThreadLimit(std::size_t threads, std::string_view user_api = {});
  ~ThreadLimit();
  ThreadLimit(ThreadLimit&&) noexcept;
  ThreadLimit& operator=(ThreadLimit&&) = delete;

 private:
  struct Saved;
  std::unique_ptr<Saved> saved_;
};

}  // namespace procyon
