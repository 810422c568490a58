// Waiting for several futexes at once.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "sync/futex.hpp"

using procyon::sync::futex_wait_any;
using procyon::sync::FutexWait;
using procyon::sync::FutexWord;

namespace {

std::vector<FutexWait> waits_for(const std::vector<FutexWord>& words) {
  std::vector<FutexWait> waits;
  for (const FutexWord& word : words) waits.push_back({&word, 0});
  return waits;
}

/// Waits for any of so many words while another thread changes one of them.
void check_woken(std::size_t count, std::size_t changed) {
  std::vector<FutexWord> words(count);
  const auto waits = waits_for(words);
  const std::jthread waker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    words[changed].store(1);
    procyon::sync::futex_wake(words[changed], 1);
  });
  while (words[changed].load() == 0) futex_wait_any(waits, std::chrono::hours(1));
  CHECK(words[changed].load() == 1);
}

}  // namespace

TEST_CASE("a wait for several words ends when any of them changes, however many there are") {
  for (const std::size_t count : {1U, 2U, 128U, 129U, 1000U}) {
    INFO(count << " words");
    check_woken(count, 0);
    check_woken(count, count / 2);
    check_woken(count, count - 1);
  }
}

TEST_CASE("a wait for several words does not begin when one has changed, and ends in time") {
  std::vector<FutexWord> words(300);
  const auto waits = waits_for(words);
  futex_wait_any(waits, std::chrono::milliseconds(2));
  futex_wait_any(std::span(waits).first(2), std::chrono::milliseconds(2));
  futex_wait_any({}, std::chrono::hours(1));
  futex_wait_any(waits, std::chrono::nanoseconds(-1));
  words[299].store(1);
  futex_wait_any(waits, std::chrono::hours(1));
  words[1].store(1);
  futex_wait_any(std::span(waits).first(2), std::chrono::nanoseconds::max());
  CHECK(words[0].load() == 0);
}
