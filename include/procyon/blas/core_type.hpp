// Whether OpenBLAS chose kernels for the CPU it runs on.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace procyon::blas {

/// What this CPU can run, as CPUID says and the operating system allows.
struct CpuFeatures {
  bool avx2_fma = false;
  bool avx512 = false;  ///< F, DQ, BW, VL and CD: what OpenBLAS's SkylakeX kernels use
};

CpuFeatures cpu_features() noexcept;

/// The OPENBLAS_CORETYPE that this process should have been started with, or nothing where
/// `core_name` (what `openblas_get_corename` says) is right for the CPU.
/// `requested`: the value of OPENBLAS_CORETYPE in the environment; a user's choice is respected.
/// A core name that is not known here is taken to be newer than this table, and right.
std::optional<std::string> better_core_type(std::string_view core_name, const CpuFeatures& cpu,
                                            std::string_view requested);

}  // namespace procyon::blas
