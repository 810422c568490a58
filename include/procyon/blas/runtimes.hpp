// Which BLAS and OpenMP runtimes this process has loaded, and how many threads they use.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace procyon {

/// One loaded runtime. The names of the fields and their values are threadpoolctl's.
struct RuntimeInfo {
  std::string user_api;         ///< "blas" or "openmp"
  std::string internal_api;     ///< "openblas", "libgomp", "libomp" or "libiomp"
  std::string filepath;         ///< of the library, links resolved
  std::string version;          ///< empty where the runtime does not tell
  std::size_t num_threads = 0;  ///< OpenMP: of a parallel region that the calling thread begins
  std::string threading_layer;  ///< OpenBLAS: "pthreads", "openmp", "disabled"; else empty
  std::string architecture;     ///< OpenBLAS: the CPU that its kernels are for; else empty
  std::string prefix;           ///< the beginning of the file name by which it was recognised
};

/// Every BLAS and OpenMP runtime in this process, asked now, in the calling thread: an OpenMP
/// count read in one thread says nothing about another. A runtime inside the program's own file is
/// found where the program exports its functions.
std::vector<RuntimeInfo> runtimes();

}  // namespace procyon
