// Where a pool's workers live: one small class for each place.
#pragma once

#include "engine/layout.hpp"

#include <procyon/engine/engine.hpp>

#include <memory>

namespace procyon::engine {

class WorkerDomain {
 public:
  virtual ~WorkerDomain() = default;
  /// Starts all workers, or throws StartError and leaves none.
  virtual void start(PoolState& pool) = 0;
  /// Ends them; none runs any more when it returns.
  virtual void stop(PoolState& pool) noexcept = 0;
  /// Called now and then by whoever waits: makes good the loss of helpers.
  virtual void look_after(PoolState&) {}
  /// Whether addresses of code and constants mean the same to the workers.
  virtual bool workers_are_images() const noexcept { return true; }
  /// Whether the submitter itself runs a job it submits.
  virtual bool runs_in_caller() const noexcept { return false; }
};

std::unique_ptr<WorkerDomain> make_process_domain(const Settings& settings);
std::unique_ptr<WorkerDomain> make_thread_domain(const Settings& settings);
std::unique_ptr<WorkerDomain> make_caller_domain(const Settings& settings);

/// Threads that the library itself runs in this process.
std::size_t library_threads() noexcept;

/// Binds the calling thread to the index-th CPU that the process may use.
void pin_to_cpu(std::uint32_t index) noexcept;

}  // namespace procyon::engine
