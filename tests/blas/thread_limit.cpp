#include <procyon/blas.hpp>

#include <cblas.h>
#include <dlfcn.h>

#include <catch.hpp>
#include <filesystem>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "blas/loaded.hpp"
#include "blas/worker.hpp"

namespace {

std::optional<procyon::RuntimeInfo> loaded(const std::string& internal_api) {
  for (const auto& info : procyon::runtimes()) {
    if (info.internal_api == internal_api) return info;
  }
  return std::nullopt;
}

std::ptrdiff_t count_tasks() {
  using std::filesystem::directory_iterator;
  return std::distance(directory_iterator("/proc/self/task"), directory_iterator());
}

void multiply(int n) {
  const auto size = static_cast<std::size_t>(n) * static_cast<std::size_t>(n);
  std::vector<double> a(size, 1), c(size);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a.data(), n, a.data(), n, 0,
              c.data(), n);
}

// OpenBLAS with two threads, whatever the environment of the test said; restored at the end.
struct TwoThreads {
  int before = openblas_get_num_threads();
  TwoThreads() { openblas_set_num_threads(2); }
  ~TwoThreads() { openblas_set_num_threads(before); }
};

}  // namespace

TEST_CASE("the OpenBLAS that a program links is found with what it says of itself") {
  const auto openblas = loaded("openblas");
  REQUIRE(openblas.has_value());
  CHECK(openblas->user_api == "blas");
  CHECK(openblas->prefix == "libopenblas");
  CHECK(std::filesystem::exists(openblas->filepath));
  CHECK(openblas->version.find('.') != std::string::npos);
  CHECK(openblas->threading_layer == "pthreads");
  CHECK(openblas->architecture == openblas_get_corename());
  CHECK(openblas->num_threads == static_cast<std::size_t>(openblas_get_num_threads()));
}

TEST_CASE("a thread limit is in force inside its scope and gone after it") {
  const TwoThreads two;
  {
    const procyon::ThreadLimit limit(1);
    CHECK(openblas_get_num_threads() == 1);
    {
      const procyon::ThreadLimit inner(2, "blas");
      CHECK(openblas_get_num_threads() == 2);
    }
    CHECK(openblas_get_num_threads() == 1);
  }
  CHECK(openblas_get_num_threads() == 2);
}

TEST_CASE("a limit for OpenMP leaves BLAS alone") {
  const TwoThreads two;
  const procyon::ThreadLimit limit(1, "openmp");
  CHECK(openblas_get_num_threads() == 2);
}

TEST_CASE("a limit is restored when the scope is left by an exception") {
  const TwoThreads two;
  try {
    const procyon::ThreadLimit limit(1);
    throw std::runtime_error("out");
  } catch (const std::runtime_error&) {
  }
  CHECK(openblas_get_num_threads() == 2);
}

TEST_CASE("a limit of nothing or for an unknown interface is refused") {
  CHECK_THROWS_AS(procyon::ThreadLimit(0), std::invalid_argument);
  CHECK_THROWS_AS(procyon::ThreadLimit(std::size_t{1} << 40), std::invalid_argument);
  CHECK_THROWS_WITH(procyon::ThreadLimit(1, "mkl"), Catch::Contains("\"mkl\""));
}

TEST_CASE("a product under a limit of one makes no thread") {
  multiply(256);
  const auto before = count_tasks();
  const procyon::ThreadLimit limit(1);
  multiply(256);
  CHECK(count_tasks() == before);
}

TEST_CASE("pinned scopes that overlap restore only when the last ends") {
  const TwoThreads two;
  std::optional<procyon::blas::PinnedScope> first(std::in_place);
  std::optional<procyon::blas::PinnedScope> second(std::in_place);
  first.reset();
  CHECK(openblas_get_num_threads() == 1);
  std::thread([] { const procyon::blas::PinnedScope third; }).join();
  CHECK(openblas_get_num_threads() == 1);
  second.reset();
  CHECK(openblas_get_num_threads() == 2);
}

TEST_CASE("an OpenMP runtime that is loaded later is found, limited by thread, and forgotten",
          "[unloads]") {
  REQUIRE_FALSE(loaded("libgomp").has_value());
  void* const library = ::dlopen("libgomp.so.1", RTLD_NOW);
  REQUIRE(library != nullptr);
  const auto threads = reinterpret_cast<int (*)()>(::dlsym(library, "omp_get_max_threads"));
  const auto set_threads = reinterpret_cast<void (*)(int)>(::dlsym(library, "omp_set_num_threads"));
  set_threads(3);
  CHECK(loaded("libgomp")->num_threads == 3);
  {
    const procyon::ThreadLimit limit(1);
    CHECK(threads() == 1);
    // A new thread does not have the limit of the one that set it.
    std::thread([&] {
      set_threads(3);
      procyon::blas::limit_this_thread(1);
      CHECK(threads() == 1);
    }).join();
  }
  CHECK(threads() == 3);
  ::dlclose(library);
  CHECK_FALSE(loaded("libgomp").has_value());
}
