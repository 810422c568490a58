// The calling thread as a pool: the reference for right answers.
#pragma once

#include <procyon/executor/basic_pool.hpp>

namespace procyon {

/// As Pool, with every task run by the caller before the call returns, in order. It is one worker,
/// for whatever number it is asked.
class SerialPool : public BasicPool<engine::Domain::caller> {
 public:
  explicit SerialPool(std::size_t processes = 0)
      : SerialPool(PoolOptions{.processes = processes}) {}
  explicit SerialPool(const PoolOptions& options);
};

}  // namespace procyon
