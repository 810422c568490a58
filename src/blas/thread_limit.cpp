#include <procyon/blas/thread_limit.hpp>

#include <climits>
#include <stdexcept>
#include <string>
#include <vector>

#include "blas/loaded.hpp"

namespace procyon {

struct ThreadLimit::Saved {
  struct Setting {
    std::shared_ptr<void> library;
    void (*set)(int);
    int (*get)();
    int threads;
    bool always;  // its getter does not say what the calling thread would get
  };
  std::vector<Setting> settings;
};

namespace {

void check(std::size_t threads, std::string_view user_api) {
  if (threads == 0 || threads > INT_MAX) {
    throw std::invalid_argument("ThreadLimit: threads is " + std::to_string(threads) +
                                "; it must be 1 or more (ThreadLimit limit(1) pins to one thread)");
  }
  if (!user_api.empty() && user_api != "blas" && user_api != "openmp") {
    throw std::invalid_argument("ThreadLimit: user_api is \"" + std::string(user_api) +
                                "\"; it must be \"blas\", \"openmp\" or left out for both");
  }
}

}  // namespace

// What is found is saved before anything is set, and in this order restored: OpenBLAS on OpenMP
// sets OpenMP's count as well, so that one has to come after it.
ThreadLimit::ThreadLimit(std::size_t threads, std::string_view user_api) {
  check(threads, user_api);
  const std::vector<blas::Loaded>& loaded = blas::loaded_runtimes();
  if (loaded.empty()) return;
  saved_ = std::make_unique<Saved>();
  const auto wanted = [&](const blas::Loaded& runtime) {
    return user_api.empty() || runtime.user_api() == user_api;
  };
  bool touches_openmp = false;
  for (const blas::Loaded& runtime : loaded) {
    const bool is_touched = touches_openmp && runtime.api == blas::Api::openmp;
    if (!wanted(runtime) && !is_touched) continue;
    touches_openmp = touches_openmp || runtime.on_openmp();
    saved_->settings.push_back({blas::pin(runtime), runtime.set_threads, runtime.get_threads,
                                runtime.get_threads(), runtime.on_openmp()});
  }
  const int limit = static_cast<int>(threads);
  for (const blas::Loaded& runtime : loaded) {
    if (!wanted(runtime)) continue;
    if (runtime.on_openmp() || runtime.get_threads() != limit) runtime.set_threads(limit);
  }
}

ThreadLimit::~ThreadLimit() {
  if (!saved_) return;
  for (const Saved::Setting& setting : saved_->settings) {
    if (setting.always || setting.get() != setting.threads) setting.set(setting.threads);
  }
}

ThreadLimit::ThreadLimit(ThreadLimit&&) noexcept = default;

}  // namespace procyon
