// The subcommand `procyon gemm`.
#pragma once

#include <CLI/CLI.hpp>

namespace procyon::tool {

/// Adds `gemm` to the command. It runs inside `app.parse`. Wrong usage throws `CLI::ParseError`;
/// work that fails throws `std::exception`, and the old output is then as it was.
void add_gemm(CLI::App& app);

}  // namespace procyon::tool
