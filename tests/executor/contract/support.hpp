// What the parts of the contract share.
#pragma once

#include <procyon/procyon.hpp>

#include <cstddef>
#include <cstdlib>
#include <numeric>
#include <string_view>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "sanitized.hpp"

namespace contract {

/// A pool of so many workers; a SerialPool is one.
template <class P>
P make_pool(std::size_t workers = 3) {
  return P(workers);
}

/// Whether processes are copies of this one as it is when their pool is made.
inline bool forks() {
  const char* method = std::getenv("PROCYON_START_METHOD");
  return method == nullptr || std::string_view(method) == "fork";
}

/// Whether each worker is this executable started afresh.
inline bool starts_afresh() {
  const char* method = std::getenv("PROCYON_START_METHOD");
  return method != nullptr && std::string_view(method) == "spawn";
}

/// first, first + 1, ...
inline std::vector<int> count_from(int first, std::size_t count) {
  std::vector<int> numbers(count);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

/// What `call` throws, as E; a failed assertion where it throws nothing, and whatever it throws
/// where that is not an E.
template <class E, class F>
E caught(F&& call) {
  try {
    call();
  } catch (const E& error) {
    return error;
  }
  FAIL("nothing was thrown");
  throw 0;
}

}  // namespace contract
