// How a pool is made, and how a map is run.
#pragma once

#include <procyon/engine/start_method.hpp>
#include <procyon/executor/initializer.hpp>

#include <chrono>
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
  /// A task that runs longer fails with TaskTimeout: its worker process is killed and replaced, a
  /// thread is waited for. Time goes on while the program is stopped, as by Ctrl-Z. 0: none.
  std::chrono::nanoseconds task_timeout{0};
  std::string name = {};  ///< shown in traces
};

struct MapOptions {
  std::size_t chunk_size = 0;           ///< items that travel together; 0: chosen
  bool progress = false;                ///< calls that wait draw a bar where stderr is a terminal
  std::chrono::nanoseconds timeout{0};  ///< of each item; 0: PoolOptions::task_timeout
};

namespace detail {

/// Throws std::invalid_argument: a negative time limit.
engine::Settings settings_of(const PoolOptions& options);
std::chrono::nanoseconds item_limit(const MapOptions& options);

}  // namespace detail

}  // namespace procyon
