#include <procyon/executor/progress.hpp>

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace procyon::detail {
namespace {

constexpr std::chrono::milliseconds interval{100};
constexpr std::uint64_t width = 30;

// As one write: lines of other threads come before it or after. What a terminal does not take is
// not worth an error.
void put(std::string_view text) noexcept {
  if (write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

}  // namespace

ProgressBar::ProgressBar(bool wanted) noexcept
    : active_(wanted && isatty(STDERR_FILENO) == 1), begun_(Clock::now()), shown_(begun_) {}

ProgressBar::~ProgressBar() {
  if (drawn_) put("\r\x1b[K");
}

void ProgressBar::wait(engine::Engine& engine, engine::Job* job) {
  while (active_ && !engine.wait_for(job, interval)) {
    show(engine.items_done(job), engine::Engine::items(job));
  }
  engine.wait(job);
}

void ProgressBar::show(std::uint64_t done, std::uint64_t items) noexcept {
  const auto now = Clock::now();
  if (!active_ || items == 0 || now - shown_ < interval) return;
  shown_ = now;
  drawn_ = true;
  done = std::min(done, items);
  const double fraction = static_cast<double>(done) / static_cast<double>(items);
  const auto marks = static_cast<std::uint64_t>(fraction * static_cast<double>(width));
  const double seconds = std::chrono::duration<double>(now - begun_).count();
  fmt::basic_memory_buffer<char, 160> line;
  const auto out = std::back_inserter(line);
  fmt::format_to(out, "\r[{:#<{}}{:-<{}}] {:3.0f} %  {}/{}", "", marks, "", width - marks,
                 100 * fraction, done, items);
  if (done == 0) {
    fmt::format_to(out, "  {:.0f} s so far\x1b[K", seconds);
  } else {
    fmt::format_to(out, "  about {:.0f} s left\x1b[K", seconds * (1 - fraction) / fraction);
  }
  put({line.data(), line.size()});
}

}  // namespace procyon::detail
