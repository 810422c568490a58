// Bytes that were cut short or changed are refused by what reads them, and hurt nothing else.
#include <procyon/procyon.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "catch.hpp"

using procyon::detail::decode;
using procyon::detail::encode;

namespace {

using Deep = std::map<std::string, std::vector<std::variant<int, std::string>>>;

template <class T>
std::string encoded(const T& value) {
  std::string bytes;
  encode(value, bytes);
  return bytes;
}

/// Whether every proper beginning of the bytes is refused. Each is a block of its own, so that
/// AddressSanitizer sees a read behind its end.
template <class T>
bool refuses_beginnings(const T& value) {
  const std::string bytes = encoded(value);
  std::size_t refused = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto part = std::make_unique<char[]>(size);
    std::copy_n(bytes.data(), size, part.get());
    try {
      decode<T>(part.get(), size);
    } catch (const std::exception&) {
      ++refused;
    }
  }
  return refused == bytes.size();
}

}  // namespace

TEST_CASE("what was cut short is refused, wherever it was cut") {
  CHECK(refuses_beginnings(std::string(300, 's')));
  CHECK(refuses_beginnings(std::vector<double>(20, 1.5)));
  CHECK(refuses_beginnings(std::vector<bool>(20, true)));
  CHECK(refuses_beginnings(Deep{{"a", {1, "one"}}, {"b", {}}, {"c", {std::string(100, 'c')}}}));
}

TEST_CASE("a number of elements or an index of a variant that is wrong is refused") {
  std::string bytes = encoded(Deep{{"a", {1, "one"}}, {"c", {"three", 4}}});
  for (char count = 3; count < 100; ++count) {
    bytes[0] = count;
    CHECK_THROWS_AS(decode<Deep>(bytes.data(), bytes.size()), std::exception);
  }
  using Either = std::variant<int, std::string>;
  bytes = encoded(Either(5));
  for (const std::int32_t index : {2, 99, -1, INT32_MIN, INT32_MAX}) {
    std::memcpy(bytes.data(), &index, sizeof index);
    CHECK_THROWS_AS(decode<Either>(bytes.data(), bytes.size()), std::exception);
  }
}
