// The calling thread as a pool: the reference for right answers.
#pragma once

#include <procyon/executor/basic_pool.hpp>

namespace procyon {

/// As Pool, with every task run by the caller before the call returns, in order.
class SerialPool : public BasicPool<engine::Domain::caller> {
 public:
  SerialPool();
};

}  // namespace procyon
