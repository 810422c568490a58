// Wrong usage: what the user may have meant.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace procyon::tool {

/// Letters to insert, delete, replace or swap with their neighbour to get from one to the other.
/// Source: the optimal string alignment distance.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`; none where even that one is another word altogether.
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

/// The index of `text` among `words`. Throws `CLI::ValidationError` that names the option, the
/// words and the nearest right form.
std::size_t parse_word(const std::string& option, const std::string& text,
                       const std::vector<std::string>& words);

/// A whole number in [low, high]. Throws `CLI::ValidationError` that names the option, the value,
/// the range and `example`.
std::size_t parse_count(const std::string& option, std::string_view text, std::size_t low,
                        std::size_t high, const std::string& example);

}  // namespace procyon::tool
