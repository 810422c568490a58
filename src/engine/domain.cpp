#include "engine/domain.hpp"

#include <procyon/base/cpus.hpp>

#include <fmt/format.h>
#include <unistd.h>

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

namespace {

// OpenBLAS as distributions build it takes so many. More than the machine has CPUs, and more than
// that, is a mistake: a negative number, or a count of something else.
constexpr std::size_t usual_most_blas_threads = 128;

void check_blas_threads(std::size_t threads) {
  const auto cpus = static_cast<std::size_t>(std::max(sysconf(_SC_NPROCESSORS_CONF), 1L));
  const std::size_t most = std::max(usual_most_blas_threads, cpus);
  if (threads <= most) return;
  throw std::invalid_argument(
      fmt::format("blas_threads = {}: each worker's BLAS can have 1 to {}; use 1, or 0 to leave "
                  "it as it is",
                  threads, most));
}

}  // namespace

std::unique_ptr<WorkerDomain> make_domain(Domain domain, const Settings& settings) {
  check_blas_threads(settings.blas_threads);
  if (domain == Domain::processes) return make_process_domain(settings);
  if (domain == Domain::threads) return make_thread_domain(settings);
  return make_caller_domain(settings);
}

}  // namespace procyon::engine
