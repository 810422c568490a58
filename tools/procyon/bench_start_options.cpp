#include "procyon/bench_start_options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <limits>

#include "procyon/parse.hpp"

namespace procyon::tool {

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

// Bytes that programs can have without others being swapped out.
std::size_t available_memory() {
  std::ifstream info("/proc/meminfo");
  std::string name;
  for (std::size_t kib = 0; info >> name >> kib; info.ignore(80, '\n')) {
    if (name == "MemAvailable:") return kib << 10;
  }
  return std::numeric_limits<std::size_t>::max();
}

// The program's own, and as much in Python.
std::size_t parse_memory(const std::string& text) {
  const std::size_t fits = std::max<std::size_t>(available_memory() / 4 / mib, 1);
  if (text.empty()) return std::min<std::size_t>(1024, fits) * mib;
  const std::string example = fmt::format("--memory {}", std::min<std::size_t>(1024, fits));
  return parse_count("--memory", text, 1, 2 * fits, example) * mib;
}

}  // namespace

StartOptions check_options(const StartText& text) {
  StartOptions options;
  if (!text.repetitions.empty()) {
    options.repetitions = parse_count("--repetitions", text.repetitions, 1, 10'000, "-r 20");
  }
  options.seconds = parse_seconds("--time", text.seconds, 30);
  options.memory = parse_memory(text.memory);
  if (!text.seed.empty()) {
    options.seed = parse_count("--seed", text.seed, 0, SIZE_MAX, "--seed 1");
  }
  options.json = parse_output("--json", text.json);
  options.csv = parse_output("--csv", text.csv);
  options.plot = parse_plot("--plot", text.plot);
  options.python = !text.no_python;
  return options;
}

}  // namespace procyon::tool
