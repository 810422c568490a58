// A function mapped over a vector by worker processes.
// Output: = 1000.*2 workers.*worker [0-9]+ was killed by signal 6 \(SIGABRT\).*on: 42
#include <procyon/procyon.hpp>

#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <vector>

int main(int argc, char** argv) {
  procyon::init(argc, argv);
  procyon::Pool pool(2);

  std::vector<double> xs(1'000'001);
  std::iota(xs.begin(), xs.end(), 0.0);
  const std::vector<double> roots = pool.map([](double x) { return std::sqrt(x); }, xs);
  std::cout << "sqrt(1000000) = " << roots.back() << '\n';

  const pid_t program = getpid();
  if (pool.apply([program] { return getpid() != program; })) {
    std::cout << pool.size() << " workers, each with a pid of its own\n";
  }

  // A task that takes its process with it fails alone; the pool goes on.
  try {
    pool.apply([] { std::abort(); });
  } catch (const procyon::WorkerCrashed& crash) {
    std::cout << "a worker that crashes: " << crash.what() << '\n';
  }
  std::cout << "and the pool goes on: " << pool.apply([](int a, int b) { return a + b; }, 40, 2)
            << '\n';
}
