// The result of a task that is still running, perhaps.
#pragma once

#include <procyon/engine/callbacks.hpp>
#include <procyon/executor/outcome.hpp>
#include <procyon/executor/task.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace procyon {
namespace detail {

/// What an AsyncResult waits for, whatever the types of its job. With callbacks it has two users,
/// the result and the thread of the callbacks, and the members called `shared_` are for them.
template <class R>
class Pending {
 public:
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  virtual ~Pending() = default;

  engine::Place place() const noexcept { return place_; }
  /// The result, or throws the task's failure. Requires: the task has ended.
  Kept<R>& value() {
    place_.engine->check(place_.job);
    if (!value_) keep_value();
    return *value_;
  }
  Kept<R>& shared_value() {
    const std::scoped_lock lock(mutex_);
    settled_ = true;
    return value();
  }
  bool cancel() { return place_.engine->cancel(place_.job, engine::Engine::Running::stopped); }
  // What a callback was told stays true.
  bool shared_cancel() {
    const std::scoped_lock lock(mutex_);
    return !settled_ && cancel();
  }

 protected:
  explicit Pending(engine::Place place) noexcept : place_(place) {}
  virtual R take() = 0;  // requires that the job has ended without a failure; once

 private:
  void keep_value() {
    if constexpr (std::is_void_v<R>) {
      value_.emplace();
    } else {
      value_.emplace(take());
    }
  }

  engine::Place place_;
  std::optional<Kept<R>> value_;
  std::mutex mutex_;
  bool settled_ = false;
};

template <class R, class P, class Take>
class PendingTask final : public Pending<R> {
 public:
  PendingTask(Task<P> task, Take take)
      : Pending<R>({&task.engine(), task.job()}), task_(std::move(task)), take_(std::move(take)) {}

 private:
  R take() override { return take_(task_); }

  Task<P> task_;
  Take take_;
};

/// Throws std::future_error, as std::future does.
[[noreturn]] void throw_no_state();

}  // namespace detail

/// What `apply_async` and its like return at once. Movable; to be used by one thread at a time.
/// Destroying it leaves the task to run. A pool that ends makes it fail with PoolClosed, and a
/// worker that dies with WorkerCrashed: nobody waits for ever. One that was moved from has no task:
/// all its members but `valid` and assignment throw std::future_error (no_state).
template <class R>
class AsyncResult {
 public:
  explicit AsyncResult(std::shared_ptr<detail::Pending<R>> pending)
      : pending_(std::move(pending)) {}

