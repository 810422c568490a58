// Arrays in .npy files, the format of numpy.save: read without a copy, written whole or not at all.
#pragma once

#include <complex>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <ranges>
#include <type_traits>
#include <vector>

#include <procyon/shm/array.hpp>

namespace procyon {

namespace detail {

/// A type of elements as numpy classifies it: 'f', 'c', 'i' or 'u', and bytes an element.
struct ElementType {
  char kind = 'f';
  std::size_t size = 0;
  friend bool operator==(ElementType, ElementType) = default;
};

template <class T>
constexpr ElementType element_type() {
  if constexpr (std::is_floating_point_v<T>) {
    return {'f', sizeof(T)};
  } else if constexpr (std::is_integral_v<T>) {
    return {std::is_signed_v<T> ? 'i' : 'u', sizeof(T)};
  } else {
    return {'c', sizeof(T)};
  }
}

}  // namespace detail

/// What an element of a .npy file can be here: float, double, std::complex of both, and the signed
/// and unsigned integers of 1 to 8 bytes.
template <class T>
concept NpyElement = std::same_as<T, float> || std::same_as<T, double> ||
    std::same_as<T, std::complex<float>> || std::same_as<T, std::complex<double>> ||
    (std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> &&
     !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> && !std::same_as<T, char16_t> &&
     !std::same_as<T, char32_t>);

/// What can be asked for: such an element, or a const one.
template <class T>
concept NpyReadable = NpyElement<std::remove_const_t<T>>;

/// The contents of a .npy file.
template <class T>
struct NpyArray {
  Array<T> data;                   ///< in C order: the last index moves fastest
  std::vector<std::size_t> shape;  ///< empty: a single number
};

namespace detail {

/// A .npy file, opened and checked: the header is sound and all the data are there.
class NpyReader {
 public:
  explicit NpyReader(const std::filesystem::path& path);
  ~NpyReader();
  NpyReader(const NpyReader&) = delete;
  NpyReader& operator=(const NpyReader&) = delete;

  ElementType type() const;
  std::size_t count() const;
  const std::vector<std::size_t>& shape() const;
  /// Throws `std::invalid_argument` naming both types unless the elements are of `wanted`.
  void require(ElementType wanted) const;
  /// Whether the bytes of the file are the array: C order, this machine's byte order, aligned.
  bool mappable(std::size_t alignment) const;
  /// The descriptor of the file, its bytes from the start to the end of the data, and the offset
  /// of the data in them.
  int descriptor() const;
  std::size_t mapped_bytes() const;
  std::size_t data_offset() const;
  /// Writes the elements to `target`, in C order and this machine's byte order.
  void read_into(void* target) const;

 private:
  struct Opened;
  std::unique_ptr<Opened> opened_;
};

/// `NpyWriter` without the type of its elements.
class NpyOutput {
 public:
  NpyOutput(const std::filesystem::path& path, ElementType type,
            const std::vector<std::size_t>& shape);
  ~NpyOutput();
  NpyOutput(NpyOutput&&) noexcept;
  NpyOutput& operator=(NpyOutput&&) noexcept;
  void write(const void* data, std::size_t count);

 private:
  struct Prepared;
  std::unique_ptr<Prepared> prepared_;
};

}  // namespace detail

/// A .npy file, opened and checked: for programs that decide by its type and shape what to do with
/// it. Throws as `load_npy` does. A pipe is read to the end of the array by the constructor.
class NpyFile {
 public:
  explicit NpyFile(const std::filesystem::path& path) : reader_(path) {}

  char kind() const { return reader_.type().kind; }  ///< 'f', 'c' (complex), 'i' or 'u'
  std::size_t element_size() const { return reader_.type().size; }  ///< in bytes
  const std::vector<std::size_t>& shape() const { return reader_.shape(); }

  /// The array, as `load_npy` describes it.
  template <NpyReadable T>
  NpyArray<T> load() const {
    using Element = std::remove_const_t<T>;
    reader_.require(detail::element_type<Element>());
    if (reader_.count() > 0 && reader_.mappable(alignof(Element))) {
      return {detail::adopt_mapping<T>(reader_.descriptor(), reader_.mapped_bytes(),
                                       reader_.data_offset(), reader_.count()),
              reader_.shape()};
    }
    Array<T> data(reader_.count());
    if (reader_.count() > 0) reader_.read_into(const_cast<Element*>(data.data()));
    return {std::move(data), reader_.shape()};
  }

 private:
  detail::NpyReader reader_;
};

/// The array in the .npy file at `path`, in shared memory, so that every process may use it.
///
/// A file in C order, this machine's byte order and with aligned data is mapped, not read: no
/// element is copied and memory is the kernel's cache of the file. Such an array is read-only:
/// writing to it faults, and `data.clone()` is a copy that may be written. It follows the file:
/// where another program writes to the file in place the elements change, and where it makes the
/// file shorter the kernel answers the next access with SIGBUS. Replacing the file (as `save_npy`
/// and most programs do) leaves the array as it is. Any other order, a pipe or a device, and any
/// file in a worker, is read into the heap in C order.
///
/// Throws `std::system_error` where the file cannot be opened or read, `std::invalid_argument`
/// where it is no sound .npy file of T (arrays of Python objects are refused: reading one would
/// run code from the file), each naming the file, and `SharedMemoryError`.
template <NpyReadable T>
NpyArray<T> load_npy(const std::filesystem::path& path) {
  return NpyFile(path).load<T>();
}

/// A .npy file about to be written: what can go wrong goes wrong in the constructor, before the
/// work whose result is to be saved. Room for all of the file is taken there, too.
///
/// Guarantees: until `write` has returned, the old file at `path` is as it was, and no reader ever
/// sees a part of the new one; after it, the new file is on the disk. A writer that is destroyed,
/// or whose process dies, leaves nothing behind where the file system can hold a file without a
/// name (ext4, xfs, btrfs, tmpfs); elsewhere a process that is killed leaves a file
/// `.procyon-*.tmp`. A symbolic link is followed and stays a link. The new file has the mode of the
/// old one. A device or a pipe cannot be replaced: it is written in place.
///
/// Throws `std::system_error` that names the file (or its folder) for what the system refuses, and
/// `std::invalid_argument` for a shape that cannot be or that does not fit the values.
template <NpyElement T>
class NpyWriter {
 public:
  NpyWriter(const std::filesystem::path& path, const std::vector<std::size_t>& shape)
      : output_(path, detail::element_type<T>(), shape) {}

  /// Writes all elements, in C order. Once.
  template <std::ranges::contiguous_range Values>
  requires std::same_as<std::ranges::range_value_t<Values>, T>
  void write(const Values& values) {
    output_.write(std::ranges::data(values), std::ranges::size(values));
  }

 private:
  detail::NpyOutput output_;
};

/// Writes `values`, in C order, as a .npy file of that shape: whole or not at all, as `NpyWriter`.
template <std::ranges::contiguous_range Values>
requires NpyElement<std::ranges::range_value_t<Values>>
void save_npy(const std::filesystem::path& path, const Values& values,
              const std::vector<std::size_t>& shape) {
  NpyWriter<std::ranges::range_value_t<Values>>(path, shape).write(values);
}

}  // namespace procyon
