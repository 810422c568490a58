// A pool of threads of this process.
#pragma once

#include <procyon/executor/basic_pool.hpp>

namespace procyon {

/// As Pool, with threads: takes any callable, arguments and results of any type; a task that
/// crashes takes the program with it. Exceptions of types that Pool cannot rebuild arrive as they
/// were. A task may wait for other tasks of its own pool, however few threads there are; join() in
/// a task of the pool throws Error, and terminate() does all but end the threads. No task may
/// destroy the pool. Throws std::invalid_argument, StartError.
class ThreadPool : public BasicPool<engine::Domain::threads> {
 public:
  explicit ThreadPool(std::size_t threads = 0) : ThreadPool(PoolOptions{.processes = threads}) {}
  explicit ThreadPool(const PoolOptions& options);
};

}  // namespace procyon
