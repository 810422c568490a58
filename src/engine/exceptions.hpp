// Exceptions on their way between processes: the standard ones and the library's keep their type
// and text, any other arrives as RemoteError (and, within one process, as itself).
#pragma once

#include "engine/layout.hpp"

namespace procyon::engine {

/// The exception in flight as a Failure in the pool's memory; `item`, `pid`, `attempt` are the
/// caller's to fill. Throws SharedMemoryError.
Failure* encode_current_exception(const PoolState& pool);

/// Frees a failure, without those it is chained to.
void free_failure(const PoolState& pool, Failure* failure) noexcept;

}  // namespace procyon::engine
