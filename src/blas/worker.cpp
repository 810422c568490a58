#include "blas/worker.hpp"

#include <pthread.h>

#include <array>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>

#include "blas/loaded.hpp"

#include <procyon/blas/core_type.hpp>

namespace procyon::blas {

namespace {

// Read by a runtime once, when it is loaded.
constexpr std::array variables{
    "OMP_NUM_THREADS",  "OPENBLAS_NUM_THREADS",   "GOTO_NUM_THREADS",  "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS"};
constexpr std::string_view core_variable = "OPENBLAS_CORETYPE";

void set_entry(std::vector<std::string>& environment, std::string_view name,
               const std::string& value) {
  const std::string begin = std::string(name) + "=";
  std::erase_if(environment, [&](const std::string& entry) { return entry.starts_with(begin); });
  environment.push_back(begin + value);
}

// The limit that all PinnedScopes of this process share.
struct SharedPin {
  std::mutex mutex;
  std::size_t scopes = 0;            // guarded by mutex
  std::optional<ThreadLimit> limit;  // guarded by mutex
};

SharedPin& shared_pin() {
  // Never destroyed: a scope may end in a thread that outlives static objects.
  static SharedPin& pin = *new SharedPin;
  // Across a fork the mutex is held, so that the child does not inherit it from a third thread.
  [[maybe_unused]] static const int registered =
      ::pthread_atfork([] { shared_pin().mutex.lock(); }, [] { shared_pin().mutex.unlock(); },
                       [] { shared_pin().mutex.unlock(); });
  return pin;
}

bool any_openmp() {
  const auto& loaded = loaded_runtimes();
  return !loaded.empty() && loaded.back().api == Api::openmp;
}

}  // namespace

void limit_this_process(std::size_t threads) {
  const std::string count = std::to_string(threads);
  for (const char* const variable : variables) ::setenv(variable, count.c_str(), 1);
  for (const Loaded& runtime : loaded_runtimes()) {
    const int limit = static_cast<int>(threads);
    if (runtime.on_openmp() || runtime.get_threads() != limit) runtime.set_threads(limit);
  }
}

std::vector<std::string> worker_environment(std::vector<std::string> environment,
                                            std::size_t threads) {
  if (threads != 0) {
    for (const char* const variable : variables) {
      set_entry(environment, variable, std::to_string(threads));
    }
  }
  const char* requested = std::getenv(core_variable.data());
  for (const Loaded& runtime : loaded_runtimes()) {
    if (runtime.get_corename == nullptr) continue;
    const std::optional<std::string> better = better_core_type(
        runtime.get_corename(), cpu_features(), requested == nullptr ? "" : requested);
    if (better) set_entry(environment, core_variable, *better);
  }
  return environment;
}

void limit_this_thread(std::size_t threads) {
  for (const Loaded& runtime : loaded_runtimes()) {
    if (runtime.api == Api::openmp) runtime.set_threads(static_cast<int>(threads));
  }
}

PinnedScope::PinnedScope() {
  SharedPin& pin = shared_pin();
  {
    const std::lock_guard lock(pin.mutex);
    if (pin.scopes == 0) pin.limit.emplace(1, "blas");
    ++pin.scopes;
  }
  if (any_openmp()) of_thread_.emplace(1, "openmp");
}

PinnedScope::~PinnedScope() {
  of_thread_.reset();
  SharedPin& pin = shared_pin();
  const std::lock_guard lock(pin.mutex);
  if (--pin.scopes == 0) pin.limit.reset();
}

}  // namespace procyon::blas
