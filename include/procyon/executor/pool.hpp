// A pool of worker processes.
#pragma once

#include <procyon/executor/basic_pool.hpp>

namespace procyon {

/// Runs tasks in worker processes: each has its own memory, locks, BLAS and faults, and all share
/// the heap that `Array` and `shared_allocator` allocate from. StartMethod says how they come to
/// be; one that dies is replaced. Any process of the pool may die: what it was doing fails, the
/// rest goes on. When this program ends, however it ends, so do they.
///
/// Throws std::invalid_argument (processes, PROCYON_START_METHOD); StartError where a process
/// cannot be had, where `fork` would copy locks of other threads, and where another start method
/// lacks init(); SharedMemoryError.
class Pool : public BasicPool<engine::Domain::processes> {
 public:
  explicit Pool(std::size_t processes = 0) : Pool(PoolOptions{.processes = processes}) {}
  explicit Pool(const PoolOptions& options);
};

}  // namespace procyon
