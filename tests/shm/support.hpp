// What the tests of the heap share: children that are members, and a check of the heap's books.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include <procyon/shm/heap.hpp>

#include "sanitized.hpp"
#include "shm/extents.hpp"
#include "shm/members.hpp"
#include "shm/reservation.hpp"
#include "shm/slabs.hpp"

namespace heap_test {

namespace shm = procyon::shm;

/// Forks; the child's exit status is 0 where `body` returns true, 1 where false, 2: it threw.
template <class Body>
pid_t fork_plain(Body body) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  alarm(100);
  try {
    _exit(body() ? 0 : 1);
  } catch (const std::exception&) {
    _exit(2);
  }
}

inline int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

/// Runs `body` in a child that knows nothing of this process's heap; true: it returned true.
template <class Body>
bool holds_in_child(Body body) {
  return wait_for(fork_plain(body)) == 0;
}

struct Child {
  shm::MemberId id;
  pid_t pid = 0;
};

template <class Body>
Child fork_member(Body body) {
  const shm::MemberId id = shm::reserve_member(shm::MemberKind::worker);
  const pid_t pid = fork_plain([&] {
    shm::become_member(id);
    return body();
  });
  return {id, pid};
}

/// Recovers a member whose process has been waited for.
inline void recover(shm::MemberId id) {
  shm::members()[id.slot].state.store(shm::Member::dead);
  shm::recover_member(id.slot);
}

/// Waits for the child and recovers it; its status.
inline int finish(Child child) {
  const int status = wait_for(child.pid);
  recover(child.id);
  return status;
}

template <class Body>
bool holds_in_member(Body body) {
  return finish(fork_member(body)) == 0;
}

/// Sets a variable of the environment for a while.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = getenv(name)) old_ = old;
    setenv(name, value, 1);
  }
  ~Environment() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

/// Whether a word of a block names somebody who may have blocks.
inline bool is_sound_word(std::uint64_t word) {
  if (word == shm::word_given) return true;
  const shm::MemberId id = shm::word_member(word);
  if (id.slot == 0 || id.slot > shm::max_members || word >> 48 != 0) return false;
  const shm::Member& member = shm::members()[id.slot];
  return member.state.load() != shm::Member::free && member.epoch.load() == id.epoch;
}

/// What `find_fault` finds in a sound heap.
inline const std::string sound;

/// Finds what contradicts the drawing in layout.hpp while nobody else changes the heap; empty:
/// sound.
inline std::string find_fault() {
  std::string fault;
  std::uint32_t covered = 0;
  shm::each_extent([&](std::uint32_t first, shm::Extent extent) {
    if (first != covered) fault = "extents do not tile";
    covered = first + extent.length;
    std::uint32_t runs = first;
    shm::each_run(first, extent.length, [&](std::uint32_t at, shm::Span span) {
      runs = at + span.length;
      if (span.state == shm::SpanState::large &&
          !is_sound_word(shm::region.chunks[at].owner.load())) {
        fault = "a large block of nobody";
      }
      if (span.state == shm::SpanState::large) {
        for (std::uint32_t i = 0; i < span.length; ++i) {
          if (shm::region.chunks[at + i].backed.load() == 0) fault = "a block that is not backed";
        }
      }
      if (span.state != shm::SpanState::slab || shm::slab_is_empty(at, span)) return;
      for (std::uint32_t i = 0; i < shm::words_per_chunk; ++i) {
        if (i >= shm::class_capacity(span.size_class)) break;
        const std::uint64_t word = shm::chunk_words(at)[i].load();
        if (word != 0 && !is_sound_word(word)) fault = "a small block of nobody";
      }
    });
    if (runs != covered) fault = "runs do not tile";
    const bool orphan = extent.owner == shm::MemberId{};
    if (!orphan && !is_sound_word(shm::block_word(extent.owner))) fault = "an extent of nobody";
  });
  if (covered != shm::complete_frontier()) fault = "extents do not reach the frontier";
  return fault;
}

/// A block with a pattern in it.
struct Filled {
  unsigned char* data = nullptr;
  std::size_t bytes = 0;
  unsigned char pattern = 0;

  static Filled make(std::size_t bytes, unsigned char pattern) {
    auto* data = static_cast<unsigned char*>(shm::allocate(bytes));
    std::memset(data, pattern, bytes);
    return {data, bytes, pattern};
  }
  bool intact() const {
    for (std::size_t i = 0; i < bytes; ++i) {
      if (data[i] != pattern) return false;
    }
    return true;
  }
};

/// Allocates blocks of all kinds, fills them, and sees that none touches another; frees them.
inline bool can_use_heap() {
  std::vector<Filled> blocks;
  const std::size_t sizes[] = {64, 200, 3000, 40000, 100, 200000, 64, 9000};
  unsigned char pattern = 1;
  for (const std::size_t size : sizes) blocks.push_back(Filled::make(size, pattern++));
  bool intact = true;
  for (const Filled& block : blocks) intact = intact && block.intact();
  for (const Filled& block : blocks) shm::deallocate(block.data);
  return intact;
}

/// All blocks that are given, while nobody else changes the heap.
std::vector<void*> given_blocks();

/// Lines of /proc/self/maps that are the heap's.
std::size_t heap_mappings();

}  // namespace heap_test
