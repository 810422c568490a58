// What may be handed to another process: checked when it is compiled where that is possible, and
// otherwise word by word when it is handed over.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace procyon {

/// Says that a callable whose type looks as if it captured by reference does not: it holds a
/// std::tuple, say. Its content is still checked when it is handed over.
template <class F>
struct ByValue {
  F f;
  template <class... Args>
  decltype(auto) operator()(Args&&... args) const {
    return f(std::forward<Args>(args)...);
  }
};
template <class F>
ByValue<std::decay_t<F>> by_value(F&& f) {
  return {std::forward<F>(f)};
}

/// Says that every address in a callable means the same in the workers. Nothing is checked.
template <class F>
struct Trusted {
  F f;
  template <class... Args>
  decltype(auto) operator()(Args&&... args) const {
    return f(std::forward<Args>(args)...);
  }
};
template <class F>
Trusted<std::decay_t<F>> trusted(F&& f) {
  return {std::forward<F>(f)};
}

namespace detail {

template <class T>
constexpr auto bit_castable(int)
    -> std::bool_constant<(void(std::bit_cast<T>(std::array<unsigned char, sizeof(T)>{})), true)> {
  return {};
}
template <class T>
constexpr std::false_type bit_castable(...) {
  return {};
}

// A type that can be made of bytes in a constant expression holds no pointer and no reference.
template <class T>
struct AddressFree {
  static constexpr bool value = [] {
    if constexpr (std::is_trivially_copyable_v<T>) {
      return decltype(bit_castable<T>(0))::value;
    } else {
      return false;
    }
  }();
};
template <class A, class B>
struct AddressFree<std::pair<A, B>> {
  static constexpr bool value = AddressFree<A>::value && AddressFree<B>::value;
};
template <class... Ts>
struct AddressFree<std::tuple<Ts...>> {
  static constexpr bool value = (AddressFree<Ts>::value && ...);
};
template <class T, std::size_t n>
struct AddressFree<std::array<T, n>> : AddressFree<T> {};
template <class T>
struct AddressFree<std::optional<T>> : AddressFree<T> {};
template <class T>
constexpr bool address_free = AddressFree<std::remove_cv_t<T>>::value;

template <class T>
constexpr bool is_by_value = false;
template <class F>
constexpr bool is_by_value<ByValue<F>> = true;
template <class F>
constexpr bool is_by_value<Trusted<F>> = true;
template <class T>
constexpr bool is_trusted = false;
template <class F>
constexpr bool is_trusted<Trusted<F>> = true;

// A member that is a reference takes standard layout from a closure and leaves it trivially
// copyable; so do std::tuple and base classes with members, hence by_value().
template <class F>
constexpr bool may_hold_reference =
    std::is_class_v<F>&& std::is_trivially_copyable_v<F> && !std::is_standard_layout_v<F> &&
    !address_free<F> && !is_by_value<F>;

/// Zeroes memory in which an object is about to be made, so that its padding holds no addresses.
inline void clear_memory(void* memory, std::size_t size) {
  std::memset(memory, 0, size);
  asm volatile("" : : "r"(memory) : "memory");  // a store before an object's life is no dead one
}

/// Throws NotShareable when a word of the object is an address of memory that other processes do
/// not see: it names the offset, the kind of memory and the cure. Addresses of code and of
/// constants are the same in every worker, and so is shared memory.
void check_words(const void* object, std::size_t size, const char* what);

template <class T>
void check_shareable(const T& object, const char* what) {
  if constexpr (!address_free<T> && !is_trusted<T> && !std::is_empty_v<T> &&
                !std::is_function_v<std::remove_pointer_t<T>>) {
    check_words(&object, sizeof object, what);
  }
}

}  // namespace detail
}  // namespace procyon
