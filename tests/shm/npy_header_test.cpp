// The parser of .npy headers: what it must refuse, and what no bytes may do to it.
#include "shm/npy_header.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "catch.hpp"

using namespace procyon;
using Catch::Matchers::Contains;

namespace {

std::string file_with(const std::string& text, int major = 1) {
  std::string file = "\x93NUMPY";
  file += static_cast<char>(major);
  file += '\0';
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) {
    file += static_cast<char>(text.size() >> (8 * i) & 0xff);
  }
  return file + text;
}

shm::NpyHeader parse(const std::string& file) {
  // In a block of exactly this size, so that AddressSanitizer sees a read past the end.
  const std::vector<char> exact(file.begin(), file.end());
  return shm::parse_npy_header(std::as_bytes(std::span(exact)));
}

shm::NpyHeader parse_text(const std::string& text) { return parse(file_with(text)); }

std::string with_shape(const std::string& shape) {
  return "{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + ", }\n";
}

std::string with_type(const std::string& type) {
  return "{'descr': " + type + ", 'fortran_order': False, 'shape': (2,), }\n";
}

/// What every header that is accepted promises to the code that trusts it.
void check_consistent(const shm::NpyHeader& header, std::size_t file_size) {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
  REQUIRE(header.data_offset <= file_size);
  REQUIRE(header.shape.size() <= shm::npy_most_dimensions);
  REQUIRE((header.type.size >= 1 && header.type.size <= 16));
  REQUIRE(header.count <= most / header.type.size);
  std::size_t count = 1;
  for (const std::size_t length : header.shape) count *= length;
  REQUIRE(header.count == count);
}

}  // namespace

TEST_CASE("headers of all versions mean the same") {
  for (const int version : {1, 2, 3}) {
    const auto header = parse(file_with(with_shape("(2, 3, 4)"), version));
    CHECK(header.type == detail::ElementType{'f', 8});
    CHECK(header.shape == std::vector<std::size_t>{2, 3, 4});
    CHECK(header.count == 24);
    CHECK_FALSE(header.fortran_order);
    CHECK_FALSE(header.swapped);
  }
}

TEST_CASE("spaces, quotes and the order of keys do not matter") {
  const auto header =
      parse_text("  {\"shape\":(3 ,4L) ,\t'fortran_order' :True,\"descr\" : \">f4\"}   \n\n");
  CHECK(header.shape == std::vector<std::size_t>{3, 4});
  CHECK(header.fortran_order);
  CHECK(header.swapped);
  CHECK(header.type == detail::ElementType{'f', 4});
}

TEST_CASE("byte orders of single bytes and of this machine are no swap") {
  for (const char* type : {"'|u1'", "'>i1'", "'=f8'", "'f8'", "'<c16'", "'|f4'"}) {
    CAPTURE(type);
    CHECK_FALSE(parse_text(with_type(type)).swapped);
  }
}

TEST_CASE("shapes that are no tuple of lengths are refused") {
  for (const char* shape : {"3", "(3)", "[3, 4]", "(3 4)", "(,)", "(3, , 4)", "(3.0,)", "('3',)",
                            "(0x10,)", "(3,", "None", "", "((3,),)", "(+3,)"}) {
    CAPTURE(shape);
    CHECK_THROWS_WITH(parse_text(with_shape(shape)), Contains("header is damaged"));
  }
  CHECK_THROWS_WITH(parse_text(with_shape("(-3, 4)")), Contains("negative length"));
  CHECK_THROWS_WITH(parse_text(with_shape("(99999999999999999999999,)")), Contains("too large"));
}

TEST_CASE("shapes with more elements than memory has addresses are refused") {
  for (const char* shape :
       {"(4294967296, 4294967296)", "(18446744073709551615,)", "(0, 4611686018427387904, 16)",
        "(9223372036854775807,)", "(65536, 65536, 65536, 65536)", "(1152921504606846976, 1)"}) {
    CAPTURE(shape);
    CHECK_THROWS_WITH(parse_text(with_shape(shape)), Contains("memory has addresses"));
  }
  CHECK(parse_text(with_shape("(1152921504606846975,)")).count == 1152921504606846975);
}

TEST_CASE("more dimensions than any program has are refused") {
  std::string shape = "(";
  for (int i = 0; i < 65; ++i) shape += "1,";
  CHECK_THROWS_WITH(parse_text(with_shape(shape + ")")), Contains("64 dimensions"));
}

TEST_CASE("arrays of Python objects are refused because reading them runs code") {
  CHECK_THROWS_WITH(parse_text(with_type("'|O'")), Contains("would run code"));
  CHECK_THROWS_WITH(parse_text(with_type("'O8'")), Contains("would run code"));
}

TEST_CASE("element types that are no numbers of the machine are refused") {
  CHECK_THROWS_WITH(parse_text(with_type("[('a', '<f8')]")), Contains("structured dtype"));
  for (const char* type :
       {"'<f2'", "'<f16'", "'|b1'", "'|S3'", "'<U2'", "'<M8[s]'", "'|V8'", "''", "'<'", "'<f'",
        "'<f8x'", "'<f-8'", "'<i3'", "'<c4'", "'<<f8'", "'<f99999999999999999999999'"}) {
    CAPTURE(type);
    CHECK_THROWS_WITH(parse_text(with_type(type)), Contains("element type"));
  }
}

