// A bar for a map that somebody at a terminal waits for.
#pragma once

#include <procyon/engine/engine.hpp>

#include <chrono>
#include <cstdint>

namespace procyon::detail {

/// Draws on stderr where that is a terminal, once the work has lasted a tenth of a second, and
/// not more than ten times a second; gone when it is destroyed. Used by one thread at a time.
class ProgressBar final : public engine::ProgressListener {
 public:
  explicit ProgressBar(bool wanted) noexcept;
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Whether anybody is looking.
  bool active() const noexcept { return active_; }
  /// Waits for the job, as Engine::wait does.
  void wait(engine::Engine& engine, engine::Job* job);
  void show(std::uint64_t done, std::uint64_t items) noexcept override;

 private:
  using Clock = std::chrono::steady_clock;

  bool active_;
  bool drawn_ = false;
  Clock::time_point begun_;
  Clock::time_point shown_;
};

}  // namespace procyon::detail
