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

#include <procyon/shm/array.hpp>

#include <array>
#include <cstddef>
#include <cstring>
#include <istream>
#include <optional>
#include <ostream>
#include <streambuf>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

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

template <class T>
constexpr bool is_serialisable =
    cereal::traits::is_output_serializable<T, cereal::BinaryOutputArchive>::value&&
        cereal::traits::is_input_serializable<T, cereal::BinaryInputArchive>::value&&
            std::is_default_constructible_v<T>;

template <class T>
constexpr void require_transferable() {
  static_assert(is_placed<T> || is_serialisable<T>,
                "this type cannot be sent to a worker process: it is not trivially copyable and "
                "cereal cannot serialise it (give it a serialize() member, or use ThreadPool)");
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

template <class T>
void encode(const T& value, std::string& out) {
  StringSink sink(out);
  std::ostream stream(&sink);
  cereal::BinaryOutputArchive archive(stream);
  archive(value);
}

template <class T>
T decode(const void* bytes, std::size_t size) {
  BytesSource source(bytes, size);
  std::istream stream(&source);
  cereal::BinaryInputArchive archive(stream);
  T value{};
  archive(value);
  return value;
}

}  // namespace detail
}  // namespace procyon
