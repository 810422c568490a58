#include "engine/domain.hpp"

#include <procyon/base/cpus.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "engine/zygote.hpp"

namespace procyon::engine {

std::uint32_t checked_workers(Domain domain, const Settings& settings) {
  if (domain == Domain::caller) return 1;
  if (settings.workers > max_workers) {
    throw std::invalid_argument(
        fmt::format("processes = {}: a pool has 1 to {} workers", settings.workers, max_workers));
  }
  if (settings.workers != 0) return static_cast<std::uint32_t>(settings.workers);
  // The pools of the workers of a pool share the CPUs.
  const std::size_t share = cpu_count() / std::max(enclosing_workers(), 1U);
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(share, 1, max_workers));
}

std::unique_ptr<WorkerDomain> make_domain(Domain domain, const Settings& settings) {
  if (domain == Domain::processes) return make_process_domain(settings);
  if (domain == Domain::threads) return make_thread_domain(settings);
  return make_caller_domain(settings);
}

}  // namespace procyon::engine
