// What is done when a worker has died. Only the guardian does it, one death at a time; it may be
// killed anywhere in it, and its successor does it again from the start.
#pragma once

#include "engine/layout.hpp"

namespace procyon::engine {

/// Charges the death to the item that the worker was running, hands on what it had claimed and not
/// begun, and frees what it was about to hand over. Requires: the process is proven dead.
void recover_worker(PoolState& pool, std::uint32_t index, pid_t pid, int status) noexcept;

}  // namespace procyon::engine
