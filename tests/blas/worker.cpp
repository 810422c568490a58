// What limit_this_process leaves behind, seen in child processes of their own.
#include <cblas.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "blas/worker.hpp"

namespace {

std::ptrdiff_t count_tasks() {
  using std::filesystem::directory_iterator;
  return std::distance(directory_iterator("/proc/self/task"), directory_iterator());
}

void multiply() {
  constexpr int n = 256;
  std::vector<double> a(n * n, 1), c(n * n);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a.data(), n, a.data(), n, 0,
              c.data(), n);
}

// What `body` returns in a child process.
template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("a worker forked from a limited zygote multiplies with one thread", "[process]") {
  openblas_set_num_threads(2);
  multiply();
  const int threads = in_child([] {
    procyon::blas::limit_this_process(1);
    return in_child([] {
      multiply();
      return openblas_get_num_threads() == 1 ? static_cast<int>(count_tasks()) : 99;
    });
  });
  CHECK(threads == 1);
}

TEST_CASE("a zygote tells runtimes that are loaded later by the environment", "[process]") {
  const int equal = in_child([] {
    procyon::blas::limit_this_process(1);
    return std::getenv("OMP_NUM_THREADS") == std::string("1") &&
                   std::getenv("MKL_NUM_THREADS") == std::string("1")
               ? 1
               : 0;
  });
  CHECK(equal == 1);
}

TEST_CASE("a pinned scope leaves the count that a child process inherits usable", "[process]") {
  const procyon::blas::PinnedScope outer;
  const int threads = in_child([] {
    const procyon::blas::PinnedScope inner;
    multiply();
    return openblas_get_num_threads();
  });
  CHECK(threads == 1);
}
