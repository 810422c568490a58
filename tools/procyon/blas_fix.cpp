#include "procyon/blas_fix.hpp"

#include <procyon/blas.hpp>
#include <procyon/linalg/backend.hpp>

#include <cblas.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <vector>

namespace procyon::tool {

namespace {

// "CORE SPEED" of the first start. Being there at all, it ends the loop.
constexpr const char* guard = "PROCYON_BLAS_FIX";

std::string_view environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// GFLOP/s of one product of 256 x 256 doubles, the best of some tens of milliseconds.
double measure() {
  using Clock = std::chrono::steady_clock;
  constexpr int n = 256;
  const std::vector<double> a(n * n, 0.5), b(n * n, 0.25);
  std::vector<double> c(n * n);
  const ThreadLimit limit(1, "blas");
  double best = 0;
  for (int repeat = 0; repeat < 20; ++repeat) {
    const auto start = Clock::now();
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a.data(), n, b.data(), n, 0,
                c.data(), n);
    const std::chrono::duration<double> time = Clock::now() - start;
    best = std::max(best, 2.0 * n * n * n / time.count() * 1e-9);
  }
  return best;
}

std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

// Returns only where the kernel refuses.
void start_again(const std::string& core_type, const std::string& note) {
  std::vector<std::string> arguments = own_arguments();
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  if (arguments.empty()) return;
  ::setenv("OPENBLAS_CORETYPE", core_type.c_str(), 1);
  ::setenv(guard, note.c_str(), 1);
  ::execv("/proc/self/exe", pointers.data());
  ::unsetenv("OPENBLAS_CORETYPE");
  ::unsetenv(guard);
}

std::string report(std::string_view note) {
  const std::size_t space = note.find(' ');
  const std::string_view before = note.substr(0, space);
  double speed = 0;
  if (space != std::string_view::npos) {
    std::from_chars(note.data() + space + 1, note.data() + note.size(), speed);
  }
  const double now = measure();
  return fmt::format(
      "OpenBLAS took its {} kernels, which are for a lesser CPU than this one; started again with "
      "OPENBLAS_CORETYPE={}: {:.1f} instead of {:.1f} GFLOP/s ({:.1f} times) on one core, n = 256",
      before, environment("OPENBLAS_CORETYPE"), now, speed, speed > 0 ? now / speed : 0);
}

}  // namespace

std::string fix_blas_kernels() {
  if (const std::string note(environment(guard)); !note.empty()) {
    ::unsetenv(guard);
    return report(note);
  }
  const linalg::Backend backend = linalg::backend();
  const std::optional<std::string> better = blas::better_core_type(
      backend.core_name, blas::cpu_features(), environment("OPENBLAS_CORETYPE"));
  if (!better) return "";
  start_again(*better, fmt::format("{} {:.3f}", backend.core_name, measure()));
  return fmt::format(
      "OpenBLAS took its {} kernels, which are for a lesser CPU than this one, and "
      "this program could not be started again: set OPENBLAS_CORETYPE={}",
      backend.core_name, *better);
}

}  // namespace procyon::tool
