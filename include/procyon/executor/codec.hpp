// How arguments and results travel: as bytes or as handles where that is right, through cereal
// otherwise.
#pragma once

#include <cereal/archives/binary.hpp>
#include <cereal/cereal.hpp>
#include <cereal/types/array.hpp>
#include <cereal/types/complex.hpp>
#include <cereal/types/deque.hpp>
#include <cereal/types/list.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/set.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/tuple.hpp>
#include <cereal/types/unordered_map.hpp>
#include <cereal/types/unordered_set.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>

#include <procyon/base/errors.hpp>
#include <procyon/executor/shareable.hpp>
#include <procyon/shm/array.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <streambuf>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace procyon {

/// Types that are copied between processes as bytes. May be specialised for a type of which that
/// is true although it is not trivially copyable.
template <class T>
struct is_bytewise : std::is_trivially_copyable<T> {};
template <class A, class B>
struct is_bytewise<std::pair<A, B>> : std::conjunction<is_bytewise<A>, is_bytewise<B>> {};
template <class... Ts>
struct is_bytewise<std::tuple<Ts...>> : std::conjunction<is_bytewise<Ts>...> {};
template <class T, std::size_t n>
struct is_bytewise<std::array<T, n>> : is_bytewise<T> {};
template <class T>
struct is_bytewise<std::optional<T>> : is_bytewise<T> {};
template <class T>
constexpr bool is_bytewise_v = is_bytewise<std::remove_cv_t<T>>::value;

namespace detail {

/// Types whose objects may lie in shared memory as they are: bytewise ones, handles, and pairs,
/// tuples, arrays and optionals of them.
template <class T>
struct IsPlaced : is_bytewise<T> {};
template <class T>
struct IsPlaced<Array<T>> : std::true_type {};
template <class T>
struct IsPlaced<RawArray<T>> : std::true_type {};
template <class A, class B>
struct IsPlaced<std::pair<A, B>> : std::conjunction<IsPlaced<A>, IsPlaced<B>> {};
template <class... Ts>
struct IsPlaced<std::tuple<Ts...>> : std::conjunction<IsPlaced<Ts>...> {};
template <class T, std::size_t n>
struct IsPlaced<std::array<T, n>> : IsPlaced<T> {};
template <class T>
struct IsPlaced<std::optional<T>> : IsPlaced<T> {};
template <class T>
constexpr bool is_placed = IsPlaced<std::remove_cv_t<T>>::value;

// What cereal is told about in ways other than a free save() and load().
template <class T, class Archive>
constexpr bool has_serialisation_of_its_own =
    cereal::traits::has_member_serialize<T, Archive>::value ||
    cereal::traits::has_member_save<T, Archive>::value ||
    cereal::traits::has_member_load<T, Archive>::value ||
    cereal::traits::has_member_save_minimal<T, Archive>::value ||
    cereal::traits::has_non_member_serialize<T, Archive>::value ||
    cereal::traits::has_non_member_save_minimal<T, Archive>::value;

/// Bytewise classes that cereal knows nothing of, as parts of what it does know: the elements of a
/// vector, say. A free save() and load() of the user's are more specialised than ours.
template <class T>
concept BytewiseInside = std::is_class_v<T> && is_bytewise_v<T> &&
                         !has_serialisation_of_its_own<T, cereal::BinaryOutputArchive> &&
                         !has_serialisation_of_its_own<T, cereal::BinaryInputArchive>;

}  // namespace detail
}  // namespace procyon

namespace cereal {

template <class Archive, procyon::detail::BytewiseInside T>
requires std::same_as<Archive, BinaryOutputArchive>
void CEREAL_SAVE_FUNCTION_NAME(Archive& archive, const T& value) {
  procyon::detail::check_shareable(value, "a part of an argument or result");
  archive.saveBinary(std::addressof(value), sizeof value);
}
template <class Archive, procyon::detail::BytewiseInside T>
requires std::same_as<Archive, BinaryInputArchive>
void CEREAL_LOAD_FUNCTION_NAME(Archive& archive, T& value) {
  archive.loadBinary(std::addressof(value), sizeof value);
}

}  // namespace cereal

