// The calls that all pools share, written once over the engine.
#pragma once

#include <procyon/executor/async_result.hpp>
#include <procyon/executor/options.hpp>
#include <procyon/executor/task.hpp>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace procyon {

/// The members of Pool, ThreadPool and SerialPool.
///
/// A callable f is called as const, in place, with `const T&` where it takes that and otherwise
/// with a T of its own; its result is kept without reference and const. In a Pool, f and its
/// arguments may refer to shared memory only: NotShareable otherwise, before any task begins.
///
/// When tasks fail, the failure of the lowest index is thrown, as the type it was where that is a
/// standard one or registered by PROCYON_EXCEPTION; items before it have all run, items after it
/// that had not begun are not begun.
/// A worker that dies fails the task it was running with WorkerCrashed, and nothing else.
///
/// Every member may be called by any thread of the process that made the pool. After close() or
/// terminate(), calls that hand in tasks throw PoolClosed; SharedMemoryError where memory runs out.
template <engine::Domain domain>
class BasicPool {
 public:
  static constexpr bool isolated = domain == engine::Domain::processes;

  BasicPool(const BasicPool&) = delete;
  BasicPool& operator=(const BasicPool&) = delete;

  /// Number of workers.
  std::size_t size() const noexcept { return engine_->size(); }

  /// f(x) for every x, in order: std::vector<R>, or nothing where R is void.
  template <class F, std::ranges::input_range Range>
  auto map(F&& f, Range&& xs, MapOptions options) {
    return finish_all(start<Spread::no>(std::forward<F>(f), options, Results::kept,
                                        std::tuple(borrow(std::forward<Range>(xs)))));
  }
  template <class F, class T>
  auto map(F&& f, std::initializer_list<T> xs, MapOptions options = {}) {
    return map(std::forward<F>(f), std::span<const T>(xs.begin(), xs.size()), options);
  }
  /// f(x, y, ...) over one or several ranges; the shortest ends it.
  template <class F, std::ranges::input_range... Ranges>
  requires(sizeof...(Ranges) > 0) auto map(F&& f, Ranges&&... ranges) {
    return finish_all(start<Spread::no>(std::forward<F>(f), MapOptions{}, Results::kept,
                                        std::tuple(borrow(std::forward<Ranges>(ranges))...)));
  }
  template <class F, std::ranges::input_range First, std::ranges::input_range Second>
  auto map(F&& f, First&& first, Second&& second, MapOptions options) {
    return finish_all(start<Spread::no>(
        std::forward<F>(f), options, Results::kept,
        std::tuple(borrow(std::forward<First>(first)), borrow(std::forward<Second>(second)))));
  }
  /// As map; each element is a tuple or pair that is spread over f's parameters.
  template <class F, std::ranges::input_range Range>
  auto starmap(F&& f, Range&& tuples, MapOptions options = {}) {
    return finish_all(start<Spread::yes>(std::forward<F>(f), options, Results::kept,
                                         std::tuple(borrow(std::forward<Range>(tuples)))));
  }
  template <class F, std::ranges::input_range Range>
  void for_each(F&& f, Range&& xs, MapOptions options = {}) {
    finish(start<Spread::no>(std::forward<F>(f), options, Results::dropped,
                             std::tuple(borrow(std::forward<Range>(xs)))));
  }
  /// f(i) for i in [0, n).
  template <class F>
  void for_index(std::size_t n, F&& f, MapOptions options = {}) {
    finish(start<Spread::no>(std::forward<F>(f), options, Results::dropped,
                             std::tuple(detail::Held(*engine_, detail::Indices{n}))));
  }
  /// out[i] = f(in[i]), and no element is copied. Requires in a Pool: both ranges lie in shared
  /// memory (NotShareable). `in` may be `out`. Throws std::invalid_argument: `out` is shorter.
  template <class F, std::ranges::contiguous_range In, std::ranges::contiguous_range Out>
  void map_into(F&& f, In&& in, Out&& out, MapOptions options = {}) {
    using T = std::ranges::range_value_t<In>;
    using R = std::ranges::range_value_t<Out>;
    const std::span<const T> from(std::ranges::data(in), std::ranges::size(in));
    const std::span<R> to(std::ranges::data(out), std::ranges::size(out));
    require_room(from.size(), to.size());
    if constexpr (isolated) {
      require_shared("in", from.data(), from.size_bytes());
      require_shared("out", to.data(), to.size_bytes());
    }
    const auto begins_after = [](const auto& one, const auto& other) {
      return static_cast<const void*>(other.data() + other.size()) <= one.data();
    };
    const bool apart = begins_after(from, to) || begins_after(to, from);
    using Source = detail::Elements<T>;
    using P = detail::Payload<Spread::no, std::decay_t<F>, detail::InPlace<isolated, R>, Source>;
    finish(launch<P>(std::forward<F>(f), detail::InPlace<isolated, R>{to.data()}, from.size(),
                     options, !isolated || apart,
                     std::tuple(Source{from.data(), from.size(), nullptr})));
  }

