// Starting the command again when OpenBLAS chose kernels for a lesser CPU than this one.
#pragma once

#include <string>

namespace procyon::tool {

/// Where OpenBLAS reports a core that is lesser than what CPUID says, starts this program again,
/// once, with OPENBLAS_CORETYPE set, and does not return: OpenBLAS reads it only when it is
/// loaded. In the second start, and where all is well, returns: a line that says what was changed
/// and what it gained, measured before and after; empty where nothing was changed.
/// An OPENBLAS_CORETYPE that the user set is respected. Call it before any work.
std::string fix_blas_kernels();

}  // namespace procyon::tool
