// Functions as callables: their address is this process's, so they travel by module and offset.
#pragma once

#include <procyon/engine/job.hpp>

#include <cstring>
#include <type_traits>

namespace procyon::detail {

template <class F>
constexpr bool is_function_pointer =
    std::is_pointer_v<F>&& std::is_function_v<std::remove_pointer_t<F>>;

/// Pointers to functions and to member functions.
template <class F>
constexpr bool names_code = is_function_pointer<F> || std::is_member_function_pointer_v<F>;

/// Such a pointer, in a job. Source of the layout of pointers to members: the Itanium C++ ABI, 2.3.
template <class F>
class FunctionCode {
 public:
  FunctionCode(F function) : words_{} {  // NOLINT(google-explicit-constructor)
    std::memcpy(words_, &function, sizeof function);
    is_token_ = holds_address();
    if (is_token_) words_[0] = engine::register_function(words_[0]);
  }

  /// The pointer in this process. Throws NotShareable where it does not have the function.
  template <class Finder>
  F resolve(const Finder& finder) const {
    std::uintptr_t words[word_count];
    std::memcpy(words, words_, sizeof words);
    if (is_token_) words[0] = finder.find_function(words_[0]);
    F function;
    std::memcpy(&function, words, sizeof function);
    return function;
  }

  /// 0: it is a virtual member function, which every process finds by itself.
  engine::CodeToken token() const noexcept { return is_token_ ? words_[0] : 0; }

 private:
  static constexpr std::size_t word_count = sizeof(F) / sizeof(std::uintptr_t);

  // Of a virtual member function the first word is an offset, which means the same everywhere.
  bool holds_address() const noexcept {
    if constexpr (is_function_pointer<F>) {
      return true;
    } else {
#if defined(__aarch64__)
      return (words_[1] & 1) == 0;
#else
      return (words_[0] & 1) == 0;
#endif
    }
  }

  std::uintptr_t words_[word_count];
  bool is_token_;
};

template <class F>
using Stored = std::conditional_t<names_code<F>, FunctionCode<F>, F>;

template <class F>
engine::CodeToken function_of(const F&) noexcept {
  return 0;
}
template <class F>
engine::CodeToken function_of(const FunctionCode<F>& stored) noexcept {
  return stored.token();
}

template <class F, class Finder>
const F& callable_in(const F& stored, const Finder&) {
  return stored;
}
template <class F, class Finder>
F callable_in(const FunctionCode<F>& stored, const Finder& finder) {
  return stored.resolve(finder);
}

}  // namespace procyon::detail
