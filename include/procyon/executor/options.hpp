// How a pool is made, and how a map is run.
#pragma once

#include <procyon/engine/start_method.hpp>
#include <procyon/executor/initializer.hpp>

#include <cstddef>
#include <string>

namespace procyon {

struct PoolOptions {
  std::size_t processes = 0;  ///< workers; 0: cpu_count(). A ThreadPool reads it as threads
  StartMethod start_method = StartMethod::automatic;
  Task<void()> initializer = {};        ///< run once in every new worker, before its first task
  std::size_t max_tasks_per_child = 0;  ///< a worker process is replaced after so many; 0: never
  std::size_t blas_threads = 1;         ///< per worker; 0: left alone
  bool pin_cpus = false;                ///< worker i on the i-th available CPU
  std::string name = {};                ///< shown in traces
};

struct MapOptions {
  std::size_t chunk_size = 0;  ///< items that travel together; 0: chosen
  bool progress = false;       ///< calls that wait draw a bar where stderr is a terminal
};

}  // namespace procyon