namespace procyon {
namespace detail {

/// Why cereal cannot take a T to another process. Looks into containers, where cereal does not.
enum class Obstacle { none, no_functions, no_default };

template <class T>
constexpr Obstacle obstacle_of();

template <class... Ts>
constexpr Obstacle first_obstacle() {
  Obstacle found = Obstacle::none;
  ((found = found == Obstacle::none ? obstacle_of<std::remove_const_t<Ts>>() : found), ...);
  return found;
}

template <class T>
struct PartsObstacle {
  static constexpr Obstacle value = Obstacle::none;
};
template <class A, class B>
struct PartsObstacle<std::pair<A, B>> {
  static constexpr Obstacle value = first_obstacle<A, B>();
};
template <class... Ts>
struct PartsObstacle<std::tuple<Ts...>> {
  static constexpr Obstacle value = first_obstacle<Ts...>();
};
template <class... Ts>
struct PartsObstacle<std::variant<Ts...>> {
  static constexpr Obstacle value = first_obstacle<Ts...>();
};
template <class T>
struct PartsObstacle<std::optional<T>> {
  static constexpr Obstacle value = first_obstacle<T>();
};
template <class T, std::size_t n>
struct PartsObstacle<std::array<T, n>> {
  static constexpr Obstacle value = first_obstacle<T>();
};
template <class T>
requires requires {
  typename T::value_type;
  typename T::allocator_type;
}
struct PartsObstacle<T> {
  static constexpr Obstacle value = first_obstacle<typename T::value_type>();
};

template <class T>
constexpr Obstacle obstacle_of() {
  if constexpr (PartsObstacle<T>::value != Obstacle::none) {
    return PartsObstacle<T>::value;
  } else if constexpr (!cereal::traits::is_output_serializable<
                           T, cereal::BinaryOutputArchive>::value ||
                       !cereal::traits::is_input_serializable<T,
                                                              cereal::BinaryInputArchive>::value) {
    return Obstacle::no_functions;
  } else {
    return std::is_default_constructible_v<T> ? Obstacle::none : Obstacle::no_default;
  }
}

template <class T>
constexpr bool is_serialisable = obstacle_of<T>() == Obstacle::none;

template <class T>
constexpr void require_transferable() {
  if constexpr (!is_placed<T>) {
    static_assert(obstacle_of<T>() != Obstacle::no_functions,
                  "this type cannot be sent to a worker process: it is not trivially copyable and "
                  "cereal cannot serialise it (give it a serialize() member, include the header of "
                  "cereal/types for a type of the standard library, or use ThreadPool)");
    static_assert(obstacle_of<T>() != Obstacle::no_default,
                  "this type cannot be sent to a worker process: cereal makes it with a default "
                  "constructor and then fills it (give it one, or use ThreadPool)");
  }
}

/// Appends to a string; the stream that cereal writes to.
class StringSink : public std::streambuf {
 public:
  explicit StringSink(std::string& out) : out_(out) {}

 protected:
  std::streamsize xsputn(const char* bytes, std::streamsize count) override {
    out_.append(bytes, static_cast<std::size_t>(count));
    return count;
  }
  int_type overflow(int_type byte) override {
    if (byte != traits_type::eof()) out_.push_back(traits_type::to_char_type(byte));
    return traits_type::not_eof(byte);
  }

 private:
  std::string& out_;
};

/// Reads from bytes in place.
class BytesSource : public std::streambuf {
 public:
  BytesSource(const void* bytes, std::size_t size) {
    char* begin = const_cast<char*>(static_cast<const char*>(bytes));
    setg(begin, begin, begin + size);
  }
};

// Of a type that was refused when it was compiled there is no more to be said.
template <class T>
void encode(const T& value, std::string& out) {
  if constexpr (is_serialisable<T>) {
    StringSink sink(out);
    std::ostream stream(&sink);
    cereal::BinaryOutputArchive archive(stream);
    archive(value);
  }
}

/// Throws cereal::Exception where the bytes end too early.
template <class T>
T decode(const void* bytes, std::size_t size) {
  if constexpr (is_serialisable<T>) {
    BytesSource source(bytes, size);
    std::istream stream(&source);
    cereal::BinaryInputArchive archive(stream);
    T value{};
    archive(value);
    return value;
  } else {
    throw Error("a type that cannot be sent was received");
  }
}

}  // namespace detail
}  // namespace procyon
