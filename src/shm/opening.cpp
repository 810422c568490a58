#include "shm/opening.hpp"

#include <pthread.h>
#include <unistd.h>

#include <mutex>
#include <new>

#include <procyon/shm/heap.hpp>

#include "shm/extents.hpp"
#include "shm/files.hpp"
#include "shm/local.hpp"
#include "shm/members.hpp"
#include "shm/reservation.hpp"

namespace procyon::shm {

std::atomic<std::uint64_t> self_word{0};
std::atomic<bool> is_stranger{false};

namespace {

alignas(Local) unsigned char local_storage[sizeof(Local)];

void become_stranger() {
  if (region.base.load(std::memory_order_relaxed) == nullptr) return;
  self_word.store(0, std::memory_order_relaxed);
  is_stranger.store(true, std::memory_order_relaxed);
}

bool others_are_left() noexcept {
  for (std::size_t slot = 2; slot <= max_members; ++slot) {
    if (members()[slot].state.load(std::memory_order_acquire) != Member::free) return true;
  }
  return false;
}

}  // namespace

Local& local() noexcept {
  static Local* const place = new (local_storage) Local;
  return *place;
}

void reset_local() noexcept { new (&local()) Local; }

void watch_forks() {
  [[maybe_unused]] static const int registered = pthread_atfork(nullptr, nullptr, become_stranger);
}

void open_locked() {
  if (region.base.load(std::memory_order_relaxed) != nullptr) return;
  watch_forks();
  reserve();
  Member& program = members()[1];
  program.epoch.store(1, std::memory_order_relaxed);
  program.pid.store(getpid(), std::memory_order_relaxed);
  program.kind.store(static_cast<std::uint32_t>(MemberKind::program), std::memory_order_relaxed);
  program.state.store(Member::live, std::memory_order_release);
  self_word.store(block_word({1, 1}), std::memory_order_relaxed);
}

void open_heap() {
  const std::lock_guard lock(local().mutex);
  open_locked();
}

bool heap_is_open() noexcept { return region.base.load(std::memory_order_acquire) != nullptr; }

bool close_heap_if_unused() noexcept {
  if (is_stranger.load(std::memory_order_relaxed)) return false;
  Local& mine = local();
  const std::scoped_lock lock(mine.punching, mine.mutex);
  if (!heap_is_open()) return true;
  if (word_member(my_word()).slot != 1 || others_are_left() || files_are_mapped() ||
      used_bytes() != 0) {
    return false;
  }
  self_word.store(0, std::memory_order_relaxed);
  unreserve();
  static_cast<Hints&>(mine) = {};
  return true;
}

}  // namespace procyon::shm
