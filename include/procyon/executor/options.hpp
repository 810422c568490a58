// How a pool is made, and how a map is run.
#pragma once

#include <cstddef>

namespace procyon {

/// How a Pool's workers come to be. `fork`: copies of this process as it was when the Pool was
/// made. `automatic`: the environment's PROCYON_START_METHOD, or else `fork`.
/// `forkserver` and `spawn` are known by name; a Pool refuses them with StartError.
enum class StartMethod { automatic, fork, forkserver, spawn };

struct PoolOptions {
  std::size_t processes = 0;  ///< workers; 0: cpu_count(). A ThreadPool reads it as threads
  StartMethod start_method = StartMethod::automatic;
  std::size_t blas_threads = 1;  ///< per worker; 0: left alone
  bool pin_cpus = false;         ///< worker i on the i-th available CPU
};

struct MapOptions {
  std::size_t chunk_size = 0;  ///< items that travel together; 0: chosen
  bool progress = false;       ///< calls that wait draw a bar where stderr is a terminal
};

}  // namespace procyon
