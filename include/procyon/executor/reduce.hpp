// A job that combines elements: each of its chunks gives one value.
#pragma once

#include <procyon/executor/launcher.hpp>

#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>

namespace procyon::detail {

template <class F, class Op>
struct Combining {
  Stored<F> f;
  Stored<Op> op;
  std::uint64_t length;  // elements in a group, which is a chunk of the job
};

/// op over the f(x) of each group, left to right. Every element is announced, so that a failure
/// names it; a group is never run twice.
template <class T, class F, class Op, class Sink, class Source>
struct __attribute__((visibility("hidden"))) Reduction {
  using Result = T;
  Combining<F, Op> f;
  std::tuple<Source> sources;
  Sink sink;
  std::uint64_t count;
  bool images = true;  ///< as Payload's

  void add(std::optional<T>& sum, std::uint64_t i, const F& callable, const Op& op) const {
    using Value = typename Source::Value;
    auto value =
        static_cast<T>(Call<Spread::no, F, Value>::call(callable, std::get<0>(sources).get(i)));
    if (sum) {
      auto next = static_cast<T>(call_task<T, T>(op, std::move(*sum), std::move(value)));
      sum.emplace(std::move(next));
    } else {
      sum.emplace(std::move(value));
    }
  }

  static void run(void* payload, Cursor& cursor) {
    auto& self = *static_cast<Reduction*>(payload);
    const CheckedFor checked(self.images);
    const F& callable = callable_in(self.f.f, cursor);
    const Op& op = callable_in(self.f.op, cursor);
    std::optional<T> sum;
    std::uint64_t i = cursor.begin();
    try {
      for (; i < cursor.end(); ++i) {
        if (cursor.announce(i) == i) return;
        self.add(sum, i, callable, op);
      }
      self.sink.put(cursor.begin() / self.f.length, cursor, std::move(sum).value());
    } catch (...) {
      cursor.fail(std::min(i, cursor.end() - 1));
    }
  }

  static void destroy(Engine& engine, void* payload) {
    auto& self = *static_cast<Reduction*>(payload);
    std::get<0>(self.sources).clear(engine);
    self.sink.clear(engine, self.count);
    std::destroy_at(&self);
  }

  static constexpr void require_callable() {
    require_no_reference_captures<F>();
    require_no_reference_captures<Op>();
  }
  void check_callable() const {
    check_shareable(f.f, "the callable");
    check_shareable(f.op, "the operation");
  }
  std::array<engine::CodeToken, 2> functions() const noexcept {
    return {function_of(f.f), function_of(f.op)};
  }

  static inline const engine::JobType record{engine::JobType::valid, &Reduction::run};

  static engine::CodeToken code() {
    static const engine::CodeToken token = engine::register_code(__ehdr_start, &record);
    return token;
  }
};

/// Elements in a group: as many as there are groups, so that what is combined at the end is short
/// for any number of workers. It must not depend on anything else.
inline std::uint64_t group_length(std::uint64_t elements) {
  auto length = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(elements)));
  while (length * length < elements) ++length;
  return std::max<std::uint64_t>(length, 1);
}

template <class T, engine::Domain domain, class F, class Op, class Source>
auto start_reduction(const Launcher<domain>& launcher, const F& f, const Op& op,
                     Held<Source> source, std::uint64_t length) {
  using Sink = typename SinkFor<Launcher<domain>::isolated, T>::type;
  using P = Reduction<T, F, Op, Sink, Source>;
  const std::uint64_t elements = (*source).count;
  const std::uint64_t groups = (elements + length - 1) / length;
  const Sink sink(launcher.engine(), groups);
  return launcher.template launch<P>(
      Combining<F, Op>{f, op, length}, sink,
      JobSpec{.items = elements, .chunk = length, .whole_chunks = true},
      std::tuple(source.release()), groups);
}

/// op(...op(op(init, g0), g1)..., gn) over the values of the groups of f(x).
template <engine::Domain domain, class F, class Op, class T, class Source>
T reduce_groups(const Launcher<domain>& launcher, const F& f, const Op& op, T init,
                Held<Source> source) {
  constexpr bool isolated = Launcher<domain>::isolated;
  if constexpr (isolated) require_transferable<T>();
  launcher.engine().require_open();
  if ((*source).count == 0) return init;
  std::deque<T> values;
  values.push_back(std::move(init));
  {
    const std::uint64_t length = group_length((*source).count);
    auto groups = start_reduction<T>(launcher, f, op, std::move(source), length);
    launcher.wait(groups);
    for (std::uint64_t i = 0; i < groups.payload().count; ++i) {
      values.push_back(groups.payload().sink.take(i));
    }
  }
  Held all(launcher.engine(), make_source_of<isolated>(launcher.engine(), values));
  auto sum = start_reduction<T>(launcher, std::identity(), op, std::move(all), values.size());
  launcher.wait(sum);
  return sum.payload().sink.take(0);
}

}  // namespace procyon::detail
