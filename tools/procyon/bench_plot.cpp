#include "procyon/bench_plot.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "procyon/bench_report.hpp"
#include "procyon/gnuplot.hpp"

namespace procyon::tool {

namespace {

std::string data_of(const BenchRun& run) {
  std::string text;
  for (const BenchRow& row : run.rows) {
    text += std::to_string(row.workload.size);
    for (const Mode mode : all_modes) text += fmt::format(" {:.4f}", run.gflops(row, mode));
    text += fmt::format(" {:.4f} {:.4f}\n", row.speed_up(Mode::process, Mode::thread),
                        row.speed_up(Mode::process, Mode::serial));
  }
  return text;
}

std::string sizes_of(const BenchRun& run) {
  std::string ticks;
  for (const BenchRow& row : run.rows) {
    ticks += fmt::format("{}{}", ticks.empty() ? "" : ", ", row.workload.size);
  }
  return ticks;
}

// Colours that colour-blind readers tell apart (Okabe and Ito), and marks of different shapes.
constexpr std::array colours{"#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7"};

std::string speed_panel(const BenchRun& run) {
  const double top = 1.05 * std::max(run.peak_all, 1.0);
  std::string script = fmt::format(
      "set origin 0,0\nset size 0.62,0.93\nset ylabel 'GFLOP/s'\nset y2label '% of peak'\n"
      "set yrange [0:{0:.3f}]\nset y2range [0:{1:.3f}]\nset ytics nomirror\nset y2tics 20\n"
      "set key at screen 0.985,0.90 top right Left reverse samplen 2\n"
      "set title 'C = A B, {2}, {3} workers'\n"
      "plot {4:.3f} with lines dt 2 lc rgb '#555555' title 'peak, all cores', "
      "{5:.3f} with lines dt 3 lc rgb '#555555' title 'peak, one core'",
      top, 105.0, run.options.dtype(), run.options.workers, run.peak_all, run.peak_one);
  for (const Mode mode : all_modes) {
    script += fmt::format(", 'data' using 1:{} with linespoints lw 2 pt {} lc rgb '{}' title '{}'",
                          index_of(mode) + 2, std::array{5, 7, 9, 4, 8}[index_of(mode)],
                          colours[index_of(mode)], mode_name(mode, run.options.workers));
  }
  return script + "\n";
}

std::string ratio_panel(const BenchRun& run) {
  return fmt::format(
      "set origin 0.62,0\nset size 0.38,0.62\nset title 'process mode'\nset ylabel 'times as "
      "fast'\n"
      "unset y2label\nunset y2tics\nset ytics mirror\nset yrange [0:{:.2f}]\n"
      "set key default\nset key inside bottom right\n"
      "plot 1 with lines dt 2 lc rgb '#555555' notitle, "
      "'data' using 1:7 with linespoints lw 2 pt 7 lc rgb '{}' title 'as thread mode', "
      "'data' using 1:8 with linespoints lw 2 pt 5 lc rgb '{}' title 'as serial'\n",
      1.15 * static_cast<double>(run.options.workers), colours[1], colours[0]);
}

std::string script_of(const BenchRun& run) {
  const std::string title = plot_text(run.environment["cpu"]["model name"].get<std::string>());
  return fmt::format(
             "set terminal svg size 1100,520 dynamic font 'sans,13' background '#ffffff'\n"
             "set output 'plot.svg'\nset logscale x 2\nset xlabel 'rows and columns'\n"
             "set xtics ({})\nset grid lc rgb '#dddddd'\nset tics nomirror\n"
             "set multiplot title '{}, {} CPUs, {} operands'\n",
             sizes_of(run), title, run.environment["cpu"]["usable"].get<std::size_t>(),
             run.options.hot ? "hot" : "streaming") +
         speed_panel(run) + ratio_panel(run) + "unset multiplot\n";
}

}  // namespace

std::string plot_of(const BenchRun& run) { return draw_plot(script_of(run), data_of(run)); }

}  // namespace procyon::tool
