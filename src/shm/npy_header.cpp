#include "shm/npy_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>
#include <stdexcept>

namespace procyon::shm {
namespace {

[[noreturn]] void refuse(const std::string& problem) { throw std::invalid_argument(problem); }

/// Text of the file as it may be shown: short, and without control characters.
std::string shown(std::string_view text) {
  std::string result = "'";
  for (const char c : text.substr(0, 40)) result += (c >= ' ' && c < '\x7f') ? c : '?';
  return result + (text.size() > 40 ? "...'" : "'");
}

std::size_t byte_at(std::span<const std::byte> bytes, std::size_t i) {
  return std::to_integer<std::size_t>(bytes[i]);
}

/// Reads the one Python expression that a header is: a dictionary with three known keys.
class DictionaryParser {
 public:
  explicit DictionaryParser(std::string_view text) : text_(text) {}

  void parse(NpyHeader& header) {
    expect('{', "the header is no Python dictionary");
    while (!accept('}')) {
      const std::string key = parse_string();
      expect(':', "a key without a value");
      parse_value(key, header);
      if (accept('}')) break;
      expect(',', "no comma between two entries of the dictionary");
    }
    skip_space();
    if (at_ < text_.size()) fail("something follows the dictionary");
    if (!has_type_) fail("the key 'descr' is missing");
    if (!has_order_) fail("the key 'fortran_order' is missing");
    if (!has_shape_) fail("the key 'shape' is missing");
  }

 private:
  void parse_value(const std::string& key, NpyHeader& header) {
    if (key == "descr") {
      once(has_type_, key);
      parse_type(header);
    } else if (key == "fortran_order") {
      once(has_order_, key);
      header.fortran_order = parse_bool();
    } else if (key == "shape") {
      once(has_shape_, key);
      parse_shape(header.shape);
    } else {
      fail("unknown key " + shown(key));
    }
  }

  void parse_type(NpyHeader& header) {
    skip_space();
    if (at_ < text_.size() && (text_[at_] == '[' || text_[at_] == '(')) {
      refuse(
          "its elements are records of several fields (a structured dtype), which cannot be read "
          "here; save one field alone: numpy.save(file, array['field'])");
    }
    const std::string name = parse_string();
    std::string_view rest = name;
    char order = '=';
    if (!rest.empty() && std::string_view("<>=|").find(rest[0]) != std::string_view::npos) {
      order = rest[0];
      rest.remove_prefix(1);
    }
    if (!rest.empty() && rest[0] == 'O') {
      refuse(
          "its elements are Python objects (dtype object), and reading them would run code from "
          "the file; save numbers: numpy.save(file, array.astype('f8'), allow_pickle=False)");
    }
    std::size_t size = 0;
    const auto [end, error] =
        rest.empty() ? std::from_chars_result{rest.data(), std::errc::invalid_argument}
                     : std::from_chars(rest.data() + 1, rest.data() + rest.size(), size);
    if (error != std::errc() || end != rest.data() + rest.size() || !is_number(rest[0], size)) {
      refuse_type(name, rest.empty() ? '?' : rest[0], size);
    }
    header.type = {rest[0], size};
    const char other = std::endian::native == std::endian::little ? '>' : '<';
    header.swapped = order == other && size > 1;
  }

  [[noreturn]] static void refuse_type(const std::string& name, char kind, std::size_t size) {
    std::string numpy_name;
    if (kind == 'f' || kind == 'c') {
      numpy_name = fmt::format(" ({}{})", kind == 'f' ? "float" : "complex", 8 * size);
    }
    if (kind == 'b') numpy_name = " (bool)";
    if (kind == 'S' || kind == 'U') numpy_name = " (text)";
    if (kind == 'M' || kind == 'm') numpy_name = " (times)";
    const char* cure = "float64";
    if (kind == 'c') cure = "complex128";
    if (kind == 'b') cure = "uint8";
    if (kind == 'M' || kind == 'm') cure = "int64";
    refuse(
        fmt::format("its element type {}{} is none of float32, float64, complex64, "
                    "complex128, int8 to int64 and uint8 to uint64; convert it in numpy: "
                    "numpy.save(path, array.astype('{}'))",
                    shown(name), numpy_name, cure));
  }

  static bool is_number(char kind, std::size_t size) {
    switch (kind) {
      case 'f':
        return size == 4 || size == 8;
      case 'c':
        return size == 8 || size == 16;
      case 'i':
      case 'u':
        return size == 1 || size == 2 || size == 4 || size == 8;
      default:
        return false;
    }
  }

