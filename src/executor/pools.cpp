#include <procyon/executor/executor.hpp>
#include <procyon/executor/pool.hpp>
#include <procyon/executor/serial_pool.hpp>
#include <procyon/executor/thread_pool.hpp>

namespace procyon {

static_assert(Executor<Pool> && Executor<ThreadPool> && Executor<SerialPool>);

Pool::Pool(const PoolOptions& options) : BasicPool(options) {}
ThreadPool::ThreadPool(const PoolOptions& options) : BasicPool(options) {}
SerialPool::SerialPool(const PoolOptions& options) : BasicPool(options) {}

}  // namespace procyon
