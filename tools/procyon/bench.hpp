// The subcommand `procyon bench`.
#pragma once

#include <CLI/CLI.hpp>

namespace procyon::tool {

/// Adds `bench` and its measurements to the command. They run inside `app.parse`. Wrong usage
/// throws `CLI::ParseError`; a measurement that fails throws `std::exception`.
void add_bench(CLI::App& app);

}  // namespace procyon::tool
