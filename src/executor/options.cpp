#include <procyon/executor/options.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace procyon::detail {
namespace {

std::chrono::nanoseconds checked(const char* name, std::chrono::nanoseconds limit) {
  if (limit.count() >= 0) return limit;
  throw std::invalid_argument(
      fmt::format("{} = {} ns: must be positive, or 0 for no limit", name, limit.count()));
}

}  // namespace

engine::Settings settings_of(const PoolOptions& options) {
  return {.workers = options.processes,
          .blas_threads = options.blas_threads,
          .pin_cpus = options.pin_cpus,
          .start_method = options.start_method,
          .max_tasks_per_child = options.max_tasks_per_child,
          .task_timeout = checked("task_timeout", options.task_timeout)};
}

std::chrono::nanoseconds item_limit(const MapOptions& options) {
  return checked("timeout", options.timeout);
}

}  // namespace procyon::detail
