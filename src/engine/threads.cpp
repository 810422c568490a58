#include "engine/threads.hpp"

#include "engine/domain.hpp"
#include "process/process.hpp"

#include <procyon/blas/runtimes.hpp>

#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

namespace procyon::engine {
namespace {

constexpr int looks = 10;
constexpr std::chrono::microseconds between_looks{200};

#if defined(__SANITIZE_THREAD__)
constexpr std::size_t sanitizer_threads = 1;
#else
constexpr std::size_t sanitizer_threads = 0;
#endif

std::size_t blas_threads() {
  std::size_t threads = 0;
  for (const RuntimeInfo& runtime : runtimes()) {
    if (runtime.user_api == "blas" && runtime.num_threads > 1) threads += runtime.num_threads - 1;
  }
  return threads;
}

std::size_t threads_beyond(std::size_t known) {
  std::size_t threads = process::count_threads();
  for (int look = 1; threads > known && look < looks; ++look) {
    std::this_thread::sleep_for(between_looks);
    threads = process::count_threads();
  }
  return threads > known ? threads - known : 0;
}

}  // namespace

std::size_t foreign_threads() {
  const std::size_t own = 1 + library_threads() + sanitizer_threads;
  // Asking BLAS costs more than counting.
  return process::count_threads() <= own ? 0 : threads_beyond(own + blas_threads());
}

std::size_t foreign_threads_after_fork() {
  return threads_beyond(1 + library_threads() + sanitizer_threads);
}

std::size_t private_memory() {
  std::ifstream file("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  std::size_t shared = 0;
  file >> size >> resident >> shared;
  return file && resident > shared
             ? (resident - shared) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE))
             : 0;
}

}  // namespace procyon::engine
