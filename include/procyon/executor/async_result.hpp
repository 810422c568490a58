// The result of a task that is still running, perhaps.
#pragma once

#include <procyon/executor/outcome.hpp>
#include <procyon/executor/task.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace procyon {
namespace detail {

/// What an AsyncResult waits for, whatever the types of its job.
template <class R>
class Pending {
 public:
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  virtual ~Pending() = default;
  virtual R take() = 0;  // requires that the job has ended without a failure; once

  engine::Place place() const noexcept { return place_; }

 protected:
  explicit Pending(engine::Place place) noexcept : place_(place) {}

 private:
  engine::Place place_;
};

template <class R, class P, class Take>
class PendingTask final : public Pending<R> {
 public:
  PendingTask(Task<P> task, Take take)
      : Pending<R>({&task.engine(), task.job()}), task_(std::move(task)), take_(std::move(take)) {}
  R take() override { return take_(task_); }

 private:
  Task<P> task_;
  Take take_;
};

}  // namespace detail

/// What `apply_async` and its like return at once. Movable; to be used by one thread at a time.
/// Destroying it leaves the task to run. A pool that ends makes it fail with PoolClosed, and a
/// worker that dies with WorkerCrashed: nobody waits for ever.
template <class R>
class AsyncResult {
 public:
  explicit AsyncResult(std::unique_ptr<detail::Pending<R>> pending)
      : pending_(std::move(pending)) {}

  /// Whether the task has ended, with a result or a failure.
  bool ready() const noexcept { return place().engine->ready(place().job); }
  /// Whether it has ended without a failure. Throws Error when it has not ended.
  bool successful() const {
    if (!ready()) throw Error("successful(): the task has not ended; call wait() first");
    try {
      check();
      return true;
    } catch (...) {
      return false;
    }
  }
  void wait() const {
    while (!wait_for(std::chrono::hours{1})) {
    }
  }
  /// False: the time was up first.
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> limit) const {
    using std::chrono::nanoseconds;
    // Compared as floating point: longer times than nanoseconds can count are the longest of them.
    const std::chrono::duration<double, std::nano> wanted(limit);
    if (wanted >= std::chrono::duration<double, std::nano>(nanoseconds::max())) {
      return place().engine->wait_for(place().job, nanoseconds::max());
    }
    const bool positive = wanted > wanted.zero();
    return place().engine->wait_for(
        place().job, positive ? std::chrono::duration_cast<nanoseconds>(limit) : nanoseconds(0));
  }

  /// Waits, and returns the result or throws the task's failure. May be called again.
  std::add_lvalue_reference_t<const R> get() const& {
    wait();
    return result();
  }
  R get() && {
    wait();
    result();
    if constexpr (!std::is_void_v<R>) return std::move(value_).value();
  }
  /// As above; throws TimeoutError when the task has not ended in time.
  template <class Rep, class Period>
  std::add_lvalue_reference_t<const R> get(std::chrono::duration<Rep, Period> limit) const& {
    if (!wait_for(limit)) throw TimeoutError("get(): the task has not ended in the time given");
    return result();
  }

  /// Ends a task that has not ended: what has not begun never runs, and what runs in a worker
  /// process is ended with that; threads end what they run first. get() throws Cancelled from then
  /// on. Returns false, and changes nothing, where the task has ended or failed already.
  /// Throws SharedMemoryError, and has done nothing.
  bool cancel() { return place().engine->cancel(place().job, engine::Engine::Running::stopped); }

  /// The job, for who waits for several at once.
  engine::Place place() const noexcept { return pending_->place(); }

 private:
  void check() const { place().engine->check(place().job); }

  std::add_lvalue_reference_t<const R> result() const {
    check();
    if constexpr (!std::is_void_v<R>) {
      if (!value_) value_.emplace(pending_->take());
      return *value_;
    }
  }

  std::unique_ptr<detail::Pending<R>> pending_;
  mutable std::optional<detail::Kept<R>> value_;
};

}  // namespace procyon
