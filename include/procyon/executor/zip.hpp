// Several ranges side by side: the shortest ends them all.
#pragma once

#include <procyon/executor/transfer.hpp>

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace procyon::detail {

/// A range itself, or the elements of one that does not know how many they are.
template <class Range>
using Settled = std::conditional_t<knows_its_length<Range> || is_endless<Range>, Range&&,
                                   std::vector<std::ranges::range_value_t<Range>>>;

template <class Range>
Settled<Range> settle(Range&& range) {
  if constexpr (std::is_reference_v<Settled<Range>>) {
    return std::forward<Range>(range);
  } else {
    return gather(range, any_number);
  }
}

template <class Range>
std::uint64_t length_of(Range& range) {
  if constexpr (is_endless<Range>) {
    return any_number;
  } else {
    const auto size = std::ranges::size(range);
    if constexpr (sizeof size > sizeof(std::uint64_t)) {
      using Size = std::remove_const_t<decltype(size)>;
      return static_cast<std::uint64_t>(std::min(size, static_cast<Size>(any_number)));
    } else {
      return size;
    }
  }
}

template <bool isolated, bool borrow, class Range>
auto hold_source(Engine& engine, auto& settled, std::uint64_t most) {
  constexpr bool stays = borrow && std::is_reference_v<Settled<Range>>;
  return Held(engine,
              make_source<isolated, stays>(engine, std::forward<Settled<Range>>(settled), most));
}

/// A source for each of the ranges, of as many elements as the shortest has. Throws
/// std::invalid_argument: none of them has an end, or all have too many elements.
template <bool isolated, bool borrow, class... Ranges>
auto make_sources(Engine& engine, Ranges&&... ranges) {
  std::tuple<Settled<Ranges>...> settled(settle(std::forward<Ranges>(ranges))...);
  return std::apply(
      [&](auto&... each) {
        const std::uint64_t most = std::min({any_number, length_of(each)...});
        return std::tuple{hold_source<isolated, borrow, Ranges>(engine, each, most)...};
      },
      settled);
}

}  // namespace procyon::detail
