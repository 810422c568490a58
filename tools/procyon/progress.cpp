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

constexpr auto patience = std::chrono::milliseconds(500);  // before the first drawing
constexpr auto interval = std::chrono::milliseconds(200);  // between two
constexpr double width = 30;

}  // namespace

Progress::Progress(std::string title, Drawn drawn)
    : title_(std::move(title)), watched_(::isatty(STDERR_FILENO) == 1) {
  if (watched_ && drawn == Drawn::by_thread) {
    thread_ = std::jthread([this](const std::stop_token& stop) { draw_until(stop); });
  }
}

Progress::~Progress() {
  if (!thread_.joinable() && drawn_ != begun_) wipe();
}

void Progress::show(double fraction) {
  fraction_.store(fraction, std::memory_order_relaxed);
  if (!watched_ || thread_.joinable()) return;
  const auto now = Clock::now();
  if (now - begun_ < patience || now - drawn_ < interval) return;
  drawn_ = now;
  draw();
}

void Progress::draw() const {
  const double seconds = std::chrono::duration<double>(Clock::now() - begun_).count();
  const std::string line = progress_line(title_, fraction_.load(), seconds);
  std::fputs(("\r" + line + "\x1b[K").c_str(), stderr);
  std::fflush(stderr);
}

void Progress::wipe() {
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

void Progress::draw_until(const std::stop_token& stop) const {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  const auto never = [] { return false; };
  stopped.wait_for(lock, stop, patience, never);
  if (stop.stop_requested()) return;
  while (!stop.stop_requested()) {
    draw();
    stopped.wait_for(lock, stop, interval, never);
  }
  wipe();
}

std::string progress_line(const std::string& title, double fraction, double seconds_so_far) {
  fraction = std::clamp(fraction, 0.0, 1.0);
  if (fraction < 0.005) return fmt::format("{}, {:.0f} s so far", title, seconds_so_far);
  const auto done = static_cast<std::size_t>(std::lround(fraction * width));
  const std::string bar =
      std::string(done, '#') + std::string(static_cast<std::size_t>(width) - done, '-');
  return fmt::format("{} [{}] {:3.0f} %  about {:.0f} s left", title, bar, 100 * fraction,
                     seconds_so_far * (1 - fraction) / fraction);
}

}  // namespace procyon::tool
