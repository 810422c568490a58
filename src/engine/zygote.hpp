// The zygote: the program's image as it was when the Pool was made, single-threaded. It forks the
// pool's workers and their replacements, and is the one that sees how they end.
#pragma once

#include "engine/layout.hpp"
#include "shm/members.hpp"

#include <procyon/engine/engine.hpp>

#include <sys/types.h>

namespace procyon::engine {

struct ZygoteSettings {
  pid_t program;
  int control;  ///< a socket to the program; its end is the zygote's, a byte means `interrupted`
                ///< jobs
  int bell;     ///< the guardian's
  Settings pool;
};

/// What the zygote says once all workers run, or why they do not.
struct ZygoteReport {
  int error;              ///< errno; 0: they run
  std::uint32_t started;  ///< workers forked before that
};

/// The zygote's whole life. Requires: it is the only thread of a process just forked.
int run_zygote(PoolState& pool, shm::MemberId self, const ZygoteSettings& settings);

}  // namespace procyon::engine