TEST_CASE("damaged dictionaries are refused with the place of the damage") {
  for (const char* text : {
           "  \n",
           "{}",
           "{'descr': '<f8'}",
           "{'descr': '<f8', 'fortran_order': False}",
           "{'fortran_order': False, 'shape': (1,)}",
           "{'descr': '<f8', 'fortran_order': 0, 'shape': (1,)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'extra': 1}",
           "{'descr': '<f8', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
           "{'descr': '<f8' 'fortran_order': False, 'shape': (1,)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} x",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}}",
           "{'descr': '<f\\x38', 'fortran_order': False, 'shape': (1,)}",
           "{'descr': '<f8'",
           "{'descr': '<f8",
           "{'descr': <f8, 'fortran_order': False, 'shape': (1,)}",
           "{descr: '<f8', 'fortran_order': False, 'shape': (1,)}",
           "dict(descr='<f8', fortran_order=False, shape=(1,))",
           "__import__('os').system('true')",
       }) {
    CAPTURE(text);
    CHECK_THROWS_WITH(parse_text(text), Contains("header is damaged") && Contains("at byte"));
  }
}

TEST_CASE("bytes that are no .npy file, or of a version to come, are refused") {
  CHECK_THROWS_WITH(parse("PK\x03\x04 a zip file, as .npz is"), Contains("\\x93NUMPY"));
  CHECK_THROWS_WITH(parse(file_with(with_shape("(1,)"), 4)), Contains("version 4.0"));
  CHECK_THROWS_WITH(parse(file_with(with_shape("(1,)"), 0)), Contains("version 0.0"));
  std::string minor = file_with(with_shape("(1,)"));
  minor[7] = 1;
  CHECK_THROWS_WITH(parse(minor), Contains("version 1.1"));
}

TEST_CASE("a header that claims gigabytes is refused before they are read") {
  std::string file = file_with(with_shape("(1,)"), 2);
  for (int i = 8; i < 12; ++i) file[static_cast<std::size_t>(i)] = '\xff';
  CHECK_THROWS_WITH(parse(file), Contains("claims 4294967295 bytes"));
}

TEST_CASE("a header cut off at any byte is refused") {
  for (const int version : {1, 2, 3}) {
    const std::string file = file_with(with_shape("(2, 3)"), version);
    for (std::size_t length = 0; length < file.size(); ++length) {
      CAPTURE(version, length);
      CHECK_THROWS_AS(parse(file.substr(0, length)), std::invalid_argument);
    }
  }
}

TEST_CASE("headers written here are padded, parse back, and stay in version 1.0") {
  using Shape = std::vector<std::size_t>;
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3, 4}, Shape{0}, Shape(64, 1)}) {
    const std::string text = shm::make_npy_header({'f', 4}, shape);
    CAPTURE(text);
    CHECK(text.size() % 64 == 0);
    CHECK(text.back() == '\n');
    CHECK(text[6] == 1);
    const auto header = parse(text);
    CHECK(header.shape == shape);
    CHECK(header.data_offset == text.size());
    CHECK(header.type == detail::ElementType{'f', 4});
  }
  CHECK_THROWS_AS(shm::make_npy_header({'f', 4}, Shape(65, 1)), std::invalid_argument);
  CHECK_THROWS_AS(shm::make_npy_header({'f', 4}, Shape(5, 1u << 20)), std::invalid_argument);
}

TEST_CASE("no mutation of a header crashes the parser or gets an inconsistent one accepted") {
  const std::vector<std::string> seeds = {
      file_with(with_shape("(2, 3, 4)")), file_with(with_shape("(1797, 8, 8)"), 2),
      file_with(with_type("'>c16'"), 3),
      file_with("{'descr': [('a', '<f8'), ('b', '|O')], 'fortran_order': True, 'shape': (7L,), }"),
      shm::make_npy_header({'i', 2}, std::vector<std::size_t>(12, 3))};
  const std::string pieces = "(){}[],:'\"\\ \n\0\xff-0123456789LTFfciuO<>=|";
  std::mt19937_64 random(20240607);  // NOLINT: the same mutations in every run
  const auto below = [&random](std::size_t limit) { return random() % limit; };
  std::size_t accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string file = seeds[below(seeds.size())];
    for (std::size_t changes = 1 + below(3); changes > 0 && !file.empty(); --changes) {
      const std::size_t at = below(file.size());
      switch (below(6)) {
        case 0:
          file[at] = static_cast<char>(random());
          break;
        case 1:
          file[at] = pieces[below(pieces.size())];
          break;
        case 2:
          file.erase(at, 1 + below(8));
          break;
        case 3:
          file.insert(at, 1 + below(8), pieces[below(pieces.size())]);
          break;
        case 4:
          file.insert(at, file.substr(below(file.size()), below(40)));
          break;
        default:
          file.resize(at);
      }
    }
    try {
      check_consistent(parse(file), file.size());
      ++accepted;
    } catch (const std::invalid_argument& error) {
      if (std::string(error.what()).empty()) FAIL("an error without a word");
    }
  }
  CHECK(accepted > 1000);  // or the mutations would test nothing but the first byte
}
