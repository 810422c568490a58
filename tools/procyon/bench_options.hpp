// What `procyon bench gemm` is asked to do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace procyon::tool {

/// The options as written; empty where not given.
struct BenchText {
  std::string sizes = {}, batch = {}, dtype = {}, workers = {}, operands = {}, shared = {};
  std::string repetitions = {}, seconds = {}, seed = {};
  std::string json = {}, csv = {}, plot = {};
  bool pin = false;
  bool no_blas_fix = false;
};

enum class Shared { none, left, right };

/// One row of the measurement: `count` products of size x size, `inner` times a sample.
struct Workload {
  std::size_t size = 0;
  std::size_t count = 0;
  Shared shared = Shared::none;
  double flops() const {
    const auto n = static_cast<double>(size);
    return 2 * n * n * n * static_cast<double>(count);
  }
};

struct BenchOptions {
  std::vector<Workload> workloads;
  bool single_precision = false;
  bool hot = false;
  std::size_t workers = 1;
  std::size_t repetitions = 0;  // 0: as many as `seconds` allows
  double seconds = 0;
  std::uint64_t seed = 0;
  std::string json, csv, plot;
  bool pin = false;  // worker i on the i-th CPU
  bool blas_fix = true;

  std::size_t element_size() const { return single_precision ? 4 : 8; }
  const char* dtype() const { return single_precision ? "float" : "double"; }
};

/// Throws `CLI::ValidationError` with the option, the reason and the nearest right form.
BenchOptions check_options(const BenchText& text);

}  // namespace procyon::tool
