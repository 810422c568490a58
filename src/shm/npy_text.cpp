// What shapes, types and headers look like as text.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <stdexcept>

#include "shm/npy_header.hpp"

namespace procyon::shm {
namespace {

constexpr std::size_t data_alignment = 64;

}  // namespace

std::optional<std::size_t> checked_count(std::span<const std::size_t> shape,
                                         std::size_t element_size) {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
  std::size_t bytes = element_size;
  bool empty = false;
  for (const std::size_t length : shape) {
    if (length == 0) {
      empty = true;
    } else if (bytes > most / length) {
      return std::nullopt;
    } else {
      bytes *= length;
    }
  }
  return empty ? 0 : bytes / element_size;
}

std::string make_npy_header(detail::ElementType type, std::span<const std::size_t> shape) {
  if (shape.size() > npy_most_dimensions || !checked_count(shape, type.size)) {
    throw std::invalid_argument(
        "shape " + shape_text(shape.first(std::min(shape.size(), npy_most_dimensions))) +
        ": more elements than memory has addresses, or more than 64 dimensions");
  }
  const char native = std::endian::native == std::endian::little ? '<' : '>';
  std::string text =
      fmt::format("{{'descr': '{}{}{}', 'fortran_order': False, 'shape': {}, }}",
                  type.size == 1 ? '|' : native, type.kind, type.size, shape_text(shape));
  const std::size_t prefix = 10;
  const std::size_t unpadded = prefix + text.size() + 1;
  text.append((data_alignment - unpadded % data_alignment) % data_alignment, ' ');
  text += '\n';
  std::string header(npy_magic);
  header += '\x01';
  header += '\0';
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

std::string shape_text(std::span<const std::size_t> shape) {
  return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

std::string type_text(detail::ElementType type, bool swapped) {
  const bool little = (std::endian::native == std::endian::little) != swapped;
  std::string name;
  if (type.kind == 'f') name = type.size == 4 ? "float" : "double";
  if (type.kind == 'c' && type.size == 8) name = "std::complex<float>";
  if (type.kind == 'c' && type.size == 16) name = "std::complex<double>";
  if (type.kind == 'i') name = fmt::format("std::int{}_t", 8 * type.size);
  if (type.kind == 'u') name = fmt::format("std::uint{}_t", 8 * type.size);
  return fmt::format("'{}{}{}' ({})", type.size == 1 ? '|' : (little ? '<' : '>'), type.kind,
                     type.size, name);
}

std::string numpy_name(detail::ElementType type) {
  const char* word = "uint";
  if (type.kind == 'f') word = "float";
  if (type.kind == 'c') word = "complex";
  if (type.kind == 'i') word = "int";
  return fmt::format("{}{}", word, 8 * type.size);
}

}  // namespace procyon::shm
