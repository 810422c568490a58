// Standard containers in the shared heap.
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include <procyon/base/errors.hpp>
#include <procyon/shm/heap.hpp>

namespace procyon {

/// A standard allocator on the shared heap. A container that uses it, and lies in shared memory
/// itself, may be read by every process; changing it needs a lock as between threads. Its blocks
/// belong to nobody: a process that dies in the middle of changing a container, or before it could
/// free it, leaves them allocated until the heap closes.
/// `allocate` throws SharedMemoryError.
template <class T>
class shared_allocator {
 public:
  using value_type = T;
  using is_always_equal = std::true_type;
  using propagate_on_container_copy_assignment = std::true_type;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;

  shared_allocator() noexcept = default;
  template <class U>
  shared_allocator(const shared_allocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor)

  T* allocate(std::size_t count) {
    constexpr std::size_t size = sizeof(T);  // NOLINT(bugprone-sizeof-expression): T as it comes
    if (count > std::numeric_limits<std::size_t>::max() / size) {
      throw SharedMemoryError("shared_allocator: " + std::to_string(count) + " elements of " +
                              std::to_string(size) + " bytes: more than memory can have");
    }
    void* block = shm::allocate(count * size, alignof(T) > 64 ? alignof(T) : 64);
    shm::give(block);
    return static_cast<T*>(block);
  }
  void deallocate(T* block, std::size_t) noexcept { shm::deallocate(block); }

  template <class U>
  friend bool operator==(const shared_allocator&, const shared_allocator<U>&) noexcept {
    return true;
  }
};

template <class T>
using shared_vector = std::vector<T, shared_allocator<T>>;
using shared_string = std::basic_string<char, std::char_traits<char>, shared_allocator<char>>;

}  // namespace procyon

/// As of std::string, with equal text giving an equal hash.
template <>
struct std::hash<procyon::shared_string> {
  std::size_t operator()(const procyon::shared_string& text) const noexcept {
    return std::hash<std::string_view>()(text);
  }
};
