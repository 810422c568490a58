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

}  // namespace procyon::tool
