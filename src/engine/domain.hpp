// Where a pool's workers live: one small class for each place.
#pragma once

#include "engine/layout.hpp"

#include <procyon/engine/engine.hpp>

#include <chrono>
#include <memory>

namespace procyon::engine {

/// How often whoever waits looks after helpers.
constexpr std::chrono::milliseconds look_after_every{100};

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
  /// Has the workers looked at: those that run a job which is marked as interrupted are ended, and
  /// so are, from now on, those whose items take longer than their jobs allow. They are replaced.
  /// No other task comes to harm. Where workers cannot be ended it does nothing. Requires: `stop`
  /// has not begun, and does not meanwhile.
  virtual void watch() noexcept {}
  /// Whether the submitter itself runs a job it submits.
  virtual bool runs_in_caller() const noexcept { return false; }
};

/// How many workers a pool gets. Throws std::invalid_argument: more than max_workers.
std::uint32_t checked_workers(Domain domain, const Settings& settings);
std::unique_ptr<WorkerDomain> make_domain(Domain domain, const Settings& settings);
std::unique_ptr<WorkerDomain> make_process_domain(const Settings& settings);
std::unique_ptr<WorkerDomain> make_thread_domain(const Settings& settings);
std::unique_ptr<WorkerDomain> make_caller_domain(const Settings& settings);

/// Threads that the library itself runs in this process.
std::size_t library_threads() noexcept;

/// Binds the calling thread to the index-th CPU that the process may use.
void pin_to_cpu(std::uint32_t index) noexcept;

}  // namespace procyon::engine
