#include <procyon/linalg/backend.hpp>

#include <cblas.h>
#include <dlfcn.h>

#include <filesystem>

namespace procyon::linalg {

Backend backend() {
  Backend backend;
  // The file that cblas_dgemm is called in; the names below may be provided by another.
  Dl_info place{};
  if (::dladdr(reinterpret_cast<void*>(&cblas_dgemm), &place) != 0 && place.dli_fname != nullptr) {
    std::error_code error;
    const auto real = std::filesystem::canonical(place.dli_fname, error);
    backend.filepath = error ? std::string(place.dli_fname) : real.string();
  }
  backend.config = openblas_get_config();
  backend.core_name = openblas_get_corename();
  backend.parallel = openblas_get_parallel();
  backend.num_threads = openblas_get_num_threads();
  return backend;
}

}  // namespace procyon::linalg
