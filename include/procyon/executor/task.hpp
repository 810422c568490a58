// A typed job: callable, sources and sink as one payload, and the code that runs it.
#pragma once

#include <procyon/executor/function_code.hpp>
#include <procyon/executor/transfer.hpp>

#include <array>
#include <functional>
#include <tuple>

// The base of the module that this is compiled into; every ELF linker defines it.
extern "C" __attribute__((visibility("hidden"))) const char __ehdr_start[];  // NOLINT

namespace procyon::detail {

using engine::Cursor;
using engine::Job;
using engine::JobSpec;

/// How the arguments meet the callable: as they are, or a tuple spread over its parameters.
enum class Spread { no, yes };

// Calls with `const T&` where the callable takes that, with a value of its own otherwise.
template <class... Values, class F, class... Args>
decltype(auto) invoke_task(F&& f, Args&&... args) {
  if constexpr (std::is_invocable_v<F, const Values&...>) {
    return std::invoke(std::forward<F>(f), static_cast<const Values&>(args)...);
  } else {
    return std::invoke(std::forward<F>(f), Values(std::forward<Args>(args))...);
  }
}

template <class F, class... Values>
constexpr bool const_callable =
    std::is_invocable_v<const F&, const Values&...> || std::is_invocable_v<const F&, Values&&...>;

// A callable that is not const-callable is copied for each task.
template <class... Values, class F, class... Args>
decltype(auto) call_task(const F& f, Args&&... args) {
  if constexpr (const_callable<F, Values...>) {
    return invoke_task<Values...>(f, std::forward<Args>(args)...);
  } else {
    static_assert(std::is_invocable_v<F&, const Values&...> || std::is_invocable_v<F&, Values&&...>,
                  "the callable cannot be called with these arguments");
    F copy(f);
    return invoke_task<Values...>(copy, std::forward<Args>(args)...);
  }
}

template <Spread spread, class F, class... Values>
struct Call {
  template <class... Args>
  static decltype(auto) call(const F& f, Args&&... args) {
    return call_task<Values...>(f, std::forward<Args>(args)...);
  }
};
template <class F, class... Values>
struct Call<Spread::yes, F, std::tuple<Values...>> {
  template <class Tuple>
  static decltype(auto) call(const F& f, Tuple&& tuple) {
    return std::apply(
        [&f](auto&&... values) -> decltype(auto) {
          return call_task<Values...>(f, std::forward<decltype(values)>(values)...);
        },
        std::forward<Tuple>(tuple));
  }
};
template <class F, class A, class B>
struct Call<Spread::yes, F, std::pair<A, B>> : Call<Spread::yes, F, std::tuple<A, B>> {};

/// R of a callable on arguments of these types: without reference and const.
template <Spread spread, class F, class... Values>
using ResultOf = std::remove_cvref_t<decltype(Call<spread, F, Values...>::call(
    std::declval<const F&>(), std::declval<Values>()...))>;

template <class F>
constexpr void require_no_reference_captures() {
  static_assert(!may_hold_reference<F>,
                "this callable seems to capture by reference, and a worker process would see its "
                "own copy: capture by value, or capture a handle such as procyon::Array (or wrap "
                "the callable in by_value() if it holds no reference)");
}

/// What lies in the job. Hidden: each module that makes such a job has a record of its own.
template <Spread spread, class F, class Sink, class... Sources>
struct __attribute__((visibility("hidden"))) Payload {
  using Result = ResultOf<spread, F, typename Sources::Value...>;
  Stored<F> f;
  std::tuple<Sources...> sources;
  Sink sink;
  std::uint64_t count;
  bool images = true;  ///< whether the workers are images of the submitter

  void run_one(const F& callable, std::uint64_t i, Cursor& cursor) {
    const auto call = [&](const Sources&... source) -> decltype(auto) {
      return Call<spread, F, typename Sources::Value...>::call(callable, source.get(i)...);
    };
    if constexpr (drops_results<Sink>) {
      static_cast<void>(std::apply(call, sources));
      sink.put(i, cursor);
    } else {
      sink.put(i, cursor, Result(std::apply(call, sources)));
    }
  }

  static void run(void* payload, Cursor& cursor) {
    auto& self = *static_cast<Payload*>(payload);
    const CheckedFor checked(self.images);
    const F& callable = callable_in(self.f, cursor);
    for (std::uint64_t i = cursor.begin(); i < cursor.end();) {
      const std::uint64_t last = cursor.announce(i);
      if (last == i) return;
      try {
        for (; i < last; ++i) self.run_one(callable, i, cursor);
      } catch (...) {
        cursor.fail(i);
        if (!cursor.keeps_going()) return;
        ++i;
      }
    }
  }

  static void destroy(Engine& engine, void* payload) {
    auto& self = *static_cast<Payload*>(payload);
    std::apply([&](auto&... source) { (source.clear(engine), ...); }, self.sources);
    self.sink.clear(engine, self.count);
    std::destroy_at(&self);
  }

  static constexpr void require_callable() { require_no_reference_captures<F>(); }
  void check_callable() const { check_shareable(f, "the callable"); }
  std::array<engine::CodeToken, 2> functions() const noexcept { return {function_of(f)}; }

  static inline const engine::JobType record{engine::JobType::valid, &Payload::run};

  static engine::CodeToken code() {
    static const engine::CodeToken token = engine::register_code(__ehdr_start, &record);
    return token;
  }
};

/// A job from its preparation to its release, owned by the submitter.
template <class P>
class Task {
 public:
  /// Requires: what the sources own belongs to the task from here on, also when this throws.
  template <class F, class Sink, class... Sources>
  Task(std::shared_ptr<Engine> engine, F&& f, Sink sink, std::uint64_t count,
       std::tuple<Sources...> sources)
      : engine_(std::move(engine)) {
    try {
      job_ = engine_->prepare(sizeof(P));
      require_alignment<P>();
      if constexpr (!address_free<std::decay_t<F>>) {
        clear_memory(Engine::payload(job_), sizeof(P));
      }
      payload_ =
          ::new (Engine::payload(job_)) P{std::forward<F>(f), std::move(sources), sink, count};
    } catch (...) {
      std::apply([&](auto&... source) { (source.clear(*engine_), ...); }, sources);
      sink.clear(*engine_, count);
      if (job_ != nullptr) engine_->release(job_);
      throw;
    }
  }
  Task(Task&& other) noexcept
      : engine_(std::move(other.engine_)),
        job_(std::exchange(other.job_, nullptr)),
        payload_(other.payload_),
        submitted_(other.submitted_) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (job_ == nullptr) return;
    if (submitted_) {
      engine_->abandon(job_, &P::destroy);
    } else {
      P::destroy(*engine_, payload_);
      engine_->release(job_);
    }
  }

  void submit(JobSpec spec) {
    const CheckedFor checked(payload_->images = engine_->workers_are_images());
    if (engine_->isolated()) payload_->check_callable();
    spec.code = P::code();
    spec.functions = payload_->functions();
    engine_->submit(job_, spec);
    submitted_ = true;
  }
  Engine& engine() const noexcept { return *engine_; }
  Job* job() const noexcept { return job_; }
  P& payload() const noexcept { return *payload_; }

 private:
  std::shared_ptr<Engine> engine_;
  Job* job_ = nullptr;
  P* payload_ = nullptr;
  bool submitted_ = false;
};

}  // namespace procyon::detail
