// What may be handed to another process: checked when it is compiled where that is possible, and
// otherwise word by word when it is handed over.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
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

/// Before the pointer in an Inherited; as an address it would be none of a user's.
constexpr std::uint64_t inherited_mark = 0xf6d3'8e1b'97c2'a54e;

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

// __builtin_clear_padding is g++'s; what clang leaves in padding is seldom an address.
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define PROCYON_CLEAR_PADDING 1
#endif
#endif

/// While it lives, what this thread checks is meant for workers that are images of this process,
/// or not: then addresses of code and of constants mean something else to them.
class CheckedFor {
 public:
  explicit CheckedFor(bool images) noexcept;
  ~CheckedFor();
  CheckedFor(const CheckedFor&) = delete;
  CheckedFor& operator=(const CheckedFor&) = delete;
  static bool images() noexcept;  ///< true where no CheckedFor lives

 private:
  bool before_;
};

/// Throws NotShareable when a word of the object is an address of memory that other processes do
/// not see: it names the offset, the kind of memory and the cure. Shared memory is the same in
/// every worker, and where they are `images` of this process so are code and constants.
///
/// What is no address and yet has the bits of one that is in use, by chance, is refused too: a
/// double, a hash or an integer in a type that is not address_free because of some other member,
/// or because it holds a union, and so a std::optional, of which an empty one has any bits (with
/// clang also a bit-field or a std::complex). Nothing in a type that is address_free is ever
/// looked at.
void check_words(const void* object, std::size_t size, const char* what, bool images);

template <class T>
void check_shareable(const T& object, const char* what) {
  if constexpr (!address_free<T> && !is_trusted<T> && !std::is_empty_v<T> &&
                !std::is_function_v<std::remove_pointer_t<T>>) {
#ifdef PROCYON_CLEAR_PADDING
    constexpr std::size_t small = 4096;
    constexpr bool is_trivial =
        std::is_trivially_copy_constructible_v<T> && std::is_trivially_destructible_v<T>;
    if constexpr (is_trivial && !std::is_array_v<T> && sizeof(T) <= small) {
      T copy(object);
      __builtin_clear_padding(&copy);
      return check_words(&copy, sizeof copy, what, CheckedFor::images());
    }
#endif
    check_words(std::addressof(object), sizeof object, what, CheckedFor::images());
  }
}

}  // namespace detail

/// A pointer to memory that existed when the Pool was made: the workers of a Pool that starts them
/// by `fork` have a copy of it, as it was then. Captured or passed like the pointer itself. Pools
/// with another start method refuse it with NotShareable.
template <class T>
class Inherited {
 public:
  explicit Inherited(T* pointer) noexcept : hidden_(flip(pointer)) {}
  T* get() const noexcept { return flip(hidden_); }
  T* operator->() const noexcept { return get(); }
  T& operator*() const noexcept { return *get(); }
  operator T*() const noexcept { return get(); }  // NOLINT(google-explicit-constructor)

 private:
  // With all its bits turned over it is no address to the check, which knows it by the mark.
  static T* flip(T* pointer) noexcept {
    return reinterpret_cast<T*>(~reinterpret_cast<std::uintptr_t>(pointer));
  }
  std::uint64_t mark_ = detail::inherited_mark;
  T* hidden_;
};
template <class T>
Inherited<T> inherited(T* pointer) noexcept {
  return Inherited<T>(pointer);
}

}  // namespace procyon
