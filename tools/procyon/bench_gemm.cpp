#include "procyon/bench_gemm.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "procyon/bench_environment.hpp"
#include "procyon/bench_output.hpp"
#include "procyon/bench_plot.hpp"
#include "procyon/bench_report.hpp"
#include "procyon/blas_fix.hpp"
#include "procyon/every_worker.hpp"
#include "procyon/progress.hpp"

namespace procyon::tool {

namespace {

using Clock = std::chrono::steady_clock;

// The whole measurement: pools that stay, and the workloads one after the other.
class GemmBench {
 public:
  explicit GemmBench(BenchRun& run)
      : run_(run),
        pools_(run.options.workers, run.options.pin),
        peak_(run.options.single_precision),
        random_(run.options.seed) {}

  void measure_all() {
    Progress progress("bench gemm");
    run_.threads = check_threads(pools_);
    for (const auto& [pid, cpus] : in_every_worker(pools_.processes, &cpu_affinity)) {
      run_.worker_cpus.push_back(cpus);
    }
    run_.triad = measure_triad(pools_.threads);
    const double each = 1.0 / static_cast<double>(run_.options.workloads.size());
    for (std::size_t i = 0; i < run_.options.workloads.size(); ++i) {
      const Workload& workload = run_.options.workloads[i];
      const auto show = [&](double part) { progress.show((static_cast<double>(i) + part) * each); };
      run_.rows.push_back(run_.options.single_precision ? measure<float>(workload, show)
                                                        : measure<double>(workload, show));
    }
    run_.peak_one = peak_.one_core();
    run_.peak_all = peak_.all_cores();
    run_.peak_vectors = peak_.vectors();
  }

 private:
  template <class T, class Show>
  BenchRow measure(const Workload& workload, const Show& show) {
    const BenchBatch<T> batch(workload, run_.options.seed, pools_.threads);
    BenchRow row{.workload = workload, .bytes = batch.bytes()};
    warm_up(batch, row);
    const double share = run_.options.seconds / static_cast<double>(run_.options.workloads.size());
    const auto start = Clock::now();
    for (std::size_t round = 0; !enough(round, seconds_since(start), share); ++round) {
      show(seconds_since(start) / share);
      take_round(batch, row, round);
    }
    return row;
  }

  // One untimed call a mode, whose results are compared, and which tells how long a batch takes.
  template <class T>
  void warm_up(const BenchBatch<T>& batch, BenchRow& row) {
    constexpr double shortest_sample = 10e-3;
    batch.enter_pages(pools_.processes);
    for (const Mode mode : all_modes) {
      batch.spoil(pools_.threads);
      batch.multiply(mode, pools_);
      row.modes[index_of(mode)].fingerprint = batch.fingerprint(pools_.threads);
      if (mode != Mode::serial) continue;
      row.error = batch.check().worst_ratio;
      const double batch_time = time(batch, mode, 1);
      row.inner =
          static_cast<std::size_t>(std::clamp(std::ceil(shortest_sample / batch_time), 1.0, 1e7));
    }
    wait_until_idle();
  }

  // Without a number of repetitions: nine and more while there is time for them, and five at least.
  bool enough(std::size_t round, double seconds, double share) const {
    if (run_.options.repetitions > 0) return round >= run_.options.repetitions;
    if (round >= 9) return round >= 31 || seconds >= share;
    return round >= 5 && seconds >= 1.5 * share;
  }

  // The default modes leave OpenBLAS threads spinning, which is waited for. They come last, and
  // in every other round.
  template <class T>
  void take_round(const BenchBatch<T>& batch, BenchRow& row, std::size_t round) {
    std::vector<Mode> modes(pinned_modes.begin(), pinned_modes.end());
    std::shuffle(modes.begin(), modes.end(), random_);
    if (round % 2 == 0) {
      modes.insert(modes.end(), default_modes.begin(), default_modes.end());
      std::shuffle(modes.end() - default_modes.size(), modes.end(), random_);
    }
    for (const Mode mode : modes) {
      row.modes[index_of(mode)].seconds.push_back(time(batch, mode, row.inner));
    }
    if (round % 2 == 0) wait_until_idle();
    peak_.burst(pools_.threads);
  }

  template <class T>
  double time(const BenchBatch<T>& batch, Mode mode, std::size_t inner) {
    const auto start = Clock::now();
    for (std::size_t i = 0; i < inner; ++i) batch.multiply(mode, pools_);
    return seconds_since(start) / static_cast<double>(inner);
  }

  BenchRun& run_;
  Pools pools_;
  Peak peak_;
  std::mt19937_64 random_;
};

}  // namespace

void bench_gemm(const BenchOptions& options) {
  BenchRun run;
  run.options = options;
  if (options.blas_fix) run.blas_fix = fix_blas_kernels();
  run.environment = describe_environment();
  const Stopwatch watch;
  GemmBench(run).measure_all();
  run.elapsed_seconds = watch.seconds();
  run.steal_seconds = watch.steal_seconds();
  std::string text = header_text(run) + "\n" + table_text(run) + "\n";
  for (const BenchRow& row : run.rows) text += verdict(row) + "\n";
  publish(text,
          {{options.json, [&] { return to_json(run).dump(2) + "\n"; }},
           {options.csv, [&] { return to_csv(run); }},
           {options.plot, [&] { return plot_of(run); }}},
          failures(run));
}

}  // namespace procyon::tool
