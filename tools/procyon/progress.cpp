#include "procyon/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <utility>

namespace procyon::tool {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto patience = std::chrono::milliseconds(500);  // before the first drawing
constexpr auto interval = std::chrono::milliseconds(200);  // between two
constexpr double width = 30;

}  // namespace

Progress::Progress(std::string title) : title_(std::move(title)) {
  if (::isatty(STDERR_FILENO) == 1) {
    thread_ = std::jthread([this](const std::stop_token& stop) { draw_until(stop); });
  }
}

Progress::~Progress() = default;

void Progress::draw_until(const std::stop_token& stop) const {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  const auto begun = Clock::now();
  const auto never = [] { return false; };
  stopped.wait_for(lock, stop, patience, never);
  if (stop.stop_requested()) return;
  while (!stop.stop_requested()) {
    const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    const std::string line = progress_line(title_, fraction_.load(), seconds);
    std::fputs(("\r" + line + "\x1b[K").c_str(), stderr);
    std::fflush(stderr);
    stopped.wait_for(lock, stop, interval, never);
  }
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

std::string progress_line(const std::string& title, double fraction, double seconds_so_far) {
  fraction = std::clamp(fraction, 0.0, 1.0);
  if (fraction == 0) return fmt::format("{}, {:.0f} s so far", title, seconds_so_far);
  const auto done = static_cast<std::size_t>(std::lround(fraction * width));
  const std::string bar =
      std::string(done, '#') + std::string(static_cast<std::size_t>(width) - done, '-');
  return fmt::format("{} [{}] {:3.0f} %  about {:.0f} s left", title, bar, 100 * fraction,
                     seconds_so_far * (1 - fraction) / fraction);
}

}  // namespace procyon::tool
