#include "procyon/parse.hpp"

#include <procyon/base/cpus.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "procyon/gnuplot.hpp"
#include "procyon/suggest.hpp"

namespace procyon::tool {

namespace {

[[noreturn]] void refuse(const std::string& option, const std::string& reason) {
  throw CLI::ValidationError(option, reason);
}

}  // namespace

void refuse_empty_values(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0 || option->get_items_expected_max() == 0) continue;
    const auto& values = option->results();
    if (std::ranges::find(values, "") == values.end()) continue;
    const std::string name = option->get_single_name();
    const std::string form = option->get_positional() ? option->get_type_name()
                                                      : "--" + name + " " + option->get_type_name();
    throw CLI::ValidationError(
        option->get_positional() ? name : "--" + name,
        fmt::format("'' is an empty value; give {}{}", form,
                    option->get_required() ? "" : ", or leave the option out for its default"));
  }
}

std::size_t parse_word(const std::string& option, const std::string& text,
                       const std::vector<std::string>& words) {
  const auto found = std::ranges::find(words, text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  const auto meant = nearest(text, words);
  throw CLI::ValidationError(
      option, fmt::format("'{}' is none of {}{}", text, fmt::join(words, ", "),
                          meant ? fmt::format("; did you mean {} {}?", option, *meant) : ""));
}

std::size_t parse_count(const std::string& option, std::string_view text, std::size_t low,
                        std::size_t high, const std::string& example) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::invalid_argument || end != text.data() + text.size()) {
    throw CLI::ValidationError(option,
                               fmt::format("'{}' is not a whole number; try {}", text, example));
  }
  if (error != std::errc() || value < low || value > high) {
    throw CLI::ValidationError(
        option, fmt::format("{} is out of range, {} to {}; try {}", text, low, high, example));
  }
  return value;
}

std::size_t parse_workers(const std::string& text, std::size_t most) {
  const std::size_t here = std::min(cpu_count(), most);
  if (text.empty()) return here;
  return parse_count("--workers", text, 1, most, fmt::format("-j {} (the CPUs here)", here));
}

double parse_seconds(const std::string& option, const std::string& text, double otherwise) {
  if (text.empty()) return otherwise;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool number = error == std::errc() && end == text.data() + text.size();
  if (!number || !std::isfinite(value) || value <= 0 || value > 86400) {
    refuse(option, fmt::format("'{}' is not a number of seconds, up to 86400; try {} {}", text,
                               option, otherwise));
  }
  return value;
}

std::string parse_output(const std::string& option, const std::string& path) {
  namespace fs = std::filesystem;
  if (path.empty()) return path;
  std::error_code error;
  const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : ".";
  if (fs::is_directory(path, error)) refuse(option, "'" + path + "' is a directory; name a file");
  if (!fs::is_directory(folder, error)) {
    refuse(option,
           fmt::format("there is no directory '{}' to write '{}' in", folder.string(), path));
  }
  if (::access(folder.c_str(), W_OK) != 0) {
    refuse(option, fmt::format("the directory '{}' cannot be written to", folder.string()));
  }
  return path;
}

std::string parse_plot(const std::string& option, const std::string& path) {
  if (path.empty()) return path;
  if (!path.ends_with(".svg")) {
    refuse(option, fmt::format("'{}' does not end in .svg; try {} {}", path, option,
                               std::filesystem::path(path).replace_extension(".svg").string()));
  }
  if (!has_gnuplot()) {
    refuse(option, "gnuplot is not installed (Debian: gnuplot-nox); --csv FILE needs nothing");
  }
  return parse_output(option, path);
}

}  // namespace procyon::tool
