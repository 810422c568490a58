// A sink for jobs that keep going: beside each result, whether there is one.
#pragma once

#include <procyon/executor/outcome.hpp>
#include <procyon/executor/transfer.hpp>

#include <atomic>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

namespace procyon::detail {

template <class Inner>
struct Tried {
  Inner inner;
  unsigned char* ran;  // a byte an item: 1, its result is there

  Tried(Engine& engine, std::uint64_t count) : inner(engine, count), ran(nullptr) {
    try {
      ran = static_cast<unsigned char*>(engine.allocate(count + 1));
    } catch (...) {
      inner.clear(engine, count);
      throw;
    }
    std::memset(ran, 0, count + 1);
  }

  template <class... Value>
  void put(std::uint64_t i, engine::Cursor& cursor, Value&&... value) {
    inner.put(i, cursor, std::forward<Value>(value)...);
    // Release: who sees the byte sees the result.
    std::atomic_ref(ran[i]).store(1, std::memory_order_release);
  }

  template <class R>
  Outcome<R> take_one(std::uint64_t i) {
    try {
      if constexpr (std::is_void_v<R>) {
        return Outcome<R>(std::in_place);
      } else {
        return Outcome<R>(std::in_place, inner.take(i));
      }
    } catch (...) {
      return Outcome<R>(std::current_exception());  // it could not be decoded
    }
  }

  /// Requires: the job, which is this sink's, has finished.
  template <class R>
  std::vector<Outcome<R>> take_outcomes(Engine& engine, const engine::Job* job,
                                        std::uint64_t count) {
    std::vector<Outcome<R>> outcomes;
    if (count == 0) return outcomes;
    outcomes.reserve(count);
    std::vector<std::exception_ptr> errors = engine.errors(job, ran);
    for (std::uint64_t i = 0; i < count; ++i) {
      if (errors[i] == nullptr) {
        outcomes.push_back(take_one<R>(i));
      } else {
        outcomes.emplace_back(std::move(errors[i]));
      }
    }
    return outcomes;
  }

  void clear(Engine& engine, std::uint64_t count) noexcept {
    inner.clear(engine, count);
    engine.deallocate(ran);
  }
};

template <>
inline constexpr bool drops_results<Tried<NoResults>> = true;

}  // namespace procyon::detail
