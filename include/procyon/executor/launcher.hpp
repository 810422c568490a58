// How calls become jobs: the same for map, apply and all the others, on every kind of pool.
#pragma once

#include <procyon/executor/async_result.hpp>
#include <procyon/executor/options.hpp>
#include <procyon/executor/progress.hpp>
#include <procyon/executor/task.hpp>
#include <procyon/executor/tried.hpp>
#include <procyon/executor/zip.hpp>

#include <algorithm>
#include <memory>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>

namespace procyon::detail {

/// What of the items is kept: results, nothing, or results and failures alike.
enum class Keep { results, nothing, outcomes };

/// Makes jobs of typed calls and hands them to an engine, which it shares with the pool.
template <engine::Domain domain>
class Launcher {
 public:
  static constexpr bool isolated = domain == engine::Domain::processes;
  template <class R>
  using ResultSink = typename SinkFor<isolated, R>::type;
  template <Keep keep, class R>
  using SinkOf = std::conditional_t<
      keep == Keep::nothing, NoResults,
      std::conditional_t<keep == Keep::results, ResultSink<R>, Tried<ResultSink<R>>>>;

  explicit Launcher(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}

  Engine& engine() const noexcept { return *engine_; }

  /// The source of a range that outlives the call, or not.
  template <class Range>
  auto borrow(Range&& range) const {
    return Held(*engine_, make_source<isolated, true>(*engine_, std::forward<Range>(range)));
  }
  /// The same for ranges that are zipped: the shortest ends them all.
  template <class... Ranges>
  auto borrow_all(Ranges&&... ranges) const {
    return make_sources<isolated, true>(*engine_, std::forward<Ranges>(ranges)...);
  }
  template <class Range>
  auto copy(Range&& range) const {
    return Held(*engine_, make_source<isolated, false>(*engine_, std::forward<Range>(range)));
  }

  /// A job of P with a sink for so many results.
  template <class P, class F, class Sink, class Sources>
  Task<P> launch(F&& f, Sink sink, const JobSpec& spec, Sources sources,
                 std::uint64_t results) const {
    if constexpr (isolated) P::require_callable();
    // Copied, not moved: what is moved may bring stray bits with it, which look like addresses.
    using G = std::remove_cvref_t<F>;
    constexpr bool copies =
        isolated && std::is_copy_constructible_v<G> && !std::is_trivially_copyable_v<G>;
    using Given = std::conditional_t<copies, const G&, F&&>;
    Task<P> task(engine_, static_cast<Given>(f), sink, results, std::move(sources));
    task.submit(spec);
    return task;
  }

  /// f over the sources, item by item.
  template <Spread spread, Keep keep, class F, class... Sources>
  auto start(F&& f, MapOptions options, std::tuple<Held<Sources>...> sources,
             ProgressBar* bar = nullptr) const {
    using G = std::decay_t<F>;
    using R = ResultOf<spread, G, typename Sources::Value...>;
    using Sink = SinkOf<keep, R>;
    constexpr bool has_results = keep != Keep::nothing && !std::is_void_v<R>;
    if constexpr (has_results && isolated) require_transferable<R>();
    JobSpec spec;
    spec.items =
        std::apply([](const auto&... source) { return std::min({(*source).count...}); }, sources);
    spec.chunk = options.chunk_size;
    // Items whose results are kept may be run again after a death; others may have effects.
    spec.may_rerun = has_results || !isolated;
    spec.keep_going = keep == Keep::outcomes;
    spec.time_limit = item_limit(options);
    spec.listener = bar != nullptr && bar->active() ? bar : nullptr;
    const Sink sink(*engine_, spec.items);
    return launch<Payload<spread, G, Sink, Sources...>>(std::forward<F>(f), sink, spec,
                                                        release(sources), spec.items);
  }

  /// f on these arguments, once.
  template <class F, class... Args>
  auto start_one(F&& f, Args&&... args) const {
    using G = std::decay_t<F>;
    using R = ResultOf<Spread::no, G, std::decay_t<Args>...>;
    if constexpr (isolated && !std::is_void_v<R>) require_transferable<R>();
    auto sources =
        std::tuple(Held(*engine_, make_single<isolated>(*engine_, std::forward<Args>(args)))...);
    const ResultSink<R> sink(*engine_, 1);
    return launch_one<G>(std::forward<F>(f), sink, release(sources));
  }

  /// As start; waits for the end, draws meanwhile where that is asked for, and throws the failure.
  template <Spread spread, Keep keep, class F, class... Sources>
  auto run(F&& f, MapOptions options, std::tuple<Held<Sources>...> sources) const {
    ProgressBar bar(options.progress);
    auto task = start<spread, keep>(std::forward<F>(f), options, std::move(sources), &bar);
    bar.wait(task.engine(), task.job());
    task.engine().check(task.job());
    return task;
  }

  template <class P>
  static void wait(Task<P>& task) {
    task.engine().wait(task.job());
    task.engine().check(task.job());
  }
  /// Requires: the task has ended, and has not failed.
  template <class P>
  static auto take_all(Task<P>& task) {
    using R = typename P::Result;
    P& payload = task.payload();
    if constexpr (requires { payload.sink.ran; }) {
      return payload.sink.template take_outcomes<R>(task.engine(), task.job(), payload.count);
    } else if constexpr (!drops_results<decltype(payload.sink)>) {
      return payload.sink.take_all(payload.count);
    }
  }
  template <class P>
  static auto take_one(Task<P>& task) {
    if constexpr (!std::is_void_v<typename P::Result>) return task.payload().sink.take(0);
  }
  /// The task's result for later: `take(task)` gets it.
  template <class P, class Take>
  static auto pending(Task<P> task, Take take) {
    using R = decltype(take(task));
    return AsyncResult<R>(std::make_shared<PendingTask<R, P, Take>>(std::move(task), take));
  }
  template <class P>
  static auto pending_one(Task<P> task) {
    return pending(std::move(task), [](Task<P>& ended) { return take_one(ended); });
  }
  template <class P>
  static auto pending_all(Task<P> task) {
    return pending(std::move(task), [](Task<P>& ended) { return take_all(ended); });
  }

 private:
  template <class... Sources>
  static std::tuple<Sources...> release(std::tuple<Held<Sources>...>& held) {
    return std::apply([](auto&... each) { return std::tuple<Sources...>(each.release()...); },
                      held);
  }
  template <class G, class F, class Sink, class... Sources>
  auto launch_one(F&& f, Sink sink, std::tuple<Sources...> sources) const {
    const JobSpec spec{.items = 1, .may_rerun = true};
    return launch<Payload<Spread::no, G, Sink, Sources...>>(std::forward<F>(f), sink, spec,
                                                            std::move(sources), 1);
  }

  std::shared_ptr<Engine> engine_;
};

}  // namespace procyon::detail
