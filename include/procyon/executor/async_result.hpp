// The result of a task that is still running, perhaps.
#pragma once

#include <procyon/executor/task.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

namespace procyon {
namespace detail {

/// What an AsyncResult waits for, whatever the types of its job.
template <class R>
class Pending {
 public:
  Pending() = default;
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  virtual ~Pending() = default;
  virtual bool ready() const noexcept = 0;
  virtual bool wait_for(std::chrono::nanoseconds limit) const = 0;
  virtual void check() const = 0;  // requires ready(); throws the task's failure
  virtual R take() = 0;            // requires that check() did not throw; once
};

template <class R, class P, class Take>
class PendingTask final : public Pending<R> {
 public:
  PendingTask(Task<P> task, Take take) : task_(std::move(task)), take_(std::move(take)) {}
  bool ready() const noexcept override { return task_.engine().ready(task_.job()); }
  bool wait_for(std::chrono::nanoseconds limit) const override {
    return task_.engine().wait_for(task_.job(), limit);
  }
  void check() const override { task_.engine().check(task_.job()); }
  R take() override { return take_(task_.payload()); }

 private:
  Task<P> task_;
  Take take_;
};

// void has no values to keep.
template <class R>
using Kept = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

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
  bool ready() const noexcept { return pending_->ready(); }
  /// Whether it has ended without a failure. Throws Error when it has not ended.
  bool successful() const {
    if (!ready()) throw Error("successful(): the task has not ended; call wait() first");
    try {
      pending_->check();
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
      return pending_->wait_for(nanoseconds::max());
    }
    const bool positive = wanted > wanted.zero();
    return pending_->wait_for(positive ? std::chrono::duration_cast<nanoseconds>(limit)
                                       : nanoseconds(0));
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

 private:
  std::add_lvalue_reference_t<const R> result() const {
    pending_->check();
    if constexpr (!std::is_void_v<R>) {
      if (!value_) value_.emplace(pending_->take());
      return *value_;
    }
  }

  std::unique_ptr<detail::Pending<R>> pending_;
  mutable std::optional<detail::Kept<R>> value_;
};

}  // namespace procyon
