#include "procyon/parse.hpp"

#include <procyon/base/cpus.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "procyon/suggest.hpp"

namespace procyon::tool {

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

}  // namespace procyon::tool