  /// f(args...) in one worker.
  template <class F, class... Args>
  auto apply(F&& f, Args&&... args) {
    auto task = start_one(std::forward<F>(f), std::forward<Args>(args)...);
    wait(task);
    return take_one(task.payload());
  }
  /// As apply, at once: AsyncResult<R>.
  template <class F, class... Args>
  auto apply_async(F&& f, Args&&... args) {
    auto task = start_one(std::forward<F>(f), std::forward<Args>(args)...);
    return pending(std::move(task), [](auto& payload) { return take_one(payload); });
  }
  /// As map, at once: AsyncResult<std::vector<R>>. The elements are copied, unless they lie in
  /// shared memory: those must stay as they are until the result is there.
  template <class F, std::ranges::input_range Range>
  auto map_async(F&& f, Range&& xs, MapOptions options = {}) {
    auto task = start<Spread::no>(std::forward<F>(f), options, Results::kept,
                                  std::tuple(copy(std::forward<Range>(xs))));
    return pending(std::move(task), [](auto& payload) { return take_all(payload); });
  }
  template <class F, std::ranges::input_range Range>
  auto starmap_async(F&& f, Range&& tuples, MapOptions options = {}) {
    auto task = start<Spread::yes>(std::forward<F>(f), options, Results::kept,
                                   std::tuple(copy(std::forward<Range>(tuples))));
    return pending(std::move(task), [](auto& payload) { return take_all(payload); });
  }

  /// No further tasks; those handed in are run.
  void close() noexcept { engine_->close(); }
  /// Ends the workers now; unfinished results fail with PoolClosed. Threads are waited for until
  /// the item that they run returns. The destructor does the same.
  void terminate() noexcept { engine_->terminate(); }
  /// Waits until every task has run, then ends the workers. Throws Error before close().
  void join() { engine_->join(); }

 protected:
  explicit BasicPool(const engine::Settings& settings)
      : engine_(std::make_shared<engine::Engine>(domain, settings)) {}
  ~BasicPool() { engine_->terminate(); }

 private:
  using Spread = detail::Spread;
  struct Results {
    static constexpr std::true_type kept{};
    static constexpr std::false_type dropped{};
  };

  template <class Range>
  auto borrow(Range&& range) {
    return detail::Held(*engine_,
                        detail::make_source<isolated, true>(*engine_, std::forward<Range>(range)));
  }
  template <class Range>
  auto copy(Range&& range) {
    return detail::Held(*engine_,
                        detail::make_source<isolated, false>(*engine_, std::forward<Range>(range)));
  }

