// `procyon bench start`.
#pragma once

#include "procyon/bench_start_options.hpp"

namespace procyon::tool {

/// Measures, prints, writes the files asked for. A target that is missed is a result, no failure.
void bench_start(const StartOptions& options);

}  // namespace procyon::tool
