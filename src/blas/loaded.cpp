#include "blas/loaded.hpp"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <optional>

namespace procyon::blas {

namespace {

struct Kind {
  std::string_view prefix;
  std::string_view internal_api;
  Api api;
};

constexpr std::array kinds{
    Kind{"libopenblas", "openblas", Api::openblas},
    Kind{"libscipy_openblas", "openblas", Api::openblas},
    Kind{"libgomp", "libgomp", Api::openmp},
    Kind{"libiomp", "libiomp", Api::openmp},
    Kind{"libomp", "libomp", Api::openmp},
};

// Builds of OpenBLAS differ in what surrounds their names; those of NumPy and SciPy have both.
constexpr std::array<const char*, 2> name_prefixes{"", "scipy_"};
constexpr std::array<const char*, 3> name_suffixes{"", "64_", "_64"};

struct LoaderState {
  unsigned long long adds = 0;
  unsigned long long subs = 0;
  std::vector<std::string> paths;
  bool want_paths = false;
};

int look(dl_phdr_info* info, std::size_t, void* state) {
  auto& seen = *static_cast<LoaderState*>(state);
  seen.adds = info->dlpi_adds;
  seen.subs = info->dlpi_subs;
  if (!seen.want_paths) return 1;
  if (info->dlpi_name != nullptr && *info->dlpi_name != '\0') seen.paths.push_back(info->dlpi_name);
  return 0;
}

template <class Function>
void find(void* handle, const std::string& name, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(handle, name.c_str()));
}

bool find_openblas(void* handle, Loaded& runtime) {
  for (const std::string prefix : name_prefixes) {
    for (const std::string suffix : name_suffixes) {
      const auto affixed = [&](const char* name) { return prefix + name + suffix; };
      find(handle, affixed("openblas_get_num_threads"), runtime.get_threads);
      find(handle, affixed("openblas_set_num_threads"), runtime.set_threads);
      if (runtime.get_threads == nullptr || runtime.set_threads == nullptr) continue;
      find(handle, affixed("openblas_get_parallel"), runtime.get_parallel);
      find(handle, affixed("openblas_get_config"), runtime.get_config);
      find(handle, affixed("openblas_get_corename"), runtime.get_corename);
      return true;
    }
  }
  return false;
}

bool find_openmp(void* handle, Loaded& runtime) {
  find(handle, "omp_get_max_threads", runtime.get_threads);
  find(handle, "omp_set_num_threads", runtime.set_threads);
  return runtime.get_threads != nullptr && runtime.set_threads != nullptr;
}

bool find_functions(void* handle, Loaded& runtime) {
  return runtime.api == Api::openblas ? find_openblas(handle, runtime)
                                      : find_openmp(handle, runtime);
}

std::optional<Loaded> recognise(const std::string& path) {
  const std::string_view file = std::string_view(path).substr(path.rfind('/') + 1);
  const auto* const kind = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& candidate) {
    return file.starts_with(candidate.prefix);
  });
  if (kind == kinds.end()) return std::nullopt;
  Loaded runtime{
      .api = kind->api, .internal_api = kind->internal_api, .prefix = kind->prefix, .path = path};
  void* const handle = ::dlopen(path.c_str(), RTLD_NOLOAD | RTLD_LAZY);
  if (handle == nullptr) return std::nullopt;
  const bool found = find_functions(handle, runtime);
  ::dlclose(handle);
  return found ? std::optional(runtime) : std::nullopt;
}

// A runtime linked into the program itself. `dlopen(nullptr)` sees every global library, so a hit
// counts only if it lies in the file that also holds the program's entry.
std::optional<Loaded> recognise_in_program(Api api, std::string_view internal_api) {
  Loaded runtime{.api = api, .internal_api = internal_api, .prefix = "", .path = ""};
  if (!find_functions(RTLD_DEFAULT, runtime)) return std::nullopt;
  Dl_info place{};
  if (::dladdr(reinterpret_cast<void*>(runtime.set_threads), &place) == 0) return std::nullopt;
  const link_map* program = nullptr;
  void* const handle = ::dlopen(nullptr, RTLD_LAZY);
  if (handle == nullptr) return std::nullopt;
  const bool known = ::dlinfo(handle, RTLD_DI_LINKMAP, static_cast<void*>(&program)) == 0;
  ::dlclose(handle);
  link_map* found = nullptr;
  Dl_info again{};
  if (::dladdr1(reinterpret_cast<void*>(runtime.set_threads), &again,
                reinterpret_cast<void**>(&found), RTLD_DL_LINKMAP) == 0) {
    return std::nullopt;
  }
  return known && found == program ? std::optional(runtime) : std::nullopt;
}

std::vector<Loaded> look_up(const std::vector<std::string>& paths) {
  std::vector<Loaded> runtimes;
  for (const std::string& path : paths) {
    if (auto runtime = recognise(path)) runtimes.push_back(std::move(*runtime));
  }
  if (auto runtime = recognise_in_program(Api::openblas, "openblas")) {
    runtimes.push_back(std::move(*runtime));
  }
  if (auto runtime = recognise_in_program(Api::openmp, "libgomp")) {
    runtimes.push_back(std::move(*runtime));
  }
  std::stable_sort(runtimes.begin(), runtimes.end(),
                   [](const Loaded& a, const Loaded& b) { return a.api < b.api; });
  return runtimes;
}

struct Cache {
  unsigned long long adds = 0;
  unsigned long long subs = 0;
  std::vector<Loaded> runtimes;
};

}  // namespace

const std::vector<Loaded>& loaded_runtimes() {
  thread_local Cache cache;
  LoaderState now;
  ::dl_iterate_phdr(look, &now);
  if (cache.adds == now.adds && cache.subs == now.subs) return cache.runtimes;
  // The names first, the libraries afterwards: the loader is locked while it iterates.
  now.want_paths = true;
  ::dl_iterate_phdr(look, &now);
  cache.runtimes = look_up(now.paths);
  cache.adds = now.adds;
  cache.subs = now.subs;
  return cache.runtimes;
}

std::shared_ptr<void> pin(const Loaded& runtime) {
  const char* const path = runtime.path.empty() ? nullptr : runtime.path.c_str();
  return {::dlopen(path, RTLD_NOLOAD | RTLD_LAZY), [](void* handle) {
            if (handle != nullptr) ::dlclose(handle);
          }};
}

}  // namespace procyon::blas
