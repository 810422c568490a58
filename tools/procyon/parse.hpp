// Values of options: from text to what is meant.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace procyon::tool {

/// Throws `CLI::ValidationError` where an option or argument of the subcommand was given an empty
/// value: that is not the default, nor anything else that could be meant.
void refuse_empty_values(const CLI::App& app);

/// The index of `text` among `words`. Throws `CLI::ValidationError` that names the option, the
/// words and the nearest right form.
std::size_t parse_word(const std::string& option, const std::string& text,
                       const std::vector<std::string>& words);

/// A whole number in [low, high]. Throws `CLI::ValidationError` that names the option, the value,
/// the range and `example`.
std::size_t parse_count(const std::string& option, std::string_view text, std::size_t low,
                        std::size_t high, const std::string& example);

/// The value of --workers, in [1, most]; where nothing was given, the CPUs here, as far as allowed.
/// Throws `CLI::ValidationError` as `parse_count`.
std::size_t parse_workers(const std::string& text, std::size_t most);

/// A number of seconds above 0; `otherwise` where nothing was given. Throws as `parse_count`.
double parse_seconds(const std::string& option, const std::string& text, double otherwise);

/// The name of a file that can be written, so that it is known before the work and not after it;
/// for a plot, also one that ends in .svg where there is a gnuplot. Empty: nothing was given.
/// Throws `CLI::ValidationError` with the reason and the nearest right form.
std::string parse_output(const std::string& option, const std::string& path);
std::string parse_plot(const std::string& option, const std::string& path);

}  // namespace procyon::tool
