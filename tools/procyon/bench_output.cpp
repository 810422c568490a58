#include "procyon/bench_output.hpp"

#include <unistd.h>

#include <stdexcept>
#include <system_error>

#include "procyon/bench_environment.hpp"
#include "procyon/output.hpp"
#include "procyon/text_file.hpp"

namespace procyon::tool {

Stopwatch::Stopwatch() : stolen_(stolen_ticks()) {}

double Stopwatch::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

double Stopwatch::steal_seconds() const {
  return static_cast<double>(stolen_ticks() - stolen_) /
         static_cast<double>(::sysconf(_SC_CLK_TCK));
}

nlohmann::ordered_json summary_json(const Summary& seconds) {
  return {{"median", seconds.median},
          {"min", seconds.min},
          {"max", seconds.max},
          {"p95", seconds.p95},
          {"median_95_percent", {seconds.low, seconds.high}}};
}

void publish(const std::string& text, const std::vector<Report>& reports, std::string wrong) {
  try {
    print(text);
  } catch (const std::system_error& error) {
    wrong = error.what();
  }
  for (const Report& report : reports) {
    if (!report.path.empty()) write_text(report.path, report.text());
  }
  if (!wrong.empty()) throw std::runtime_error(wrong);
}

}  // namespace procyon::tool
