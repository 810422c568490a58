// What was measured, and how it is told: as a table, in sentences, as JSON and as CSV.
#pragma once

#include <nlohmann/json.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "procyon/bench_modes.hpp"
#include "procyon/bench_options.hpp"
#include "procyon/bench_peak.hpp"
#include "procyon/bench_threads.hpp"
#include "procyon/statistics.hpp"

namespace procyon::tool {

/// The samples of one mode on one workload.
struct ModeSamples {
  std::vector<double> seconds;    ///< a batch
  std::uint64_t fingerprint = 0;  ///< of C
};

struct BenchRow {
  Workload workload;
  std::size_t bytes = 0;  ///< of A, B and C
  std::size_t inner = 1;  ///< batches a sample
  double error = 0;       ///< of serial mode, in units of the componentwise bound
  std::array<ModeSamples, all_modes.size()> modes = {};

  Summary seconds(Mode mode) const { return summarise(modes[index_of(mode)].seconds); }
  /// How many times as fast as `base`, by medians.
  double speed_up(Mode mode, Mode base) const;
  bool same_bits(Mode mode) const;
};

struct BenchRun {
  BenchOptions options;
  nlohmann::ordered_json environment;
  std::string blas_fix;  ///< empty: none was needed
  std::vector<ThreadCheck> threads;
  std::vector<std::string> worker_cpus;  ///< that each worker process may use
  double peak_one = 0, peak_all = 0;     ///< GFLOP/s
  std::string peak_vectors;
  Triad triad;
  std::vector<BenchRow> rows;
  double steal_seconds = 0;  ///< of all CPUs, during the run
  double elapsed_seconds = 0;

  double gflops(const BenchRow& row, Mode mode) const;
  double percent_of_peak(const BenchRow& row, Mode mode) const;
};

/// "each", "one A", "one B".
const char* shared_name(Shared shared);
std::string header_text(const BenchRun& run);
std::string table_text(const BenchRun& run);
std::string verdict(const BenchRow& row);
/// What is wrong with the results; empty where nothing is.
std::string failures(const BenchRun& run);

nlohmann::ordered_json to_json(const BenchRun& run);
std::string to_csv(const BenchRun& run);

}  // namespace procyon::tool
