// Exceptions of a user's own type that leave a worker process as what they are.
#pragma once

#include <procyon/engine/exception_type.hpp>
#include <procyon/executor/codec.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>

/// Makes exceptions of this type catchable as this type in the caller of a Pool, with the same
/// what(). At namespace scope, where the type is declared; in a header once for all that include
/// it.
///
/// Requires: a class that is not final, and is serialisable by cereal, or copyable, or can be made
/// from a std::string. The first of these that it offers is used. A copy takes with it what the
/// members hold but no private memory of the worker: a type whose members refer to such memory (a
/// long std::string, a vector) is made from its text alone where it can be, and arrives as
/// RemoteError where it cannot, or where copying or serialising throws. Types derived from it are
/// not registered with it. All processes of the program must have the same registrations.
#define PROCYON_EXCEPTION(...)                                                       \
  [[maybe_unused]] static const bool PROCYON_JOIN(procyon_exception_, __COUNTER__) = \
      ::procyon::detail::register_exception<__VA_ARGS__>(__BASE_FILE__);
#define PROCYON_JOIN(a, b) PROCYON_JOIN_EXPANDED(a, b)
#define PROCYON_JOIN_EXPANDED(a, b) a##b

namespace procyon::detail {

using engine::ExceptionSpace;
using engine::ReceivedException;

/// How an exception's data are written; the first byte of them.
enum class ExceptionForm : unsigned char { text, copy, serialised };

/// Of an exception that was copied into shared memory: the object, then a mark for each of its
/// words, then the text of its base class, which is private to the worker and made anew.
struct CopiedException {
  ExceptionForm form;
  std::uint64_t home;  ///< where the type's registration lies, in the process that `object` fits
  std::uint64_t text_size;
};

/// Sets a mark for each word of the object, and for the word at `skip` none: how it is to be
/// changed for a process whose modules lie elsewhere. False: a word is an address of private
/// memory. Addresses in the object itself are the same for all.
bool mark_words(const void* object, std::size_t size, const void* skip, const void* home,
                unsigned char* marks);
/// Makes the object fit for a process where `copied.home` is at `home`. False: it cannot be.
bool relocate_words(void* object, std::size_t size, CopiedException& copied, const void* home,
                    const unsigned char* marks) noexcept;

/// The standard class from which E has its text; void: none, or several.
template <class E>
using TextBase =
    std::conditional_t<std::is_convertible_v<E*, std::runtime_error*> &&
                           !std::is_convertible_v<E*, std::logic_error*>,
                       std::runtime_error,
                       std::conditional_t<std::is_convertible_v<E*, std::logic_error*> &&
                                              !std::is_convertible_v<E*, std::runtime_error*>,
                                          std::logic_error, void>>;

/// The text of an exception's base class, while the exception is in the hands of two processes:
/// taken out by one, put in and taken out again by the other. The text's memory is private.
template <class Base>
class BaseText {
 public:
  template <class E>
  explicit BaseText(E& exception) : base_(&exception) {}
  const char* get() const noexcept { return base_->Base::what(); }
  void put(const std::string& text) {
    const Keep keep(base_);
    ::new (static_cast<void*>(base_)) Base(text);
  }
  /// Requires: neither taken out nor private to another process.
  void set(const std::string& text) { base_->Base::operator=(Base(text)); }
  void take() noexcept {
    const Keep keep(base_);
    base_->Base::~Base();
  }
  const void* word() const noexcept { return reinterpret_cast<const std::uintptr_t*>(base_) + 1; }

 private:
  // The pointer to the virtual functions, which is the complete object's.
  struct Keep {
    explicit Keep(void* at) noexcept : where(at) { std::memcpy(&word, at, sizeof word); }
    ~Keep() { std::memcpy(where, &word, sizeof word); }
    Keep(const Keep&) = delete;
    Keep& operator=(const Keep&) = delete;
    void* where;
    std::uintptr_t word = 0;
  };
  static_assert(sizeof(Base) == 2 * sizeof(std::uintptr_t));
  Base* base_;
};
template <>
class BaseText<void> {
 public:
  template <class E>
  explicit BaseText(E&) {}
  static const char* get() noexcept { return ""; }
  static void put(const std::string&) noexcept {}
  static void set(const std::string&) noexcept {}
  static void take() noexcept {}
  static const void* word() noexcept { return nullptr; }
};

template <class E>
struct __attribute__((visibility("hidden"))) RegisteredException {
  static constexpr bool by_copy = std::is_copy_constructible_v<E> && sizeof(E) < (1 << 16);
  static constexpr bool by_text = std::is_constructible_v<E, const std::string&>;
  static_assert(std::is_class_v<E> && !std::is_final_v<E>,
                "PROCYON_EXCEPTION: what is thrown to the caller is derived from this type: make "
                "it a class that is not final");
  static_assert(is_serialisable<E> || std::is_copy_constructible_v<E> || by_text,
                "PROCYON_EXCEPTION: make this type copyable, or give it a serialize() member and a "
                "default constructor");

  static constexpr std::size_t object_offset = 64;
  static_assert(alignof(E) <= object_offset && sizeof(CopiedException) <= object_offset);
  static constexpr std::size_t marks_offset = object_offset + sizeof(E);
  static constexpr std::size_t text_offset = marks_offset + sizeof(E) / sizeof(std::uintptr_t);

