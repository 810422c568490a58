// The report as a picture, drawn by gnuplot.
#pragma once

#include <string>

namespace procyon::tool {

struct BenchRun;

/// Whether there is a gnuplot to run.
bool has_gnuplot();

/// GFLOP/s over size with the measured peak, and process mode over thread mode and serial, as SVG.
/// Throws `std::runtime_error` with what gnuplot said, or that the file could not be written.
void write_plot(const BenchRun& run, const std::string& path);

}  // namespace procyon::tool
