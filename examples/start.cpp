// The example of the README, which a test compares with this file.
// Output: was killed by signal 6 \(SIGABRT\) while it ran item 0
#include <procyon/procyon.hpp>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <vector>

int main(int argc, char** argv) {
  procyon::init(argc, argv);
  procyon::Pool pool;  // one worker per CPU, BLAS pinned to one thread in each
  const std::vector<double> xs(1'000'000, 2.0);
  const std::vector<double> roots = pool.map([](double x) { return std::sqrt(x); }, xs);

  procyon::Array<double> shared(1'000'000);  // seen by every worker at the same address
  pool.for_index(shared.size(), [shared](std::size_t i) { shared[i] = std::sqrt(i); });

  try {
    pool.apply([] { std::abort(); });
  } catch (const procyon::WorkerCrashed& crash) {
    std::cerr << crash.what() << '\n';  // only that task: the pool goes on
  }
}
