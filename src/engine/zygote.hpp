// The zygote: the process that starts the workers of one pool and their replacements, and is the
// one that sees how they end. It has one thread; by `fork` it is the program's image as it was when
// the Pool was made, by the others the one from init().
#pragma once

#include "base/descriptor.hpp"
#include "engine/layout.hpp"

#include <procyon/engine/engine.hpp>

#include <sys/types.h>

namespace procyon::engine {

struct ZygoteSettings {
  base::Descriptor program;  ///< pidfd of the process that made the pool
  int control;  ///< a socket to it; its end is the zygote's, a byte means: look at the workers
  int bell;     ///< the guardian's
  Settings pool;
};

/// What the zygote says once all workers run, or why they do not.
struct ZygoteReport {
  int error;              ///< errno; 0: they run
  std::uint32_t started;  ///< workers started before that
  int status;             ///< as waitpid gives it, of one that ended before it was ready; or 0
};

/// The zygote's whole life. Requires: it is the only thread of its process, and that is the member.
int run_zygote(PoolState& pool, ZygoteSettings settings);

struct WorkerSettings {
  std::uint32_t index;
  pid_t zygote;  ///< it dies with this one
  int bell;
  Settings pool;
};

/// A worker's whole life. Requires: its process is the member.
int run_worker(PoolState& pool, const WorkerSettings& settings);

/// Workers of the pool that this process works for; 0: it is no worker.
std::uint32_t enclosing_workers() noexcept;

}  // namespace procyon::engine