  /// False: it was moved from.
  bool valid() const noexcept { return pending_ != nullptr; }
  /// Whether the task has ended, with a result or a failure.
  bool ready() const { return place().engine->ready(place().job); }
  /// Whether it has ended without a failure. Throws Error when it has not ended.
  bool successful() const {
    if (!ready()) throw Error("successful(): the task has not ended; call wait() first");
    try {
      place().engine->check(place().job);
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
    return place().engine->wait_for(place().job, nanoseconds_of(limit));
  }

  /// Waits, and returns the result or throws the task's failure. May be called again. With
  /// callbacks it waits for those too, and throws what one of them threw.
  std::add_lvalue_reference_t<const R> get() const& {
    wait();
    wait_for_callbacks();
    return result();
  }
  R get() && {
    wait();
    wait_for_callbacks();
    return static_cast<std::add_rvalue_reference_t<R>>(result());
  }
  /// As above; throws TimeoutError when the task has not ended in time.
  template <class Rep, class Period>
  std::add_lvalue_reference_t<const R> get(std::chrono::duration<Rep, Period> limit) const& {
    const auto start = std::chrono::steady_clock::now();
    if (!wait_for(limit)) throw TimeoutError("get(): the task has not ended in the time given");
    if (callbacks_ != nullptr) {
      const auto left = nanoseconds_of(limit) - (std::chrono::steady_clock::now() - start);
      if (!callbacks_->wait_for(left)) {
        throw TimeoutError("get(): the callbacks have not run in the time given");
      }
      callbacks_->check();
    }
    return result();
  }

  /// Ends a task that has not ended: what has not begun never runs, and what runs in a worker
  /// process is ended with that; threads end what they run first. get() throws Cancelled from then
  /// on. Returns false, and changes nothing, where the task has ended or failed already.
  /// Throws SharedMemoryError, and has done nothing.
  bool cancel() { return callbacks_ == nullptr ? pending().cancel() : pending().shared_cancel(); }

  /// Calls g with the result (`const R&`, or nothing where R is void) once the task has ended
  /// without a failure; at once where it has. Callbacks run on one thread of this process, in
  /// their order for each result, whether or not the AsyncResult still exists; get() waits for them
  /// and throws what they throw. g should be short, and must not wait for other callbacks.
  /// Throws StartError.
  template <class G>
  AsyncResult& on_success(G&& g) & {
    add([pending = &pending(), g = share(std::forward<G>(g))] {
      detail::Kept<R>* value = nullptr;
      try {
        value = &pending->shared_value();
      } catch (...) {
        return;
      }
      if constexpr (std::is_void_v<R>) {
        (*g)();
      } else {
        (*g)(std::as_const(*value));
      }
    });
    return *this;
  }
  /// As on_success when the task has failed, or its pool has ended (PoolClosed): calls g with an
  /// std::exception_ptr, or with a `const std::exception&` where it takes only that.
  template <class G>
  AsyncResult& on_error(G&& g) & {
    add([pending = &pending(), g = share(std::forward<G>(g))] {
      std::exception_ptr error;
      try {
        pending->shared_value();
      } catch (...) {
        error = std::current_exception();
      }
      if (error != nullptr) call_with(*g, error);
    });
    return *this;
  }
  template <class G>
  AsyncResult on_success(G&& g) && {
    return std::move(on_success(std::forward<G>(g)));
  }
  template <class G>
  AsyncResult on_error(G&& g) && {
    return std::move(on_error(std::forward<G>(g)));
  }

  /// The job, for who waits for several at once.
  engine::Place place() const { return pending().place(); }

 private:
  detail::Pending<R>& pending() const {
    if (pending_ == nullptr) detail::throw_no_state();
    return *pending_;
  }
  // Compared as floating point: longer times than nanoseconds can count are the longest of them.
  template <class Rep, class Period>
  static std::chrono::nanoseconds nanoseconds_of(std::chrono::duration<Rep, Period> limit) {
    using std::chrono::nanoseconds;
    const std::chrono::duration<double, std::nano> wanted(limit);
    if (wanted >= std::chrono::duration<double, std::nano>(nanoseconds::max())) {
      return nanoseconds::max();
    }
    const bool positive = wanted > wanted.zero();
    return positive ? std::chrono::duration_cast<nanoseconds>(limit) : nanoseconds(0);
  }

  // A callback is copied with what waits for the result, and must not be.
  template <class G>
  static auto share(G&& g) {
    return std::make_shared<std::decay_t<G>>(std::forward<G>(g));
  }
  template <class G>
  static void call_with(G& g, const std::exception_ptr& error) {
    if constexpr (std::is_invocable_v<G&, const std::exception_ptr&>) {
      g(error);
    } else {
      static_assert(std::is_invocable_v<G&, const std::exception&>,
                    "on_error: g takes an std::exception_ptr or a const std::exception&");
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& exception) {
        g(exception);
      }
    }
  }
  template <class Call>
  void add(Call call) {
    if (callbacks_ == nullptr) callbacks_ = std::make_shared<engine::Callbacks>();
    engine::call_when_finished(place(), pending_, callbacks_, std::move(call));
  }
  void wait_for_callbacks() const {
    if (callbacks_ == nullptr) return;
    while (!callbacks_->wait_for(std::chrono::hours{1})) {
    }
    callbacks_->check();
  }

  std::add_lvalue_reference_t<R> result() const {
    detail::Kept<R>& value = callbacks_ == nullptr ? pending().value() : pending().shared_value();
    if constexpr (!std::is_void_v<R>) return value;
  }

  std::shared_ptr<detail::Pending<R>> pending_;
  std::shared_ptr<engine::Callbacks> callbacks_;
};

}  // namespace procyon
