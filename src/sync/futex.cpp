#include "sync/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace procyon::sync {
namespace {

using std::chrono::nanoseconds;

void wait_at_most(const FutexWord& word, std::uint32_t expected, const timespec* limit) {
  // EAGAIN (the word differs), EINTR and ETIMEDOUT all mean: look again.
  syscall(SYS_futex, &word, FUTEX_WAIT, expected, limit, nullptr, 0);
}

constexpr std::size_t most_words = 128;  // the kernel's limit
constexpr std::chrono::milliseconds slice{1};

timespec time_of(nanoseconds duration) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  return {static_cast<time_t>(seconds.count()), static_cast<long>((duration - seconds).count())};
}

// False: there is no such system call here.
bool wait_at_most(std::span<const FutexWait> words, nanoseconds limit) {
#if defined(SYS_futex_waitv) && defined(FUTEX_32)
  futex_waitv waits[most_words] = {};
  for (std::size_t i = 0; i < words.size(); ++i) {
    waits[i].val = words[i].expected;
    waits[i].uaddr = reinterpret_cast<std::uintptr_t>(words[i].word);
    waits[i].flags = FUTEX_32;
  }
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const nanoseconds start = std::chrono::seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
  const timespec end = time_of(limit < nanoseconds::max() - start ? start + limit : limit);
  if (syscall(SYS_futex_waitv, waits, words.size(), 0, &end, CLOCK_MONOTONIC) >= 0) return true;
  return errno != ENOSYS && errno != EPERM && errno != EINVAL;
#else
  static_cast<void>(words);
  static_cast<void>(limit);
  return false;
#endif
}

}  // namespace

void futex_wait(const FutexWord& word, std::uint32_t expected, std::chrono::nanoseconds limit) {
  if (limit.count() <= 0) return;
  const timespec time = time_of(limit);
  wait_at_most(word, expected, &time);
}

void futex_wait(const FutexWord& word, std::uint32_t expected) {
  wait_at_most(word, expected, nullptr);
}

void futex_wait_any(std::span<const FutexWait> words, nanoseconds limit) {
  if (limit.count() <= 0 || words.empty()) return;
  for (const FutexWait& each : words) {
    if (each.word->load(std::memory_order_acquire) != each.expected) return;
  }
  if (words.size() == 1) return futex_wait(*words[0].word, words[0].expected, limit);
  if (words.size() > most_words) limit = std::min<nanoseconds>(limit, slice);
  if (wait_at_most(words.first(std::min(words.size(), most_words)), limit)) return;
  futex_wait(*words[0].word, words[0].expected, std::min<nanoseconds>(limit, slice));
}

void futex_wake(const FutexWord& word, int count) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0);
}

}  // namespace procyon::sync
