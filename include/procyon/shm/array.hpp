// Arrays in the shared heap: counted handles that mean the same in every process.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace procyon {
namespace detail {

struct SharedObject;

/// A counted reference to memory in the shared heap, or to a file mapped beside it.
///
/// A reference counts for the process that made or copied it. One that a child inherited through
/// fork in its private memory is its parent's: the child never counts it down, so assigning to a
/// global handle in a child cannot free the parent's memory. One that lies in the shared heap
/// itself counts for everybody, whoever destroys it. A process that dies holding references leaves
/// them counted until the heap closes.
///
/// One that a static initialiser made in a process started afresh is not the program's, whose heap
/// that process has from init() on: it is made void then, and `data` throws NotShareable.
class SharedBlock {
 public:
  SharedBlock() noexcept = default;
  /// `count` elements of `size` bytes, zeroed. Throws SharedMemoryError.
  SharedBlock(std::size_t count, std::size_t size, std::size_t align);
  /// The first `bytes` bytes of a file, mapped read-only; `data()` is `offset` bytes into them.
  /// Only in the program. Throws SharedMemoryError.
  static SharedBlock map_file(int fd, std::size_t bytes, std::size_t offset);

  SharedBlock(const SharedBlock& other) noexcept;
  SharedBlock(SharedBlock&& other) noexcept;
  SharedBlock& operator=(const SharedBlock& other) noexcept;
  SharedBlock& operator=(SharedBlock&& other) noexcept;
  ~SharedBlock() { reset(); }

  void* data() const {
    if (reinterpret_cast<std::uintptr_t>(data_) == made_void) throw_void();
    return data_;
  }
  void reset() noexcept;
  /// Voids whatever was made before init() in this process.
  static void void_early() noexcept;

 private:
  bool is_counted() const noexcept;
  void refer_to(const SharedBlock& other) noexcept;
  void take(SharedBlock& other) noexcept;
  void note_early() noexcept;
  [[noreturn]] static void throw_void();

  static constexpr std::uintptr_t made_void = 1;  // where no memory is
  void* data_ = nullptr;
  SharedObject* object_ = nullptr;
  std::uint64_t tag_ = 0;  // the process that it counts for
};

[[noreturn]] void throw_bad_index(std::size_t index, std::size_t size);

/// A range of what converts to Element; a handle to share is none.
template <class Range, class Element, class Handle>
concept ElementsFor = std::ranges::input_range<Range> &&
    std::convertible_to<std::ranges::range_reference_t<Range>, Element> &&
    !std::is_base_of_v<Handle, std::remove_cvref_t<Range>>;

/// What Array and RawArray have in common. T may be const.
template <class T>
class ArrayHandle {
  using Element = std::remove_const_t<T>;
  static_assert(std::is_trivially_copyable_v<Element>,
                "elements of shared arrays must be trivially copyable");

 public:
  using value_type = Element;
  using element_type = T;
  using size_type = std::size_t;
  using iterator = T*;

  ArrayHandle() noexcept = default;
  explicit ArrayHandle(std::size_t size)
      : block_(size, sizeof(T), alignof(T)), size_(block_.data() != nullptr ? size : 0) {}
  ArrayHandle(std::size_t size, const Element& value) : ArrayHandle(size) {
    std::fill_n(elements(), size_, value);
  }
  template <class Range>
  requires ElementsFor<Range, Element, ArrayHandle>
  explicit ArrayHandle(Range&& values) {  // NOLINT(bugprone-forwarding-reference-overload)
    if constexpr (std::ranges::forward_range<Range> || std::ranges::sized_range<Range>) {
      *this = ArrayHandle(static_cast<std::size_t>(std::ranges::distance(values)));
      std::ranges::transform(values, elements(),
                             [](auto&& value) { return static_cast<Element>(value); });
    } else {
      std::vector<Element> copy;
      for (auto&& value : values) copy.push_back(static_cast<Element>(value));
      *this = ArrayHandle(copy);
    }
  }
  /// Takes over memory made elsewhere.
  ArrayHandle(SharedBlock block, std::size_t size) noexcept
      : block_(std::move(block)), size_(size) {}

