#include "procyon/bench_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "procyon/bench_environment.hpp"

namespace procyon::tool {

namespace {

const char* bits_text(const BenchRow& row, Mode mode) {
  if (mode == Mode::serial) return "reference";
  return row.same_bits(mode) ? "equal" : "differ";
}

// Of speeds: the sample of most seconds is the least of them.
Summary speeds(const BenchRow& row, Mode mode) {
  std::vector<double> values;
  for (const double seconds : row.modes[index_of(mode)].seconds) {
    values.push_back(row.workload.flops() / seconds * 1e-9);
  }
  return summarise(std::move(values));
}

std::string threads_text(const BenchRun& run) {
  std::vector<std::string> parts;
  for (const ThreadCheck& check : run.threads) {
    std::vector<std::size_t> counts;
    for (const ThreadCount& count : check.processes) {
      counts.push_back(check.mode == Mode::process ? count.tasks : count.active);
    }
    const char* const place = check.mode == Mode::process ? " in the workers" : "";
    parts.push_back(fmt::format("{} {}{}", mode_name(check.mode, run.options.workers),
                                fmt::join(counts, " and "), place));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string line_of(const BenchRun& run, const BenchRow& row, Mode mode) {
  const Summary speed = speeds(row, mode);
  return fmt::format("{:>6} {:>8}  {:<6} {:<26} {:>9.2f} {:>8.2f} {:>8.2f} {:>9.2f} {:>7.1f}  {}\n",
                     row.workload.size, row.workload.count, shared_name(row.workload.shared),
                     mode_name(mode, run.options.workers), speed.median, speed.min, speed.p95,
                     row.speed_up(mode, Mode::serial), run.percent_of_peak(row, mode),
                     bits_text(row, mode));
}

}  // namespace

double BenchRow::speed_up(Mode mode, Mode base) const {
  const double time = seconds(mode).median;
  return time > 0 ? seconds(base).median / time : 0;
}

bool BenchRow::same_bits(Mode mode) const {
  return modes[index_of(mode)].fingerprint == modes[index_of(Mode::serial)].fingerprint;
}

double BenchRun::gflops(const BenchRow& row, Mode mode) const { return speeds(row, mode).median; }

double BenchRun::percent_of_peak(const BenchRow& row, Mode mode) const {
  const double peak = mode == Mode::serial ? peak_one : peak_all;
  return peak > 0 ? 100 * gflops(row, mode) / peak : 0;
}

const char* shared_name(Shared shared) {
  switch (shared) {
    case Shared::left:
      return "one A";
    case Shared::right:
      return "one B";
    default:
      return "each";
  }
}

std::string header_text(const BenchRun& run) {
  std::string text = environment_text(run.environment);
  text += fmt::format("{} workers{}; {}, {} operands, seed {}\n", run.options.workers,
                      run.options.pin ? " on a CPU each" : "", run.options.dtype(),
                      run.options.hot ? "hot" : "streaming", run.options.seed);
  if (!run.blas_fix.empty()) text += run.blas_fix + "\n";
  text += fmt::format(
      "Peak by {}: {:.1f} GFLOP/s on one core, {:.1f} on all; "
      "memory (triad): {:.1f} and {:.1f} GB/s\n",
      run.peak_vectors, run.peak_one, run.peak_all, run.triad.one_core, run.triad.all_cores);
  text += fmt::format("Threads at work in a product of 256: {}\n", threads_text(run));
  text += fmt::format("{:.0f} s, of which the hypervisor took {:.1f} CPU seconds\n",
                      run.elapsed_seconds, run.steal_seconds);
  return text;
}

std::string table_text(const BenchRun& run) {
  std::string text =
      fmt::format("{:>6} {:>8}  {:<6} {:<26} {:>9} {:>8} {:>8} {:>9} {:>7}  {}\n", "size", "count",
                  "B", "mode", "GFLOP/s", "min", "p95", "speed-up", "% peak", "bits");
  for (const BenchRow& row : run.rows) {
    text += '\n';
    for (const Mode mode : all_modes) text += line_of(run, row, mode);
  }
  return text;
}

std::string verdict(const BenchRow& row) {
  const Summary process = row.seconds(Mode::process);
  const Summary thread = row.seconds(Mode::thread);
  const bool apart = process.low > thread.high || thread.low > process.high;
  const bool bits = row.same_bits(Mode::thread) && row.same_bits(Mode::process);
  return fmt::format(
      "n = {}: process mode is {:.2f} x serial and {:.2f} x thread mode{}; the bits of the three "
      "are {}.",
      row.workload.size, row.speed_up(Mode::process, Mode::serial),
      row.speed_up(Mode::process, Mode::thread),
      apart ? "" : " (no difference that these samples show)", bits ? "equal" : "NOT EQUAL");
}

std::string failures(const BenchRun& run) {
  std::vector<std::string> wrong;
  for (const BenchRow& row : run.rows) {
    for (const Mode mode : pinned_modes) {
      if (row.same_bits(mode)) continue;
      wrong.push_back(fmt::format("n = {}: {} mode gave other bits than serial mode",
                                  row.workload.size, mode_key(mode)));
    }
    if (row.error > 1) {
      wrong.push_back(fmt::format("n = {}: the error is {:.2g} times the bound for it",
                                  row.workload.size, row.error));
    }
  }
  for (const ThreadCheck& check : run.threads) {
    if (check.passed()) continue;
    wrong.push_back(fmt::format("{} mode: BLAS had more threads than one", mode_key(check.mode)));
  }
  return fmt::format("{}", fmt::join(wrong, "\n"));
}

}  // namespace procyon::tool
