#include "procyon/bench_start.hpp"

#include <procyon/base/errors.hpp>
#include <procyon/executor/pool.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <system_error>

#include "procyon/bench_environment.hpp"
#include "procyon/bench_output.hpp"
#include "procyon/bench_start_report.hpp"
#include "procyon/progress.hpp"
#include "procyon/subprocess.hpp"

namespace procyon::tool {

namespace {

using Clock = std::chrono::steady_clock;

/// Private memory of this program's, every page of it.
class Ballast {
 public:
  explicit Ballast(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    place_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (place_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~Ballast() {
    if (bytes_ != 0) ::munmap(place_, bytes_);
  }
  Ballast(const Ballast&) = delete;
  Ballast& operator=(const Ballast&) = delete;

 private:
  std::size_t bytes_;
  void* place_ = nullptr;
};

double measure_procyon(const StartRow& row) {
  const Ballast ballast(row.memory);
  const auto start = Clock::now();
  Pool pool(PoolOptions{.processes = 2, .start_method = row.method});
  const int result = pool.apply([](int x) { return -x; }, -1);
  const double seconds = seconds_since(start);
  if (result != 1) throw std::runtime_error("the pool gave a wrong result");
  return seconds;
}

/// Python, which does the same each time that it is told a method and a size in MiB.
class Python {
 public:
  /// Throws std::system_error where there is none, and std::runtime_error where it does not work.
  Python() : process_({"python3", "-c", script}) {
    const auto version = process_.read_line(patience);
    if (!version) throw std::runtime_error("python3 does not work");
    version_ = "Python " + *version;
  }
  const std::string& version() const { return version_; }

  double measure(const StartRow& row) {
    process_.send(std::string(row.method_name()) + " " + std::to_string(row.memory >> 20) + "\n");
    const std::string line = process_.read_line(patience).value_or("");
    double seconds = 0;
    std::from_chars(line.data(), line.data() + line.size(), seconds);
    if (seconds > 0) return seconds;
    throw std::runtime_error("no answer from python3 by " + row.name());
  }

 private:
  static constexpr std::chrono::seconds patience{30};
  // The function is a builtin: __main__ of -c has none that a process started afresh could import.
  static constexpr const char* script =
      "import multiprocessing, platform, sys, time\n"
      "print(platform.python_version(), flush=True)\n"
      "for line in iter(sys.stdin.readline, ''):\n"
      "    method, mebibytes = line.split()\n"
      "    ballast = b'x' * (int(mebibytes) << 20)\n"
      "    context = multiprocessing.get_context(method)\n"
      "    begin = time.perf_counter()\n"
      "    pool = context.Pool(2)\n"
      "    result = pool.apply(abs, (-1,))\n"
      "    seconds = time.perf_counter() - begin\n"
      "    pool.terminate()\n"
      "    pool.join()\n"
      "    del ballast\n"
      "    print(seconds if result == 1 else 0, flush=True)\n";

  Subprocess process_;
  std::string version_;
};

// The whole measurement. No thread may be there: a pool that forks would be refused.
class StartBench {
 public:
  explicit StartBench(StartRun& run) : run_(run), random_(run.options.seed) {
    constexpr double quick = 3e-3, afresh = 12e-3;
    run_.rows = {{.method = StartMethod::fork, .target = quick},
                 {.method = StartMethod::forkserver, .target = quick},
                 {.method = StartMethod::forkserver, .memory = run.options.memory, .target = quick},
                 {.method = StartMethod::spawn, .target = afresh}};
    find_python();
  }

  void measure_all() {
    Progress progress("bench start", Progress::Drawn::by_caller);
    take_round(false);
    const auto start = Clock::now();
    for (std::size_t round = 0; !enough(round, seconds_since(start)); ++round) {
      const double limit = run_.options.seconds;
      progress.show(run_.options.repetitions > 0
                        ? static_cast<double>(round) / static_cast<double>(run_.options.repetitions)
                        : seconds_since(start) / limit);
      take_round(true);
    }
  }

 private:
  void find_python() {
    run_.python = "no Python, as was asked for";
    if (!run_.options.python) return;
    try {
      python_ = std::make_unique<Python>();
      run_.python = python_->version();
    } catch (const std::system_error&) {
      run_.python = "python3 is not installed";
    } catch (const std::runtime_error& error) {
      run_.python = error.what();
    }
  }

  // Without a number of repetitions: while there is time, 101 at most, and five at least.
  bool enough(std::size_t round, double seconds) const {
    if (run_.options.repetitions > 0) return round >= run_.options.repetitions;
    return round >= 101 || (round >= 5 && seconds >= run_.options.seconds);
  }

  // Everything once, in random order. The first round starts what stays, and is not kept.
  void take_round(bool keep) {
    std::vector<std::pair<StartRow*, bool>> samples;
    for (StartRow& row : run_.rows) {
      samples.emplace_back(&row, false);
      if (python_) samples.emplace_back(&row, true);
    }
    std::shuffle(samples.begin(), samples.end(), random_);
    for (const auto& [row, by_python] : samples) {
      if (by_python) {
        take_python(*row, keep);
      } else {
        const double seconds = measure_procyon(*row);
        if (keep) row->seconds.push_back(seconds);
      }
    }
  }

  void take_python(StartRow& row, bool keep) {
    if (!python_) return;
    try {
      const double seconds = python_->measure(row);
      if (keep) row.python_seconds.push_back(seconds);
    } catch (const std::runtime_error& error) {
      run_.python = error.what();
      python_.reset();
    }
  }

  StartRun& run_;
  std::unique_ptr<Python> python_;
  std::mt19937_64 random_;
};

}  // namespace

void bench_start(const StartOptions& options) {
  StartRun run;
  run.options = options;
  run.environment = describe_environment();
  const Stopwatch watch;
  StartBench(run).measure_all();
  run.elapsed_seconds = watch.seconds();
  run.steal_seconds = watch.steal_seconds();
  std::string text = header_text(run) + "\n" + table_text(run) + "\n";
  for (const StartRow& row : run.rows) text += verdict(run, row) + "\n";
  publish(text, {{options.json, [&] { return to_json(run).dump(2) + "\n"; }},
                 {options.csv, [&] { return to_csv(run); }},
                 {options.plot, [&] { return plot_of(run); }}});
}

}  // namespace procyon::tool