  ArrayHandle(const ArrayHandle&) noexcept = default;
  ArrayHandle& operator=(const ArrayHandle&) noexcept = default;
  ArrayHandle(ArrayHandle&& other) noexcept
      : block_(std::move(other.block_)), size_(std::exchange(other.size_, 0)) {}
  ArrayHandle& operator=(ArrayHandle&& other) noexcept {
    if (this == &other) return *this;
    block_ = std::move(other.block_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  ~ArrayHandle() = default;

  T* data() const { return static_cast<T*>(block_.data()); }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T* begin() const { return data(); }
  T* end() const { return data() + size_; }
  /// Unchecked.
  T& operator[](std::size_t index) const { return data()[index]; }
  /// Throws std::out_of_range.
  T& at(std::size_t index) const {
    if (index >= size_) throw_bad_index(index, size_);
    return data()[index];
  }
  T& front() const { return data()[0]; }
  T& back() const { return data()[size_ - 1]; }
  std::span<T> span() const { return {data(), size_}; }

 protected:
  const SharedBlock& block() const noexcept { return block_; }

 private:
  Element* elements() const noexcept { return static_cast<Element*>(block_.data()); }

  SharedBlock block_;
  std::size_t size_ = 0;
};

}  // namespace detail

template <class T>
class Array;

/// A fixed number of elements in shared memory, zero at first, without a lock.
///
/// A handle: copying it shares the elements, which live until the last handle in any process is
/// gone. It has the constness of a pointer: a const handle may change elements. Handles may be
/// captured, passed to tasks and stored in shared memory. Elements are unsynchronised; what one
/// process wrote before a task ended, or began, is visible after that to whoever awaits, or runs,
/// it. A death in the middle of writing leaves elements as far as they were written.
/// A handle that was moved from, or made without arguments, or of no elements, refers to nothing.
/// In a process started afresh (StartMethod::spawn) one that a static initialiser made there has no
/// elements that the program knows: using it throws NotShareable; capture it, or pass it.
/// Constructors throw SharedMemoryError.
template <class T>
class RawArray : public detail::ArrayHandle<T> {
 public:
  using detail::ArrayHandle<T>::ArrayHandle;
  /// New memory with the same elements.
  explicit RawArray(const Array<T>& values) : RawArray(values.span()) {}
  /// A read-only view of the same elements.
  operator RawArray<const T>() const noexcept  // NOLINT(google-explicit-constructor)
      requires(!std::is_const_v<T>) {
    return {this->block(), this->size()};
  }
  /// New memory with the same elements; may be changed even where T is const.
  RawArray<std::remove_const_t<T>> clone() const {
    return RawArray<std::remove_const_t<T>>(this->span());
  }
};

/// As RawArray; the array that programs use unless they know that they need no lock.
template <class T>
class Array : public detail::ArrayHandle<T> {
 public:
  using detail::ArrayHandle<T>::ArrayHandle;
  /// New memory with the same elements.
  explicit Array(const RawArray<T>& values) : Array(values.span()) {}
  /// A read-only view of the same elements.
  operator Array<const T>() const noexcept  // NOLINT(google-explicit-constructor)
      requires(!std::is_const_v<T>) {
    return {this->block(), this->size()};
  }
  /// New memory with the same elements; may be changed even where T is const.
  Array<std::remove_const_t<T>> clone() const {
    return Array<std::remove_const_t<T>>(this->span());
  }
};

template <class T>
Array(std::size_t, T) -> Array<T>;
template <std::ranges::input_range Range>
Array(Range&&) -> Array<std::ranges::range_value_t<Range>>;
template <class T>
Array(const Array<T>&) -> Array<T>;
template <class T>
RawArray(std::size_t, T) -> RawArray<T>;
template <std::ranges::input_range Range>
RawArray(Range&&) -> RawArray<std::ranges::range_value_t<Range>>;
template <class T>
RawArray(const RawArray<T>&) -> RawArray<T>;

namespace detail {

/// An array over `count` elements in a file, `offset` bytes from its start: mapped read-only, not
/// copied, until the last handle is gone. Requires: offset + count * sizeof(T) <= bytes, and
/// `offset` a multiple of alignof(T). Only in the program. Throws SharedMemoryError.
template <class T>
Array<T> adopt_mapping(int fd, std::size_t bytes, std::size_t offset, std::size_t count) {
  return {SharedBlock::map_file(fd, bytes, offset), count};
}

}  // namespace detail
}  // namespace procyon
