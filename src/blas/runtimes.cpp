#include <procyon/blas/runtimes.hpp>

#include <filesystem>
#include <sstream>

#include "blas/loaded.hpp"

namespace procyon {

namespace {

std::string resolved(const std::string& path) {
  std::error_code error;
  const auto real = std::filesystem::canonical(path.empty() ? "/proc/self/exe" : path, error);
  return error ? path : real.string();
}

// "OpenBLAS 0.3.21 NO_LAPACKE ...": the version is the second word, since 0.3.4.
std::string version_in(const char* config) {
  std::istringstream words(config);
  std::string name;
  std::string version;
  words >> name >> version;
  return name == "OpenBLAS" ? version : "";
}

std::string layer_name(int parallel) {
  switch (parallel) {
    case 0:
      return "disabled";
    case 1:
      return "pthreads";
    case 2:
      return "openmp";
    default:
      return "unknown";
  }
}

RuntimeInfo describe(const blas::Loaded& runtime) {
  RuntimeInfo info;
  info.user_api = runtime.user_api();
  info.internal_api = runtime.internal_api;
  info.filepath = resolved(runtime.path);
  info.num_threads = static_cast<std::size_t>(runtime.get_threads());
  info.prefix = runtime.prefix;
  if (runtime.api == blas::Api::openblas) {
    info.version = runtime.get_config ? version_in(runtime.get_config()) : "";
    info.threading_layer = runtime.get_parallel ? layer_name(runtime.get_parallel()) : "unknown";
    info.architecture = runtime.get_corename ? runtime.get_corename() : "";
  }
  return info;
}

}  // namespace

std::vector<RuntimeInfo> runtimes() {
  std::vector<RuntimeInfo> all;
  for (const blas::Loaded& runtime : blas::loaded_runtimes()) all.push_back(describe(runtime));
  return all;
}

}  // namespace procyon
