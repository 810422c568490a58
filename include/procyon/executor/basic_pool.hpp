// The calls that all pools share, written once over the engine.
#pragma once

#include <procyon/executor/as_completed.hpp>
#include <procyon/executor/imap.hpp>
#include <procyon/executor/launcher.hpp>
#include <procyon/executor/reduce.hpp>

#include <functional>
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
namespace detail {

template <class T>
concept IsOptions = std::is_same_v<std::remove_cvref_t<T>, MapOptions>;

// Ranges, and perhaps options after them. With one or two ranges these are parameters of their
// own, so that they may be given in braces.
template <class... Args>
struct AreRanges : std::false_type {};
template <class Only>
struct AreRanges<Only> : std::bool_constant<std::ranges::input_range<Only>> {};
template <class First, class... Rest>
struct AreRanges<First, Rest...>
    : std::bool_constant<std::ranges::input_range<First> && AreRanges<Rest...>::value> {};
template <std::ranges::input_range A, std::ranges::input_range B, std::ranges::input_range C,
          IsOptions Options>
struct AreRanges<A, B, C, Options> : std::true_type {};

template <class... Args>
concept RangesAndOptions = AreRanges<Args...>::value;

}  // namespace detail

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
  std::size_t size() const noexcept { return engine().size(); }
  /// What each worker is and has done: as it was a moment ago.
  std::vector<WorkerInfo> workers() const { return engine().workers(); }

  /// The same, added up.
  PoolStats stats() const {
    PoolStats all{.workers = size()};
    for (const WorkerInfo& worker : workers()) {
      all.busy += worker.is_busy ? 1 : 0;
      all.tasks += worker.tasks;
      all.restarts += worker.restarts;
    }
    return all;
  }

  /// f(x) for every x, in order: std::vector<R>, or nothing where R is void.
  template <class F, std::ranges::input_range Range>
  auto map(F&& f, Range&& xs, MapOptions options) {
    return zip<Keep::results>(std::forward<F>(f), options, std::forward<Range>(xs));
  }
  template <class F, class T>
  auto map(F&& f, std::initializer_list<T> xs, MapOptions options = {}) {
    return map(std::forward<F>(f), std::span<const T>(xs.begin(), xs.size()), options);
  }
  /// f(x, y, ...) over one or several ranges, and MapOptions last; the shortest range ends it.
  template <class F, class... Args>
  requires detail::RangesAndOptions<Args...>
  auto map(F&& f, Args&&... args) {
    return zip_any<Keep::results>(std::forward<F>(f), std::forward<Args>(args)...);
  }
  template <class F, std::ranges::input_range First, std::ranges::input_range Second>
  auto map(F&& f, First&& first, Second&& second, MapOptions options) {
    return zip<Keep::results>(std::forward<F>(f), options, std::forward<First>(first),
                              std::forward<Second>(second));
  }
  /// As map; each element is a tuple or pair that is spread over f's parameters.
  template <class F, std::ranges::input_range Range>
  auto starmap(F&& f, Range&& tuples, MapOptions options = {}) {
    auto task = launcher_.template run<Spread::yes, Keep::results>(
        std::forward<F>(f), options, std::tuple(launcher_.borrow(std::forward<Range>(tuples))));
    return launcher_.take_all(task);
  }
  /// As map, and every item is run, whatever becomes of the others: std::vector<Outcome<R>>.
  /// A pool that ends meanwhile leaves PoolClosed where there is no result.
  template <class F, std::ranges::input_range Range>
  auto try_map(F&& f, Range&& xs, MapOptions options) {
    return zip<Keep::outcomes>(std::forward<F>(f), options, std::forward<Range>(xs));
  }
  template <class F, class T>
  auto try_map(F&& f, std::initializer_list<T> xs, MapOptions options = {}) {
    return try_map(std::forward<F>(f), std::span<const T>(xs.begin(), xs.size()), options);
  }
  template <class F, std::ranges::input_range First, std::ranges::input_range Second>
  auto try_map(F&& f, First&& first, Second&& second, MapOptions options) {
    return zip<Keep::outcomes>(std::forward<F>(f), options, std::forward<First>(first),
                               std::forward<Second>(second));
  }
  template <class F, class... Args>
  requires detail::RangesAndOptions<Args...>
  auto try_map(F&& f, Args&&... args) {
    return zip_any<Keep::outcomes>(std::forward<F>(f), std::forward<Args>(args)...);
  }
  /// f(x) for every x, or f(x, y, ...) over several ranges.
  template <class F, std::ranges::input_range Range>
  void for_each(F&& f, Range&& xs, MapOptions options) {
    zip<Keep::nothing>(std::forward<F>(f), options, std::forward<Range>(xs));
  }
  template <class F, class T>
  void for_each(F&& f, std::initializer_list<T> xs, MapOptions options = {}) {
    for_each(std::forward<F>(f), std::span<const T>(xs.begin(), xs.size()), options);
  }
  template <class F, std::ranges::input_range First, std::ranges::input_range Second>
  void for_each(F&& f, First&& first, Second&& second, MapOptions options) {
    zip<Keep::nothing>(std::forward<F>(f), options, std::forward<First>(first),
                       std::forward<Second>(second));
  }
  template <class F, class... Args>
  requires detail::RangesAndOptions<Args...>
  void for_each(F&& f, Args&&... args) {
    zip_any<Keep::nothing>(std::forward<F>(f), std::forward<Args>(args)...);
  }
  /// f(i) for i in [0, n).
  template <class F>
  void for_index(std::size_t n, F&& f, MapOptions options = {}) {
    launcher_.template run<Spread::no, Keep::nothing>(
        std::forward<F>(f), options, std::tuple(detail::Held(engine(), detail::Indices{n})));
  }

  /// op over all elements, init first: T without reference and const. op is associative, and need
  /// not be commutative: elements are combined in groups of their order, and these in order. How
  /// they are grouped depends on their number alone, so a result repeats bit for bit on any pool.
  template <class Op, class T, std::ranges::input_range Range>
  std::decay_t<T> reduce(Op&& op, T&& init, Range&& xs) {
    return map_reduce(std::identity(), op, std::forward<T>(init), std::forward<Range>(xs));
  }
  template <class Op, class T, class X>
  std::decay_t<T> reduce(Op&& op, T&& init, std::initializer_list<X> xs) {
    return reduce(op, std::forward<T>(init), std::span<const X>(xs.begin(), xs.size()));
  }
  /// As reduce over the f(x).
  template <class F, class Op, class T, std::ranges::input_range Range>
  std::decay_t<T> map_reduce(F&& f, Op&& op, T&& init, Range&& xs) {
    using Result = std::decay_t<T>;
    return detail::reduce_groups<domain, std::decay_t<F>, std::decay_t<Op>, Result>(
        launcher_, f, op, std::forward<T>(init), launcher_.borrow(std::forward<Range>(xs)));
  }
  /// out[i] = f(in[i]), and no element is copied. Requires in a Pool: both ranges lie in shared
  /// memory (NotShareable). `in` may be `out`. Throws std::invalid_argument: `out` is shorter, or
  /// lies in a file that load_npy mapped.
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
    require_writable(to.data(), from.size() * sizeof(R));
    const auto begins_after = [](const auto& one, const auto& other) {
      return static_cast<const void*>(other.data() + other.size()) <= one.data();
    };
    const bool apart = begins_after(from, to) || begins_after(to, from);
    using Source = detail::Elements<T>;
    using P = detail::Payload<Spread::no, std::decay_t<F>, detail::InPlace<isolated, R>, Source>;
    const detail::JobSpec spec{.items = from.size(),
                               .chunk = options.chunk_size,
                               .may_rerun = !isolated || apart,
                               .time_limit = detail::item_limit(options)};
    auto task = launcher_.template launch<P>(
        std::forward<F>(f), detail::InPlace<isolated, R>{to.data()}, spec,
        std::tuple(Source{from.data(), from.size(), nullptr}), from.size());
    launcher_.wait(task);
  }

  /// f(args...) in one worker.
  template <class F, class... Args>
  auto apply(F&& f, Args&&... args) {
    auto task = launcher_.start_one(std::forward<F>(f), std::forward<Args>(args)...);
    launcher_.wait(task);
    return launcher_.take_one(task);
  }
  /// As apply, at once: AsyncResult<R>.
  template <class F, class... Args>
  auto apply_async(F&& f, Args&&... args) {
    return launcher_.pending_one(
        launcher_.start_one(std::forward<F>(f), std::forward<Args>(args)...));
  }
  /// As map, at once: AsyncResult<std::vector<R>>. The elements are copied, unless they lie in
  /// shared memory: those must stay as they are until the result is there.
  template <class F, std::ranges::input_range Range>
  auto map_async(F&& f, Range&& xs, MapOptions options = {}) {
    return launcher_.pending_all(launcher_.template start<Spread::no, Keep::results>(
        std::forward<F>(f), options, std::tuple(launcher_.copy(std::forward<Range>(xs)))));
  }
  template <class F, std::ranges::input_range Range>
  auto starmap_async(F&& f, Range&& tuples, MapOptions options = {}) {
    return launcher_.pending_all(launcher_.template start<Spread::yes, Keep::results>(
        std::forward<F>(f), options, std::tuple(launcher_.copy(std::forward<Range>(tuples)))));
  }

  /// f(x) for every x, in order, while the arguments are still being read: an input view, which
  /// reads xs as it is iterated. xs may be endless, and may be read only once; an lvalue must
  /// outlive the view. At most 2 * size() chunks of chunk_size items (0: 1) are under way.
  template <class F, std::ranges::input_range Range>
  auto imap(F&& f, Range&& xs, MapOptions options = {}) {
    return iterate(std::forward<F>(f), std::forward<Range>(xs), options, detail::Order::kept);
  }
  template <class F, class T>
  auto imap(F&& f, std::initializer_list<T> xs, MapOptions options = {}) {
    return imap(std::forward<F>(f), std::vector<T>(xs), options);
  }
  /// As imap, in the order in which chunks are done.
  template <class F, std::ranges::input_range Range>
  auto imap_unordered(F&& f, Range&& xs, MapOptions options = {}) {
    return iterate(std::forward<F>(f), std::forward<Range>(xs), options, detail::Order::of_arrival);
  }
  template <class F, class T>
  auto imap_unordered(F&& f, std::initializer_list<T> xs, MapOptions options = {}) {
    return imap_unordered(std::forward<F>(f), std::vector<T>(xs), options);
  }

  /// No further tasks; those handed in are run.
  void close() noexcept { engine().close(); }
  /// Ends the workers now; unfinished results fail with PoolClosed. Threads are waited for until
  /// the item that they run returns. The destructor does the same.
  void terminate() noexcept { engine().terminate(); }
  /// Waits until every task has run, then ends the workers. Throws Error before close().
  void join() { engine().join(); }

 protected:
  explicit BasicPool(const PoolOptions& options)
      : launcher_(std::make_shared<engine::Engine>(domain, detail::settings_of(options))) {
    engine().set_name(options.name);
    options.initializer.start(engine());
  }
  ~BasicPool() { engine().terminate(); }

 private:
  using Spread = detail::Spread;
  using Keep = detail::Keep;

  engine::Engine& engine() const noexcept { return launcher_.engine(); }

  template <Keep keep, class F, class... Ranges>
  auto zip(F&& f, MapOptions options, Ranges&&... ranges) {
    auto task = launcher_.template run<Spread::no, keep>(
        std::forward<F>(f), options, launcher_.borrow_all(std::forward<Ranges>(ranges)...));
    return launcher_.take_all(task);
  }
  template <Keep keep, class F, class... Args>
  auto zip_any(F&& f, Args&&... args) {
    constexpr std::size_t last = sizeof...(Args) - 1;
    auto all = std::forward_as_tuple(std::forward<Args>(args)...);
    using Last = std::tuple_element_t<last, decltype(all)>;
    constexpr bool has_options = std::is_same_v<std::remove_cvref_t<Last>, MapOptions>;
    return [&]<std::size_t... i>(std::index_sequence<i...>) {
      MapOptions options;
      if constexpr (has_options) options = std::get<last>(all);
      return zip<keep>(std::forward<F>(f), options, std::get<i>(std::move(all))...);
    }
    (std::make_index_sequence < has_options ? last : last + 1 > ());
  }
  template <class F, class Range>
  auto iterate(F&& f, Range&& xs, MapOptions options, detail::Order order) {
    using G = std::decay_t<F>;
    using State = detail::ImapState<domain, G, std::views::all_t<Range>>;
    static_assert(std::is_copy_constructible_v<G>,
                  "imap hands its callable to every chunk: it must be possible to copy it");
    engine().require_open();
    if constexpr (isolated) {
      detail::require_no_reference_captures<G>();
      const detail::CheckedFor checked(engine().workers_are_images());
      detail::check_shareable(f, "the callable");
    }
    return ImapView<State>(std::make_unique<State>(
        launcher_, std::forward<F>(f), std::views::all(std::forward<Range>(xs)), options, order));
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

  static void require_writable(const void* out, std::size_t bytes) {
    if (!shm::is_read_only(out, bytes)) return;
    throw std::invalid_argument(
        "map_into: out lies in a file that load_npy mapped, which can only be read; give it a "
        "procyon::Array of its own, or the copy that the file's array makes: data.clone()");
  }

  detail::Launcher<domain> launcher_;
};

}  // namespace procyon
