// What became of one item of a try_map.
#pragma once

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace procyon {
namespace detail {

// void has no values to keep.
template <class R>
using Kept = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

}  // namespace detail

/// A result or the exception that stands in its place. R may be void.
template <class R>
class Outcome {
 public:
  /// Requires: the pointer is not null.
  explicit Outcome(std::exception_ptr error) noexcept : error_(std::move(error)) {}
  template <class... Args>
  explicit Outcome(std::in_place_t, Args&&... args)
      : value_(std::in_place, std::forward<Args>(args)...) {}

  bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }

  /// The result, or throws the error.
  std::add_lvalue_reference_t<const R> value() const& {
    rethrow();
    if constexpr (!std::is_void_v<R>) return *value_;
  }
  std::add_lvalue_reference_t<R> value() & {
    rethrow();
    if constexpr (!std::is_void_v<R>) return *value_;
  }
  std::add_rvalue_reference_t<R> value() && {
    rethrow();
    if constexpr (!std::is_void_v<R>) return *std::move(value_);
  }

  /// Null where there is a result.
  std::exception_ptr error() const noexcept { return error_; }

 private:
  void rethrow() const {
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

  std::optional<detail::Kept<R>> value_;
  std::exception_ptr error_;
};

}  // namespace procyon