  template <class P, class F, class Sink, class Sources>
  detail::Task<P> launch(F&& f, Sink sink, std::uint64_t count, MapOptions options, bool may_rerun,
                         Sources sources) {
    if constexpr (isolated) detail::require_no_reference_captures<std::decay_t<F>>();
    detail::Task<P> task(engine_, std::forward<F>(f), sink, count, std::move(sources));
    task.submit(options.chunk_size, may_rerun);
    return task;
  }

  template <Spread spread, class F, bool keep, class... Sources>
  auto start(F&& f, MapOptions options, std::bool_constant<keep>,
             std::tuple<detail::Held<Sources>...> sources) {
    using G = std::decay_t<F>;
    using R = detail::ResultOf<spread, G, typename Sources::Value...>;
    using Sink = typename detail::SinkFor<isolated, std::conditional_t<keep, R, void>>::type;
    if constexpr (keep && isolated && !std::is_void_v<R>) detail::require_transferable<R>();
    const std::uint64_t count =
        std::apply([](const auto&... source) { return std::min({(*source).count...}); }, sources);
    const Sink sink(*engine_, count);
    // Items whose results are kept may be run again after a death; others may have effects.
    return launch<detail::Payload<spread, G, Sink, Sources...>>(
        std::forward<F>(f), sink, count, options, keep || !isolated, release(sources));
  }

  template <class F, class... Args>
  auto start_one(F&& f, Args&&... args) {
    using G = std::decay_t<F>;
    using R = detail::ResultOf<Spread::no, G, std::decay_t<Args>...>;
    using Sink = typename detail::SinkFor<isolated, R>::type;
    if constexpr (isolated && !std::is_void_v<R>) detail::require_transferable<R>();
    auto sources = std::tuple(detail::Held(
        *engine_, detail::make_single<isolated>(*engine_, std::forward<Args>(args)))...);
    const Sink sink(*engine_, 1);
    return launch_one<G>(std::forward<F>(f), sink, release(sources));
  }
  template <class G, class F, class Sink, class... Sources>
  auto launch_one(F&& f, Sink sink, std::tuple<Sources...> sources) {
    return launch<detail::Payload<Spread::no, G, Sink, Sources...>>(
        std::forward<F>(f), sink, 1, MapOptions{}, true, std::move(sources));
  }
  template <class... Sources>
  static std::tuple<Sources...> release(std::tuple<detail::Held<Sources>...>& held) {
    return std::apply([](auto&... each) { return std::tuple<Sources...>(each.release()...); },
                      held);
  }

  template <class P>
  void wait(detail::Task<P>& task) {
    engine_->wait(task.job());
    engine_->check(task.job());
  }
  template <class P>
  void finish(detail::Task<P> task) {
    wait(task);
  }
  template <class P>
  auto finish_all(detail::Task<P> task) {
    wait(task);
    return take_all(task.payload());
  }
  template <class P>
  static auto take_all(P& payload) {
    if constexpr (!std::is_void_v<typename P::Result>) {
      return payload.sink.take_all(payload.count);
    }
  }
  template <class P>
  static auto take_one(P& payload) {
    if constexpr (!std::is_void_v<typename P::Result>) return payload.sink.take(0);
  }
  template <class P, class Take>
  static auto pending(detail::Task<P> task, Take take) {
    using R = decltype(take(task.payload()));
    using Kind = detail::PendingTask<R, P, Take>;
    return AsyncResult<R>(std::make_unique<Kind>(std::move(task), std::move(take)));
  }

  static void require_room(std::size_t in, std::size_t out) {
    if (out >= in) return;
    throw std::invalid_argument("map_into: out has " + std::to_string(out) +
                                " elements, and in has " + std::to_string(in));
  }
  static void require_shared(const char* name, const void* data, std::size_t bytes) {
    if (bytes == 0 || shm::contains(data, bytes)) return;
    throw NotShareable(std::string("map_into: ") + name +
                       " lies in this process's own memory; use a procyon::Array, or map()");
  }

  std::shared_ptr<engine::Engine> engine_;
};

}  // namespace procyon
