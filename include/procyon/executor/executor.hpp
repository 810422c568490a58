// What Pool, ThreadPool and SerialPool have in common.
#pragma once

#include <concepts>
#include <cstddef>

namespace procyon {

/// A place where independent tasks run: `for_index(n, f)` calls f(i) for every i in [0, n) and
/// returns when all have run. `isolated`: f runs in other processes, and can refer to shared
/// memory only. All of them offer the members of BasicPool, so one can be put for another.
template <class E>
concept Executor = requires(E& executor, void (*f)(std::size_t)) {
  executor.for_index(std::size_t{}, f);
  { executor.size() } -> std::convertible_to<std::size_t>;
  {std::bool_constant<E::isolated>{}};
};

}  // namespace procyon
