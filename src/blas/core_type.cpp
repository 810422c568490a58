#include <procyon/blas/core_type.hpp>

#include <algorithm>
#include <array>
#include <cctype>

namespace procyon::blas {

namespace {

// The vector unit that a core's gemm kernels are written for.
enum class Vectors { sse, avx, avx2, avx512 };

struct Core {
  std::string_view name;
  Vectors vectors;
};

// The names of OpenBLAS's driver/others/dynamic.c. Steamroller and Excavator run Piledriver's
// AVX kernels. Zen's are Haswell's: where an AMD CPU has AVX-512, SkylakeX was measured to be
// several times as fast for small matrices and no slower for large ones, so Zen is a lesser core
// there too.
constexpr std::array cores{
    Core{"katmai", Vectors::sse},        Core{"coppermine", Vectors::sse},
    Core{"northwood", Vectors::sse},     Core{"prescott", Vectors::sse},
    Core{"banias", Vectors::sse},        Core{"atom", Vectors::sse},
    Core{"core2", Vectors::sse},         Core{"penryn", Vectors::sse},
    Core{"dunnington", Vectors::sse},    Core{"nehalem", Vectors::sse},
    Core{"athlon", Vectors::sse},        Core{"opteron", Vectors::sse},
    Core{"opteron_sse3", Vectors::sse},  Core{"barcelona", Vectors::sse},
    Core{"nano", Vectors::sse},          Core{"bobcat", Vectors::sse},
    Core{"sandybridge", Vectors::avx},   Core{"bulldozer", Vectors::avx},
    Core{"piledriver", Vectors::avx},    Core{"steamroller", Vectors::avx},
    Core{"excavator", Vectors::avx},     Core{"haswell", Vectors::avx2},
    Core{"zen", Vectors::avx2},          Core{"skylakex", Vectors::avx512},
    Core{"cooperlake", Vectors::avx512}, Core{"sapphirerapids", Vectors::avx512},
};

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

}  // namespace

CpuFeatures cpu_features() noexcept {
  CpuFeatures cpu;
#if defined(__x86_64__)
  __builtin_cpu_init();
  cpu.avx2_fma = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  cpu.avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
               __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
               __builtin_cpu_supports("avx512cd") != 0;
#endif
  return cpu;
}

std::optional<std::string> better_core_type(std::string_view core_name, const CpuFeatures& cpu,
                                            std::string_view requested) {
  if (!requested.empty()) return std::nullopt;
  const std::string name = lower_case(core_name);
  const auto* const core = std::find_if(cores.begin(), cores.end(),
                                        [&](const Core& known) { return known.name == name; });
  if (core == cores.end()) return std::nullopt;
  if (cpu.avx512 && core->vectors < Vectors::avx512) return "SkylakeX";
  if (cpu.avx2_fma && core->vectors < Vectors::avx2) return "Haswell";
  return std::nullopt;
}

}  // namespace procyon::blas
