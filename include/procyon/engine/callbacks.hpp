// What runs in this process when a job has finished: callbacks, on one thread for all of them.
#pragma once

#include <procyon/engine/engine.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>

namespace procyon::engine {

/// The callbacks of one result: how many are still to run, and the first exception of one.
class Callbacks {
 public:
  /// Waits until those that were added have run; false: the time was up first, or a day was. On
  /// the callbacks' own thread it does not wait.
  bool wait_for(std::chrono::nanoseconds limit);
  /// Throws the first exception that one of them threw.
  void check();

 private:
  friend class CallbackThread;
  void add_one();
  void end_one(std::exception_ptr error);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t outstanding_ = 0;
  std::exception_ptr error_;
};

/// Runs `call` once the job has finished, at once where it has. `owner` keeps the job, and is let
/// go, as `call` is, before the callback counts as run. Callbacks of one job run in the order in
/// which they were added; all of them on one thread, which ends when none is left. Throws
/// StartError where that cannot be had, and `call` will not run.
void call_when_finished(Place place, std::shared_ptr<const void> owner,
                        std::shared_ptr<Callbacks> callbacks, std::function<void()> call);

}  // namespace procyon::engine
