// The header of a .npy file: text in, meaning or a clear error out. No file is touched here.
//
// Source of the format: numpy.lib.format (versions 1.0, 2.0 and 3.0).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <procyon/shm/npy.hpp>

namespace procyon::shm {

/// What one header says. The product of the shape and its size in bytes fit in `std::ptrdiff_t`.
struct NpyHeader {
  detail::ElementType type;        ///< of the elements as stored
  bool swapped = false;            ///< stored in the byte order that is not this machine's
  bool fortran_order = false;      ///< the first index moves fastest
  std::vector<std::size_t> shape;  ///< empty: a single number
  std::size_t count = 1;           ///< the product of the shape
  std::size_t data_offset = 0;     ///< of the first element, from the start of the file
};

constexpr std::string_view npy_magic = "\x93NUMPY";
constexpr std::size_t npy_most_dimensions = 64;  ///< as in numpy

/// The bytes to read before the length of the header is known.
constexpr std::size_t npy_preamble_size = 12;

/// The longest header that is read. That of any plain array is far shorter; a longer one lies.
constexpr std::size_t npy_header_limit = std::size_t{1} << 20;

/// Where the data begin, from the first `npy_preamble_size` bytes. Throws `std::invalid_argument`
/// for what is no .npy file, for an unknown version and for a header past `npy_header_limit`.
std::size_t npy_data_offset(std::span<const std::byte> preamble);

/// The meaning of `bytes`, which begin where the file begins and reach at least to the data.
/// Throws `std::invalid_argument` that says what is wrong and what to do, without the file's name.
NpyHeader parse_npy_header(std::span<const std::byte> bytes);

/// The product of the lengths; none where the array, or one with its empty lengths left out, would
/// have more bytes than an object can have.
std::optional<std::size_t> checked_count(std::span<const std::size_t> shape,
                                         std::size_t element_size);

/// The header of version 1.0 for data in C order and this machine's byte order, padded as numpy
/// pads it: the data begin at a multiple of 64. Throws `std::invalid_argument` for a shape of more
/// than 64 dimensions (which also keeps the header short enough for 1.0) or of too many elements.
std::string make_npy_header(detail::ElementType type, std::span<const std::size_t> shape);

/// "(3, 4)", "(3,)", "()": a shape as Python writes it.
std::string shape_text(std::span<const std::size_t> shape);

/// "'<f8' (double)": an element type as .npy files and as C++ name it.
std::string type_text(detail::ElementType type, bool swapped = false);

/// "float64": an element type as numpy calls it.
std::string numpy_name(detail::ElementType type);

}  // namespace procyon::shm
