#include <procyon/shm/array.hpp>

#include <fmt/format.h>

#include <atomic>
#include <cstring>
#include <limits>
#include <new>
#include <set>
#include <stdexcept>

#include <procyon/base/errors.hpp>
#include <procyon/shm/heap.hpp>

#include "base/start_channel.hpp"
#include "shm/files.hpp"
#include "shm/local.hpp"
#include "shm/reservation.hpp"

namespace procyon::detail {

/// The counted thing; lies in the heap, before the elements that it holds (if any).
struct SharedObject {
  std::atomic<std::uint64_t> count{1};
  void* mapping = nullptr;  // a mapped file that ends with it
};

namespace {

constexpr std::size_t object_bytes = 64;
static_assert(sizeof(SharedObject) <= object_bytes);

/// Names this process; with a bit that makes it no address, so that nothing takes it for one.
std::uint64_t my_tag() noexcept {
  const std::uint64_t word = shm::my_word();
  return word == 0 ? 0 : word | std::uint64_t{1} << 63;
}

std::size_t checked_bytes(std::size_t count, std::size_t size, std::size_t offset) {
  if (count > (std::numeric_limits<std::size_t>::max() - offset) / size) {
    throw SharedMemoryError(fmt::format(
        "a shared array of {} elements of {} bytes: more than memory can have", count, size));
  }
  return offset + count * size;
}

// What static initialisers have made in a process that will get its heap by init(). They run on one
// thread.
std::set<SharedBlock*>& early_blocks() {
  static std::set<SharedBlock*>& the_one = *new std::set<SharedBlock*>;
  return the_one;
}

void destroy(SharedObject* object) noexcept {
  if (object->mapping != nullptr) shm::unmap_file(object->mapping);
  object->~SharedObject();
  shm::deallocate(object);
}

}  // namespace

SharedBlock::SharedBlock(std::size_t count, std::size_t size, std::size_t align) {
  if (count == 0) return;
  const std::size_t offset = std::max(object_bytes, align);
  const std::size_t bytes = checked_bytes(count, size, offset);
  void* block = shm::allocate(bytes, offset);
  std::memset(static_cast<char*>(block) + offset, 0, bytes - offset);
  object_ = new (block) SharedObject;
  data_ = static_cast<char*>(block) + offset;
  tag_ = my_tag();
  shm::give(block);
  note_early();
}

SharedBlock SharedBlock::map_file(int fd, std::size_t bytes, std::size_t offset) {
  void* block = shm::allocate(sizeof(SharedObject));
  SharedBlock result;
  result.object_ = new (block) SharedObject;
  result.tag_ = my_tag();
  result.object_->mapping = shm::map_file(fd, bytes);
  result.data_ = static_cast<char*>(result.object_->mapping) + offset;
  shm::give(block);
  return result;
}

SharedBlock::SharedBlock(const SharedBlock& other) noexcept { refer_to(other); }

SharedBlock::SharedBlock(SharedBlock&& other) noexcept { take(other); }

SharedBlock& SharedBlock::operator=(const SharedBlock& other) noexcept {
  if (this == &other) return *this;
  SharedBlock kept(other);
  reset();
  take(kept);
  return *this;
}

SharedBlock& SharedBlock::operator=(SharedBlock&& other) noexcept {
  if (this == &other) return *this;
  reset();
  take(other);
  return *this;
}

bool SharedBlock::is_counted() const noexcept {
  return (tag_ != 0 && tag_ == my_tag()) || shm::in_data(this);
}

void SharedBlock::refer_to(const SharedBlock& other) noexcept {
  data_ = other.data_;
  object_ = other.object_;
  tag_ = my_tag();
  if (object_ != nullptr && is_counted()) {
    object_->count.fetch_add(1, std::memory_order_relaxed);
  }
  note_early();
}

void SharedBlock::take(SharedBlock& other) noexcept {
  tag_ = my_tag();
  if (!is_counted() || !other.is_counted()) {
    refer_to(other);
    other.reset();
    return;
  }
  data_ = std::exchange(other.data_, nullptr);
  object_ = std::exchange(other.object_, nullptr);
  note_early();
}

void SharedBlock::reset() noexcept {
  if (base::awaits_init()) early_blocks().erase(this);
  SharedObject* object = std::exchange(object_, nullptr);
  data_ = nullptr;
  // Release: this process is done with the elements; acquire: so is everybody else.
  if (object != nullptr && is_counted() &&
      object->count.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    destroy(object);
  }
}

void SharedBlock::note_early() noexcept {
  if (base::awaits_init()) early_blocks().insert(this);
}

void SharedBlock::void_early() noexcept {
  for (SharedBlock* block : early_blocks()) {
    block->data_ = reinterpret_cast<void*>(made_void);  // NOLINT(performance-no-int-to-ptr)
    block->object_ = nullptr;
  }
  early_blocks().clear();
}

void SharedBlock::throw_void() {
  throw NotShareable(
      "this handle was made by a static initialiser of a process that was started afresh, and has "
      "nothing of the program's: capture the program's handle, or pass it");
}

void throw_bad_index(std::size_t index, std::size_t size) {
  throw std::out_of_range(fmt::format("index {} of a shared array of {} elements", index, size));
}

}  // namespace procyon::detail
