// Closures that hold no address are never refused, whatever the bits of what they hold.
#include <procyon/procyon.hpp>

#include <array>
#include <chrono>
#include <complex>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <tuple>
#include <utility>

#include "catch.hpp"

namespace {

enum class Small : unsigned char { a, b };
struct Padded {
  char c;
  double d;
  short s;
};
struct Bits {
  unsigned low : 5;
  unsigned high : 20;
  std::uint64_t rest : 40;
};
struct Nested {
  Padded one;
  std::array<Padded, 2> more;
  Small mark;
};
union Either {
  double d;
  float f;
};

/// Values of these types, of random bits; or, where `like`, of bits that look like its address.
class Source {
 public:
  explicit Source(const void* like) : address_(reinterpret_cast<std::uintptr_t>(like)) {}

  template <class T>
  T make() {
    T value{};
    fill(value);
    return value;
  }

 private:
  void fill(bool& value) { value = random_() % 2 == 0; }
  void fill(Small& value) { value = random_() % 2 == 0 ? Small::a : Small::b; }
  void fill(Either& value) { value.d = static_cast<double>(random_()); }
  void fill(Bits& value) {
    value.low = random_() % 32;
    value.rest = random_() & 0xff;
  }
  template <class T>
  void fill(std::optional<T>& value) {
    value = make<T>();
  }
  template <class A, class B>
  void fill(std::pair<A, B>& value) {
    fill(value.first);
    fill(value.second);
  }
  template <class T>
  void fill(T& value) {
    std::array<unsigned char, sizeof(T)> bytes{};
    for (std::size_t i = 0; i < sizeof(T); i += sizeof address_) {
      const bool is_like = address_ != 0 && random_() % 4 != 0;
      const std::uintptr_t word = is_like ? address_ + random_() % 4096 : random_();
      std::memcpy(bytes.data() + i, &word, std::min(sizeof word, sizeof(T) - i));
    }
    std::memcpy(static_cast<void*>(&value), bytes.data(), sizeof(T));
  }

  std::uintptr_t address_;
  std::mt19937_64 random_{99};
};

/// The number of refusals of closures that hold an A and a B.
template <class A, class B>
int count_refusals(Source& source, const void* address) {
  int refused = 0;
  for (int i = 0; i < 100; ++i) {
    const auto closure = [a = source.make<A>(), b = source.make<B>()] {
      return sizeof a + sizeof b;
    };
    static_assert(std::is_trivially_copyable_v<decltype(closure)>);
    // In memory that is full of addresses, which are what its padding holds.
    alignas(decltype(closure)) unsigned char memory[sizeof closure + sizeof address];
    for (std::size_t at = 0; at + sizeof address <= sizeof memory; at += sizeof address) {
      std::memcpy(memory + at, &address, sizeof address);
    }
    const auto* placed = ::new (memory) auto(closure);
    try {
      procyon::detail::check_shareable(*placed, "the callable");
    } catch (const procyon::NotShareable& error) {
      UNSCOPED_INFO(error.what());
      ++refused;
    }
  }
  return refused;
}

template <class A, class... Bs>
int count_with_each(Source& source, const void* address) {
  return (count_refusals<A, Bs>(source, address) + ...);
}

template <class... Ts>
int count_all(Source& source, const void* address) {
  return (count_with_each<Ts, Ts...>(source, address) + ...);
}

}  // namespace

TEST_CASE("random closures of a hundred and more types raise no false alarm") {
  int on_stack = 0;
  Source source(&on_stack);
  CHECK(count_all<char, bool, short, int, std::uint64_t, float, double, Small, Padded, Nested,
                  std::array<char, 13>, std::complex<double>, std::chrono::nanoseconds>(
            source, &on_stack) == 0);
}

// Closures with these are looked at word by word.
TEST_CASE("random closures of optionals, unions and bit-fields raise no false alarm") {
  int on_stack = 0;
  Source source(nullptr);
  CHECK(count_refusals<std::array<std::uint64_t, 3>, Bits>(source, &on_stack) == 0);
#ifdef PROCYON_CLEAR_PADDING
  CHECK(count_refusals<std::optional<std::uint64_t>, char>(source, &on_stack) == 0);
  CHECK(count_refusals<std::optional<Padded>, int>(source, &on_stack) == 0);
  CHECK(count_refusals<Either, double>(source, &on_stack) == 0);
#endif
}
