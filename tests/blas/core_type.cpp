#include <procyon/blas.hpp>

#include <catch.hpp>

namespace blas = procyon::blas;

namespace {

constexpr blas::CpuFeatures old_cpu{};
constexpr blas::CpuFeatures avx2_cpu{.avx2_fma = true};
constexpr blas::CpuFeatures avx512_cpu{.avx2_fma = true, .avx512 = true};

struct Row {
  const char* core;
  blas::CpuFeatures cpu;
  const char* requested;
  const char* better;  // "": the core is right
};

}  // namespace

TEST_CASE("kernels for a lesser CPU are told from the right ones") {
  const Row row = GENERATE(
      Row{"Prescott", avx512_cpu, "", "SkylakeX"}, Row{"Prescott", avx2_cpu, "", "Haswell"},
      Row{"Prescott", old_cpu, "", ""}, Row{"prescott", avx512_cpu, "", "SkylakeX"},
      Row{"Nehalem", avx2_cpu, "", "Haswell"}, Row{"Sandybridge", avx512_cpu, "", "SkylakeX"},
      Row{"Sandybridge", avx2_cpu, "", "Haswell"}, Row{"Excavator", avx2_cpu, "", "Haswell"},
      Row{"Haswell", avx512_cpu, "", "SkylakeX"}, Row{"Haswell", avx2_cpu, "", ""},
      Row{"Zen", avx512_cpu, "", "SkylakeX"}, Row{"Zen", avx2_cpu, "", ""},
      Row{"SkylakeX", avx512_cpu, "", ""}, Row{"Cooperlake", avx512_cpu, "", ""},
      Row{"SapphireRapids", avx512_cpu, "", ""}, Row{"NEOVERSEV2", avx512_cpu, "", ""},
      Row{"", avx512_cpu, "", ""});
  INFO("core " << row.core << ", AVX-512 " << row.cpu.avx512 << ", AVX2 " << row.cpu.avx2_fma);
  CHECK(blas::better_core_type(row.core, row.cpu, row.requested).value_or("") == row.better);
}

TEST_CASE("a core type that the user asked for is respected") {
  CHECK_FALSE(blas::better_core_type("Prescott", avx512_cpu, "Prescott").has_value());
  CHECK_FALSE(blas::better_core_type("Haswell", avx512_cpu, "Haswell").has_value());
}

TEST_CASE("a CPU with AVX-512 has AVX2 as well") {
  const blas::CpuFeatures cpu = blas::cpu_features();
  CHECK((!cpu.avx512 || cpu.avx2_fma));
}
