// What this machine can do at most: multiply-adds in registers, and bytes from memory.
#pragma once

#include <procyon/executor/thread_pool.hpp>

#include <string>

namespace procyon::tool {

/// The best of short bursts of independent fused multiply-adds, on the widest vectors that the
/// CPU has, on one core and on all workers' cores at once. The vector unit is chosen by CPUID.
class Peak {
 public:
  explicit Peak(bool single_precision) : single_precision_(single_precision) {}

  /// One burst of each kind, some milliseconds; call it between samples.
  void burst(ThreadPool& threads);
  double one_core() const noexcept { return one_core_; }    ///< GFLOP/s
  double all_cores() const noexcept { return all_cores_; }  ///< GFLOP/s
  std::string vectors() const;

 private:
  bool single_precision_;
  double one_core_ = 0;
  double all_cores_ = 0;
};

/// GB/s of a[i] = b[i] + s c[i] on arrays that no cache holds, three arrays counted.
struct Triad {
  double one_core = 0, all_cores = 0;
};
Triad measure_triad(ThreadPool& threads);

}  // namespace procyon::tool
