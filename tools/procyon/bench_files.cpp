// The report as JSON and CSV.
#include <fmt/format.h>

#include "procyon/bench_output.hpp"
#include "procyon/bench_report.hpp"

namespace procyon::tool {

namespace {

using nlohmann::ordered_json;

ordered_json mode_json(const BenchRun& run, const BenchRow& row, Mode mode) {
  const bool pinned = index_of(mode) < pinned_modes.size();
  return {{"mode", mode_key(mode)},
          {"label", mode_name(mode, run.options.workers)},
          {"blas_threads", pinned ? 1 : run.options.workers},
          {"gflops", run.gflops(row, mode)},
          {"speed_up", row.speed_up(mode, Mode::serial)},
          {"percent_of_peak", run.percent_of_peak(row, mode)},
          {"same_bits", row.same_bits(mode)},
          {"seconds", summary_json(row.seconds(mode))},
          {"samples", row.modes[index_of(mode)].seconds}};
}

ordered_json row_json(const BenchRun& run, const BenchRow& row) {
  ordered_json json{{"size", row.workload.size},
                    {"count", row.workload.count},
                    {"shared", shared_name(row.workload.shared)},
                    {"operand_bytes", row.bytes},
                    {"batches_a_sample", row.inner},
                    {"error_over_bound", row.error},
                    {"process_over_thread", row.speed_up(Mode::process, Mode::thread)},
                    {"process_over_serial", row.speed_up(Mode::process, Mode::serial)},
                    {"verdict", verdict(row)}};
  for (const Mode mode : all_modes) json["modes"].push_back(mode_json(run, row, mode));
  return json;
}

ordered_json threads_json(const BenchRun& run) {
  ordered_json list = ordered_json::array();
  for (const ThreadCheck& check : run.threads) {
    ordered_json entry{{"mode", mode_key(check.mode)}, {"passed", check.passed()}};
    for (const ThreadCount& count : check.processes) {
      entry["processes"].push_back(
          {{"tasks", count.tasks}, {"active", count.active}, {"blas", count.strangers}});
    }
    list.push_back(entry);
  }
  return list;
}

}  // namespace

ordered_json to_json(const BenchRun& run) {
  ordered_json json;
  json["benchmark"] = "gemm";
  json["environment"] = run.environment;
  json["blas_fix"] = run.blas_fix;
  json["options"] = {{"dtype", run.options.dtype()},
                     {"operands", run.options.hot ? "hot" : "streaming"},
                     {"workers", run.options.workers},
                     {"pinned_to_cpus", run.options.pin},
                     {"repetitions", run.options.repetitions},
                     {"time", run.options.seconds},
                     {"seed", run.options.seed}};
  json["peak_gflops"] = {
      {"one_core", run.peak_one}, {"all_cores", run.peak_all}, {"vectors", run.peak_vectors}};
  json["triad_gigabytes_per_second"] = {{"one_core", run.triad.one_core},
                                        {"all_cores", run.triad.all_cores}};
  json["threads"] = threads_json(run);
  json["worker_affinity"] = run.worker_cpus;
  json["elapsed_seconds"] = run.elapsed_seconds;
  json["steal_seconds"] = run.steal_seconds;
  json["failures"] = failures(run);
  json["rows"] = ordered_json::array();
  for (const BenchRow& row : run.rows) json["rows"].push_back(row_json(run, row));
  return json;
}

std::string to_csv(const BenchRun& run) {
  std::string text =
      "size,count,shared,mode,samples,gflops_median,seconds_median,seconds_min,seconds_p95,"
      "speed_up,percent_of_peak,same_bits\n";
  for (const BenchRow& row : run.rows) {
    for (const Mode mode : all_modes) {
      const Summary seconds = row.seconds(mode);
      text += fmt::format("{},{},{},{},{},{:.4f},{:.9f},{:.9f},{:.9f},{:.4f},{:.2f},{}\n",
                          row.workload.size, row.workload.count, shared_name(row.workload.shared),
                          mode_key(mode), row.modes[index_of(mode)].seconds.size(),
                          run.gflops(row, mode), seconds.median, seconds.min, seconds.p95,
                          row.speed_up(mode, Mode::serial), run.percent_of_peak(row, mode),
                          row.same_bits(mode) ? 1 : 0);
    }
  }
  return text;
}

}  // namespace procyon::tool
