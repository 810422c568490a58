#include "procyon/bench_start_report.hpp"

#include <fmt/format.h>

#include "procyon/bench_environment.hpp"
#include "procyon/bench_output.hpp"
#include "procyon/gnuplot.hpp"

namespace procyon::tool {

namespace {

using nlohmann::ordered_json;

constexpr double milliseconds = 1e3;

std::string python_text(const StartRow& row) {
  if (row.python_seconds.empty()) return fmt::format("{:>10} {:>7}", "-", "-");
  return fmt::format("{:>10.2f} {:>7.1f}", row.python().median * milliseconds, row.ratio());
}

ordered_json row_json(const StartRun& run, const StartRow& row) {
  ordered_json json{{"method", row.method_name()},
                    {"memory_bytes", row.memory},
                    {"target_seconds", row.target},
                    {"met", row.met()},
                    {"seconds", summary_json(row.procyon())},
                    {"samples", row.seconds}};
  if (!row.python_seconds.empty()) {
    json["python_over_procyon"] = row.ratio();
    json["python_seconds"] = summary_json(row.python());
    json["python_samples"] = row.python_seconds;
  }
  json["verdict"] = verdict(run, row);
  return json;
}

}  // namespace

const char* StartRow::method_name() const {
  if (method == StartMethod::fork) return "fork";
  return method == StartMethod::forkserver ? "forkserver" : "spawn";
}

std::string StartRow::name() const {
  if (memory == 0) return method_name();
  return fmt::format("{}, {} MiB", method_name(), memory >> 20);
}

double StartRow::ratio() const {
  const double own = procyon().median;
  return own > 0 ? python().median / own : 0;
}

std::string header_text(const StartRun& run) {
  const std::size_t samples = run.rows.empty() ? 0 : run.rows.front().seconds.size();
  return environment_text(run.environment) +
         fmt::format(
             "A pool of 2 made, to its first result: {} samples each, seed {}; beside it: {}\n"
             "{:.0f} s, of which the hypervisor took {:.1f} CPU seconds\n",
             samples, run.options.seed, run.python, run.elapsed_seconds, run.steal_seconds);
}

std::string table_text(const StartRun& run) {
  std::string text = fmt::format("{:<22} {:>10} {:>8} {:>8} {:>8}  {:>10} {:>7}\n", "method",
                                 "procyon ms", "min", "p95", "target", "Python ms", "ratio");
  for (const StartRow& row : run.rows) {
    const Summary own = row.procyon();
    text += fmt::format("{:<22} {:>10.2f} {:>8.2f} {:>8.2f} {:>8.2f}  {}\n", row.name(),
                        own.median * milliseconds, own.min * milliseconds, own.p95 * milliseconds,
                        row.target * milliseconds, python_text(row));
  }
  return text;
}

std::string verdict(const StartRun& run, const StartRow& row) {
  const std::string beside = row.python_seconds.empty()
                                 ? fmt::format("Python beside it: {}", run.python)
                                 : fmt::format("Python takes {:.1f} times as long", row.ratio());
  return fmt::format("{}: {:.2f} ms; {}; the target of {:.0f} ms is {}.", row.name(),
                     row.procyon().median * milliseconds, beside, row.target * milliseconds,
                     row.met() ? "met" : "MISSED");
}

ordered_json to_json(const StartRun& run) {
  ordered_json json;
  json["benchmark"] = "start";
  json["environment"] = run.environment;
  json["python"] = run.python;
  json["options"] = {{"repetitions", run.options.repetitions},
                     {"time", run.options.seconds},
                     {"memory_bytes", run.options.memory},
                     {"seed", run.options.seed}};
  json["elapsed_seconds"] = run.elapsed_seconds;
  json["steal_seconds"] = run.steal_seconds;
  json["rows"] = ordered_json::array();
  for (const StartRow& row : run.rows) json["rows"].push_back(row_json(run, row));
  return json;
}

std::string to_csv(const StartRun& run) {
  std::string text =
      "method,memory_bytes,samples,seconds_median,seconds_min,seconds_p95,target_seconds,met,"
      "python_samples,python_seconds_median,python_over_procyon\n";
  for (const StartRow& row : run.rows) {
    const Summary own = row.procyon();
    text += fmt::format("{},{},{},{:.9f},{:.9f},{:.9f},{},{},{}", row.method_name(), row.memory,
                        row.seconds.size(), own.median, own.min, own.p95, row.target,
                        row.met() ? 1 : 0, row.python_seconds.size());
    const bool both = !row.python_seconds.empty();
    text += both ? fmt::format(",{:.9f},{:.4f}\n", row.python().median, row.ratio()) : ",,\n";
  }
  return text;
}

std::string plot_of(const StartRun& run) {
  std::string data;
  for (const StartRow& row : run.rows) {
    const bool both = !row.python_seconds.empty();
    data +=
        fmt::format("\"{}\" {:.4f} {} {:.4f}\n", row.name(), row.procyon().median * milliseconds,
                    both ? fmt::format("{:.4f}", row.python().median * milliseconds) : "?",
                    row.target * milliseconds);
  }
  const std::string script = fmt::format(
      "set terminal svg size 900,460 dynamic font 'sans,13' background '#ffffff'\n"
      "set output 'plot.svg'\nset title 'A pool of 2 made, to its first result ({})'\n"
      "set datafile missing '?'\nset style data histograms\nset style histogram clustered gap 1\n"
      "set style fill solid 0.9 border -1\nset logscale y\nset ylabel 'milliseconds, median'\n"
      "set grid y lc rgb '#dddddd'\nset tics nomirror\nset key top left\n"
      "plot 'data' using 2:xtic(1) lc rgb '#0072b2' title 'procyon', "
      "'' using 3 lc rgb '#d55e00' title 'Python multiprocessing', "
      "'' using 0:4 with points pt 2 ps 1.5 lc rgb '#000000' title 'target'\n",
      plot_text(run.environment["cpu"]["model name"].get<std::string>()));
  return draw_plot(script, data);
}

}  // namespace procyon::tool
