// `procyon bench gemm`.
#pragma once

#include "procyon/bench_options.hpp"

namespace procyon::tool {

/// Measures, prints, writes the files asked for. Throws `std::runtime_error` after that, where
/// results of the modes differ, are wrong, or BLAS had more threads than it was given.
void bench_gemm(const BenchOptions& options);

}  // namespace procyon::tool
