#include <procyon/executor/executor.hpp>
#include <procyon/executor/pool.hpp>
#include <procyon/executor/serial_pool.hpp>
#include <procyon/executor/thread_pool.hpp>

#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

namespace procyon {

static_assert(Executor<Pool> && Executor<ThreadPool> && Executor<SerialPool>);

namespace {

engine::Settings settings_of(const PoolOptions& options) {
  return {options.processes, options.blas_threads, options.pin_cpus};
}

StartMethod method_of_environment() {
  const char* value = std::getenv("PROCYON_START_METHOD");
  const std::string_view name = value == nullptr ? "automatic" : value;
  if (name == "automatic" || name.empty()) return StartMethod::automatic;
  if (name == "fork") return StartMethod::fork;
  if (name == "forkserver") return StartMethod::forkserver;
  if (name == "spawn") return StartMethod::spawn;
  throw std::invalid_argument(fmt::format(
      "PROCYON_START_METHOD = \"{}\": must be automatic, fork, forkserver or spawn", name));
}

engine::Settings forked(const PoolOptions& options) {
  StartMethod method = options.start_method;
  if (method == StartMethod::automatic) method = method_of_environment();
  if (method == StartMethod::forkserver || method == StartMethod::spawn) {
    throw StartError("start method", 0,
                     fmt::format("this version starts workers by fork only, not by {}",
                                 method == StartMethod::spawn ? "spawn" : "forkserver"));
  }
  return settings_of(options);
}

}  // namespace

Pool::Pool(const PoolOptions& options) : BasicPool(forked(options)) {}
ThreadPool::ThreadPool(const PoolOptions& options) : BasicPool(settings_of(options)) {}
SerialPool::SerialPool(const PoolOptions& options) : BasicPool(settings_of(options)) {}

}  // namespace procyon
