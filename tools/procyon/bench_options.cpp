#include "procyon/bench_options.hpp"

#include <procyon/linalg/gemm.hpp>

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>

#include "procyon/parse.hpp"

namespace procyon::tool {

namespace {

constexpr std::size_t largest_size = 16384;
constexpr std::size_t largest_batch = 100'000'000;

[[noreturn]] void refuse(const std::string& option, const std::string& reason) {
  throw CLI::ValidationError(option, reason);
}

std::vector<std::size_t> parse_list(const std::string& option, std::string_view text,
                                    std::size_t high, const std::string& example) {
  std::vector<std::size_t> values;
  while (true) {
    const std::size_t comma = std::min(text.find(','), text.size());
    values.push_back(parse_count(option, text.substr(0, comma), 1, high, example));
    if (comma == text.size()) return values;
    text.remove_prefix(comma + 1);
  }
}

// The index of the word, or the default 0 where nothing was given.
std::size_t parse_choice(const std::string& option, const std::string& text,
                         const std::vector<std::string>& words) {
  return text.empty() ? 0 : parse_word(option, text, words);
}

// Half a GFLOP to some, so that a sample lasts tens to hundreds of milliseconds; and of small
// matrices so many that they do not stay in any cache.
std::size_t default_count(std::size_t size, std::size_t workers) {
  struct Preset {
    std::size_t size, count;
  };
  for (const Preset preset : {Preset{32, 100'000}, Preset{64, 4096}, Preset{128, 1024},
                              Preset{256, 256}, Preset{512, 32}, Preset{1024, 4}}) {
    if (size <= preset.size) return std::max(preset.count, 2 * workers);
  }
  return 2 * workers;
}

// As many products as fill half of one core's second-level cache, for each worker.
std::size_t hot_count(std::size_t size, std::size_t element_size, std::size_t workers) {
  const long l2 = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
  const std::size_t cache = l2 > 0 ? static_cast<std::size_t>(l2) : std::size_t{1} << 20;
  return workers * std::max<std::size_t>(1, cache / 2 / (3 * size * size * element_size));
}

Shared parse_shared(const std::string& text, std::size_t size) {
  switch (parse_choice("--shared", text, {"auto", "none", "left", "right"})) {
    case 0:
      return size == 256 ? Shared::right : Shared::none;
    case 2:
      return Shared::left;
    case 3:
      return Shared::right;
    default:
      return Shared::none;
  }
}

std::vector<Workload> parse_workloads(const BenchText& text, const BenchOptions& options) {
  const auto sizes = parse_list(
      "--sizes", text.sizes.empty() ? "8,16,32,64,128,256,512,1024" : std::string_view(text.sizes),
      largest_size, "--sizes 8,64,256");
  std::vector<std::size_t> counts;
  if (!text.batch.empty()) {
    counts = parse_list("--batch", text.batch, largest_batch, "--batch 256");
    if (counts.size() != 1 && counts.size() != sizes.size()) {
      refuse("--batch", fmt::format("{} numbers for {} sizes; give one for all, or one for each",
                                    counts.size(), sizes.size()));
    }
  }
  std::vector<Workload> workloads;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    Workload workload{.size = sizes[i], .shared = parse_shared(text.shared, sizes[i])};
    if (!counts.empty()) {
      workload.count = counts[counts.size() == 1 ? 0 : i];
    } else if (options.hot) {
      workload.count = hot_count(workload.size, options.element_size(), options.workers);
    } else {
      workload.count = default_count(workload.size, options.workers);
    }
    workloads.push_back(workload);
  }
  return workloads;
}

}  // namespace

BenchOptions check_options(const BenchText& text) {
  BenchOptions options;
  options.single_precision = parse_choice("--dtype", text.dtype, {"double", "float"}) == 1;
  options.hot = parse_choice("--operands", text.operands, {"streaming", "hot"}) == 1;
  options.workers = parse_workers(text.workers, max_blas_callers);
  options.workloads = parse_workloads(text, options);
  if (!text.repetitions.empty()) {
    options.repetitions = parse_count("--repetitions", text.repetitions, 1, 10'000, "-r 9");
  }
  options.seconds = parse_seconds("--time", text.seconds, 36);
  if (!text.seed.empty()) {
    options.seed = parse_count("--seed", text.seed, 0, SIZE_MAX, "--seed 1");
  }
  options.json = parse_output("--json", text.json);
  options.csv = parse_output("--csv", text.csv);
  options.plot = parse_plot("--plot", text.plot);
  options.pin = text.pin;
  options.blas_fix = !text.no_blas_fix;
  return options;
}

}  // namespace procyon::tool
