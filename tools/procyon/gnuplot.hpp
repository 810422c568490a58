// Pictures, drawn by gnuplot where it is installed.
#pragma once

#include <string>
#include <string_view>

namespace procyon::tool {

/// Whether there is a gnuplot to run.
bool has_gnuplot();

/// The text without what ends a string of gnuplot's, or means something in its texts.
std::string plot_text(std::string_view text);

/// The picture that the script writes to 'plot.svg', the data being in the file 'data'.
/// Throws `std::runtime_error` with what gnuplot said.
std::string draw_plot(const std::string& script, const std::string& data);

}  // namespace procyon::tool
