#include "sync/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

namespace procyon::sync {
namespace {

void wait_at_most(const FutexWord& word, std::uint32_t expected, const timespec* limit) {
  // EAGAIN (the word differs), EINTR and ETIMEDOUT all mean: look again.
  syscall(SYS_futex, &word, FUTEX_WAIT, expected, limit, nullptr, 0);
}

}  // namespace

void futex_wait(const FutexWord& word, std::uint32_t expected, std::chrono::nanoseconds limit) {
  if (limit.count() <= 0) return;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const timespec time{static_cast<time_t>(seconds.count()),
                      static_cast<long>((limit - seconds).count())};
  wait_at_most(word, expected, &time);
}

void futex_wait(const FutexWord& word, std::uint32_t expected) {
  wait_at_most(word, expected, nullptr);
}

void futex_wake(const FutexWord& word, int count) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0);
}

}  // namespace procyon::sync
