// What `procyon bench start` measured, and how it is told.
#pragma once

#include <procyon/engine/start_method.hpp>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "procyon/bench_start_options.hpp"
#include "procyon/statistics.hpp"

namespace procyon::tool {

/// One start method, in a program that holds `memory` bytes for the sake of it.
struct StartRow {
  StartMethod method = StartMethod::fork;
  std::size_t memory = 0;
  double target = 0;                        ///< seconds: what the median is to be at most
  std::vector<double> seconds = {};         ///< of Procyon
  std::vector<double> python_seconds = {};  ///< of Python's multiprocessing; none: see StartRun

  const char* method_name() const;
  /// "forkserver, 1024 MiB".
  std::string name() const;
  Summary procyon() const { return summarise(seconds); }
  Summary python() const { return summarise(python_seconds); }
  bool met() const { return procyon().median <= target; }
  /// Python's median over Procyon's; 0 where there is none.
  double ratio() const;
};

struct StartRun {
  StartOptions options;
  nlohmann::ordered_json environment;
  std::string python;  ///< "Python 3.11.2", or why there is none beside
  std::vector<StartRow> rows;
  double steal_seconds = 0;  ///< of all CPUs, during the run
  double elapsed_seconds = 0;
};

std::string header_text(const StartRun& run);
std::string table_text(const StartRun& run);
std::string verdict(const StartRun& run, const StartRow& row);
nlohmann::ordered_json to_json(const StartRun& run);
std::string to_csv(const StartRun& run);
/// Draws the medians side by side. Throws as `draw_plot`.
std::string plot_of(const StartRun& run);

}  // namespace procyon::tool
