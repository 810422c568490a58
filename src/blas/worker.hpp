// Limits for the processes and threads that the library makes itself.
#pragma once

#include <procyon/blas/thread_limit.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace procyon::blas {

/// For a process that a pool started, before any work: every runtime loaded now uses `threads`
/// threads, and the environment says so to those loaded later. Requires: the process has one
/// thread (OpenBLAS's own do not count). Call it in the zygote rather than in a worker: in a
/// process forked from one with a running OpenBLAS, lowering the count starts its threads once
/// more, and the next fork ends them. Setting the count that is already set starts nothing.
void limit_this_process(std::size_t threads);

/// An environment ("NAME=value" each) for a process that is started afresh: as this one, with the
/// thread count of every runtime that reads one, and, where an OpenBLAS in this process has chosen
/// kernels for a lesser CPU, the OPENBLAS_CORETYPE that makes it choose better. 0 threads: as it
/// is. Source of the list: joblib's.
std::vector<std::string> worker_environment(std::vector<std::string> environment,
                                            std::size_t threads);

/// For a thread that runs tasks: what OpenMP, and OpenBLAS built on it, take from the calling
/// thread and not from the process. Costs nothing measurable where no OpenMP is loaded.
void limit_this_thread(std::size_t threads);

/// Holds every BLAS of this process at one thread. Scopes in several threads may overlap: the
/// first sets, the last restores. What is counted by thread is set and restored for the calling
/// thread by each scope. A fork waits until no scope is being entered or left.
class PinnedScope {
 public:
  PinnedScope();
  ~PinnedScope();
  PinnedScope(const PinnedScope&) = delete;
  PinnedScope& operator=(const PinnedScope&) = delete;

 private:
  std::optional<ThreadLimit> of_thread_;
};

}  // namespace procyon::blas