  static void encode(ExceptionSpace& space) {
    try {
      throw;
    } catch (const E& error) {
      if constexpr (is_serialisable<E>) {
        std::string bytes(1, static_cast<char>(ExceptionForm::serialised));
        const std::string text = BaseText<TextBase<E>>(const_cast<E&>(error)).get();
        const std::uint64_t size = text.size();
        bytes.append(reinterpret_cast<const char*>(&size), sizeof size).append(text);
        detail::encode<E>(error, bytes);
        std::memcpy(space.allocate(bytes.size()), bytes.data(), bytes.size());
      } else if constexpr (by_copy) {
        encode_copy(error, space);
      } else {
        *static_cast<ExceptionForm*>(space.allocate(1)) = ExceptionForm::text;
      }
    }
  }

  // Copied where it stays, since a short string points into itself.
  static void encode_copy(const E& error, ExceptionSpace& space) {
    const std::string text = BaseText<TextBase<E>>(const_cast<E&>(error)).get();
    auto* data = static_cast<unsigned char*>(space.allocate(text_offset + text.size()));
    E* object = ::new (data + object_offset) E(error);
    BaseText<TextBase<E>> base(*object);
    if (!mark_words(object, sizeof(E), base.word(), &type(), data + marks_offset)) {
      object->~E();
      if (!by_text) throw NotShareable("the exception refers to memory of the worker");
      ::new (data) CopiedException{ExceptionForm::text, 0, 0};
      return;
    }
    base.take();
    std::memcpy(data + text_offset, text.data(), text.size());
    ::new (data) CopiedException{ExceptionForm::copy, reinterpret_cast<std::uintptr_t>(&type()),
                                 text.size()};
  }

  static void raise(const ReceivedException& in) {
    auto* data = static_cast<unsigned char*>(in.data);
    const auto form = in.size == 0 ? ExceptionForm::text : static_cast<ExceptionForm>(*data);
    if constexpr (is_serialisable<E>) {
      if (form == ExceptionForm::serialised) raise_serialised(in);
    } else if constexpr (by_copy) {
      if (form == ExceptionForm::copy) raise_copied(in);
    }
    if constexpr (by_text) {
      if (form == ExceptionForm::text) throw_with_text(in, std::string(in.text));
    }
    engine::raise_remote_error(in);
  }

  static void raise_serialised(const ReceivedException& in) {
    const char* bytes = static_cast<const char*>(in.data) + 1;
    std::uint64_t text_size = 0;
    std::memcpy(&text_size, bytes, sizeof text_size);
    const std::string text(bytes + sizeof text_size, text_size);
    const std::size_t before = 1 + sizeof text_size + text_size;
    std::optional<E> error;
    try {
      error.emplace(decode<E>(static_cast<const char*>(in.data) + before, in.size - before));
      BaseText<TextBase<E>>(*error).set(text);
    } catch (...) {
      engine::raise_remote_error(in);
    }
    throw_with_text(in, std::move(*error));
  }

  static void raise_copied(const ReceivedException& in) {
    auto* data = static_cast<unsigned char*>(in.data);
    auto& copied = *std::launder(reinterpret_cast<CopiedException*>(data));
    if (!relocate_words(data + object_offset, sizeof(E), copied, &type(), data + marks_offset)) {
      engine::raise_remote_error(in);
    }
    auto& object = *std::launder(reinterpret_cast<E*>(data + object_offset));
    BaseText<TextBase<E>> base(object);
    base.put({reinterpret_cast<const char*>(data) + text_offset, copied.text_size});
    const std::unique_ptr<BaseText<TextBase<E>>, void (*)(BaseText<TextBase<E>>*)> taken(
        &base, [](auto* text) { text->take(); });
    throw_copy(in.place, object);
    engine::raise_remote_error(in);
  }

  // The text is given anew where the type makes its own.
  template <class Arg>
  [[noreturn]] static void throw_with_text(const ReceivedException& in, Arg&& arg) {
    if constexpr (std::is_base_of_v<std::exception, E>) {
      throw engine::PlacedWithText<E>(in.place, in.text, std::forward<Arg>(arg));
    } else {
      throw engine::Placed<E>(in.place, std::forward<Arg>(arg));
    }
  }

  // Returns where copying throws.
  static void throw_copy(const Where& place, const E& error) {
    try {
      throw engine::Placed<E>(place, error);
    } catch (const engine::Placed<E>&) {
      throw;
    } catch (...) {
      return;
    }
  }

  static void raise_copy(const Where& place) {
    if constexpr (std::is_copy_constructible_v<E>) {
      try {
        throw;
      } catch (const E& error) {
        throw_copy(place, error);
      }
    }
  }

  static const std::type_info* placed_with_text() {
    if constexpr (std::is_base_of_v<std::exception, E>) return &typeid(engine::PlacedWithText<E>);
    return &typeid(engine::Placed<E>);
  }

  static engine::ExceptionType& type() {
    static engine::ExceptionType instance{
        {},      &typeid(E), {&typeid(engine::Placed<E>), placed_with_text()},
        &encode, &raise,     &raise_copy};
    return instance;
  }
};

template <class E>
__attribute__((visibility("hidden"))) bool register_exception(const char* file) {
  engine::ExceptionType& type = RegisteredException<E>::type();
  static const bool named = (type.name = engine::exception_name(typeid(E), file), true);
  static const engine::ExceptionRegistration registration(type);
  return named;
}

}  // namespace procyon::detail
