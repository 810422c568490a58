// Which library computes the products, as it describes itself.
#pragma once

#include <string>

namespace procyon::linalg {

/// The BLAS that `gemm_batch` calls in this process.
struct Backend {
  std::string filepath;   ///< of the library, links resolved
  std::string config;     ///< version and build options
  std::string core_name;  ///< the CPU that its kernels are for
  int parallel = 0;       ///< 0 no threads, 1 pthreads, 2 OpenMP
  int num_threads = 0;    ///< for a call made now, outside gemm_batch
};

Backend backend();

}  // namespace procyon::linalg
