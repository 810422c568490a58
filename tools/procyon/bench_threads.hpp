// How many threads really work: counted, not believed.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "procyon/bench_modes.hpp"

namespace procyon::tool {

/// The threads of one process during a warm-up product that is large enough for threaded BLAS.
struct ThreadCount {
  std::size_t tasks = 0;      ///< in /proc/self/task, sleeping ones included
  std::size_t active = 0;     ///< of these, the ones that had processor time
  std::size_t strangers = 0;  ///< of these, neither the caller nor one of the pool's: BLAS's own
};

struct ThreadCheck {
  Mode mode = Mode::serial;
  std::vector<ThreadCount> processes = {};  ///< this process; of Mode::process, each worker
  bool passed() const;                      ///< where BLAS is held at one thread, it had no more
};

/// One warm-up in each mode. The counts of Mode::process are taken inside the workers.
std::vector<ThreadCheck> check_threads(Pools& pools);

/// Waits until no thread of this process but the caller's runs: an idle OpenBLAS thread spins for
/// a tenth of a second before it sleeps, beside whatever is measured next. Gives up after a second.
void wait_until_idle();

}  // namespace procyon::tool
