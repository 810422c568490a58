// The report as a picture, drawn by gnuplot.
#pragma once

#include <string>

namespace procyon::tool {

struct BenchRun;

/// GFLOP/s over size with the measured peak, and process mode over thread mode and serial, as SVG.
/// Throws as `draw_plot`.
std::string plot_of(const BenchRun& run);

}  // namespace procyon::tool
