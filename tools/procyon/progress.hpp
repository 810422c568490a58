// A bar for work that takes long, where somebody is looking.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace procyon::tool {

/// Draws on stderr, if that is a terminal, once the work has lasted half a second; gone when it is
/// destroyed. A thread draws, so make a Pool first: it would have to copy that thread. Or the
/// caller does, in `show`, where the work comes in short pieces.
class Progress {
 public:
  enum class Drawn { by_thread, by_caller };
  explicit Progress(std::string title, Drawn drawn = Drawn::by_thread);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Whether anybody is looking.
  bool active() const noexcept { return watched_; }
  /// `fraction` of the work is done.
  void show(double fraction);

 private:
  using Clock = std::chrono::steady_clock;
  void draw_until(const std::stop_token& stop) const;
  void draw() const;
  static void wipe();

  std::string title_;
  bool watched_ = false;
  Clock::time_point begun_ = Clock::now();
  Clock::time_point drawn_ = begun_;  // by the caller
  std::atomic<double> fraction_{0};
  std::jthread thread_;
};

/// "title [#####-----]  50 %  about 3 s left".
std::string progress_line(const std::string& title, double fraction, double seconds_so_far);

}  // namespace procyon::tool
