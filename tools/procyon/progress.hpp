// A bar for work that takes long, where somebody is looking.
#pragma once

#include <atomic>
#include <string>
#include <thread>

namespace procyon::tool {

/// Draws on stderr, if that is a terminal, once the work has lasted half a second; gone when it is
/// destroyed. A thread draws, so make a Pool first: it would have to copy that thread.
class Progress {
 public:
  explicit Progress(std::string title);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Whether anybody is looking.
  bool active() const noexcept { return thread_.joinable(); }
  /// `fraction` of the work is done.
  void show(double fraction) noexcept { fraction_.store(fraction, std::memory_order_relaxed); }

 private:
  void draw_until(const std::stop_token& stop) const;

  std::string title_;
  std::atomic<double> fraction_{0};
  std::jthread thread_;
};

/// "title [#####-----]  50 %  about 3 s left".
std::string progress_line(const std::string& title, double fraction, double seconds_so_far);

}  // namespace procyon::tool
