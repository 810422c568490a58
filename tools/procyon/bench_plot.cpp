#include "procyon/bench_plot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "procyon/bench_report.hpp"
#include "procyon/text_file.hpp"

namespace procyon::tool {

namespace {

namespace fs = std::filesystem;

// A directory of our own: names in it need no quoting in gnuplot's language.
class WorkDirectory {
 public:
  WorkDirectory() : path_((fs::temp_directory_path() / "procyon-plot-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), "no directory for the plot");
    }
  }
  ~WorkDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;
  std::string file(const char* name) const { return (fs::path(path_) / name).string(); }

 private:
  std::string path_;
};

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

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
  const std::string cpu = run.environment["cpu"]["model name"].get<std::string>();
  std::string title;
  // Marks that end a string of gnuplot's, or mean something in its texts.
  std::copy_if(cpu.begin(), cpu.end(), std::back_inserter(title), [](char c) {
    return std::string_view("'\\_^{}@&~\n").find(c) == std::string::npos;
  });
  return fmt::format(
             "set terminal svg size 1100,520 dynamic font 'sans,13' background '#ffffff'\n"
             "set output 'plot.svg'\nset logscale x 2\nset xlabel 'rows and columns'\n"
             "set xtics ({})\nset grid lc rgb '#dddddd'\nset tics nomirror\n"
             "set multiplot title '{}, {} CPUs, {} operands'\n",
             sizes_of(run), title, run.environment["cpu"]["usable"].get<std::size_t>(),
             run.options.hot ? "hot" : "streaming") +
         speed_panel(run) + ratio_panel(run) + "unset multiplot\n";
}

// The exit status of gnuplot in `directory`; what it says goes to the file `messages` there.
int run_gnuplot(const WorkDirectory& directory) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  const std::string folder = fs::path(directory.file("x")).parent_path().string();
  const std::string messages = directory.file("messages");
  ::posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, messages.c_str(), O_WRONLY | O_CREAT, 0600);
  ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  std::string program = "gnuplot";
  std::string script = "script";
  char* const arguments[] = {program.data(), script.data(), nullptr};
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error(error, std::generic_category(), "cannot run gnuplot");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

bool has_gnuplot() {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (::access((fs::path(folder) / "gnuplot").c_str(), X_OK) == 0) return true;
  }
  return false;
}

void write_plot(const BenchRun& run, const std::string& path) {
  const WorkDirectory directory;
  write_text(directory.file("data"), data_of(run));
  write_text(directory.file("script"), script_of(run));
  const int status = run_gnuplot(directory);
  const std::string picture = contents(directory.file("plot.svg"));
  if (status != 0 || picture.empty()) {
    throw std::runtime_error("gnuplot failed: " + contents(directory.file("messages")));
  }
  write_text(path, picture);
}

}  // namespace procyon::tool