  bool parse_bool() {
    skip_space();
    for (const auto& [word, value] : {std::pair("True", true), std::pair("False", false)}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += std::string_view(word).size();
        return value;
      }
    }
    fail("'fortran_order' is neither True nor False");
  }

  void parse_shape(std::vector<std::size_t>& shape) {
    expect('(', "'shape' is no tuple of lengths");
    bool comma = true;  // since the last length, or none is needed
    while (!accept(')')) {
      if (!comma) fail("no comma between two lengths in 'shape'");
      if (shape.size() == npy_most_dimensions) fail("'shape' has more than 64 dimensions");
      shape.push_back(parse_length());
      comma = accept(',');
    }
    if (shape.size() == 1 && !comma) fail("'shape' is no tuple of lengths");
  }

  std::size_t parse_length() {
    skip_space();
    if (at_ < text_.size() && text_[at_] == '-') fail("'shape' has a negative length");
    std::size_t length = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), length);
    if (error == std::errc::result_out_of_range) fail("a length in 'shape' is too large");
    if (error != std::errc()) fail("'shape' is no tuple of lengths");
    at_ += static_cast<std::size_t>(end - begin);
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // a long integer of Python 2
    return length;
  }

  std::string parse_string() {
    skip_space();
    if (at_ == text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) fail("no string");
    const char quote = text_[at_++];
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) fail("a string without an end");
    const std::string_view found = text_.substr(at_, end - at_);
    if (found.find('\\') != std::string_view::npos) fail("a string with a backslash");
    at_ = end + 1;
    return std::string(found);
  }

  void once(bool& seen, const std::string& key) {
    if (seen) fail("the key '" + key + "' stands there twice");
    seen = true;
  }

  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) < 4) ++at_;
  }

  bool accept(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c, const char* otherwise) {
    if (!accept(c)) fail(otherwise);
  }

  [[noreturn]] void fail(const std::string& problem) const {
    refuse(
        fmt::format("its header is damaged: {}, at byte {} of {}; save the array again with "
                    "numpy.save",
                    problem, at_, shown(text_)));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool has_type_ = false, has_order_ = false, has_shape_ = false;
};

}  // namespace

std::size_t npy_data_offset(std::span<const std::byte> preamble) {
  if (preamble.empty()) refuse("it is empty; copy or save it again");
  for (std::size_t i = 0; i < std::min(preamble.size(), npy_magic.size()); ++i) {
    if (static_cast<char>(preamble[i]) != npy_magic[i]) {
      refuse(
          "it is not a .npy file: it does not begin as they do (\\x93NUMPY); write it with "
          "numpy.save");
    }
  }
  if (preamble.size() < npy_preamble_size) {
    refuse(
        fmt::format("it ends within its header, after {} bytes; it was cut off, copy or save it "
                    "again",
                    preamble.size()));
  }
  const std::size_t major = byte_at(preamble, 6), minor = byte_at(preamble, 7);
  if (major < 1 || major > 3 || minor != 0) {
    refuse(
        fmt::format("its version {}.{} is none of 1.0, 2.0 and 3.0; save the array again with "
                    "numpy.save",
                    major, minor));
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) length |= byte_at(preamble, 8 + i) << (8 * i);
  if (length > npy_header_limit) {
    refuse(
        fmt::format("its header claims {} bytes, more than the header of any array of numbers; "
                    "save the array again with numpy.save",
                    length));
  }
  return 8 + length_bytes + length;
}

NpyHeader parse_npy_header(std::span<const std::byte> bytes) {
  NpyHeader header;
  header.data_offset = npy_data_offset(bytes);
  if (bytes.size() < header.data_offset) {
    refuse(
        fmt::format("it ends within its header: {} bytes, of which the header claims {}; it was "
                    "cut off, copy or save it again",
                    bytes.size(), header.data_offset));
  }
  const std::size_t text_begin = byte_at(bytes, 6) == 1 ? 10 : 12;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), header.data_offset);
  DictionaryParser(text.substr(text_begin)).parse(header);
  const auto count = checked_count(header.shape, header.type.size);
  if (!count) {
    refuse("its shape " + shape_text(header.shape) +
           " has more elements than memory has addresses; save the array again with numpy.save");
  }
  header.count = *count;
  return header;
}

}  // namespace procyon::shm
