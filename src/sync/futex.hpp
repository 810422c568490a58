// Futexes on *shared* mappings: they work between processes, and between threads as well.
// (std::atomic::wait uses private futexes, which do not wake another process.)
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>

namespace procyon::sync {

using FutexWord = std::atomic<std::uint32_t>;

constexpr int all_waiters = 0x7fffffff;

/// Sleeps while `word` is `expected`, at most `limit`. May return early for no reason: look at
/// what you wait for again. The waker changes the word first and wakes after, and the kernel
/// compares the word under the lock that wakers take, so no wake-up falls between.
void futex_wait(const FutexWord& word, std::uint32_t expected, std::chrono::nanoseconds limit);

/// As above, without a limit.
void futex_wait(const FutexWord& word, std::uint32_t expected);

/// A word, and the value it has while its event has not come.
struct FutexWait {
  const FutexWord* word;
  std::uint32_t expected;
};

/// As futex_wait on several words at once. Where the kernel or a filter of system calls refuses
/// that, and for words behind the 128th, sleeps are a millisecond at most.
void futex_wait_any(std::span<const FutexWait> words, std::chrono::nanoseconds limit);

/// Wakes up to `count` sleepers. A wake-up given to a process that then dies is lost: whoever
/// reports a death changes the word and wakes all.
void futex_wake(const FutexWord& word, int count) noexcept;

/// One turn of a spin loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

}  // namespace procyon::sync
