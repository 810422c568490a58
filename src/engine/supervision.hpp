// Which workers are to be killed, by what their slots say: those that run a job which was
// cancelled, and those whose item has had its time.
#pragma once

#include "engine/layout.hpp"

#include <chrono>
#include <limits>

namespace procyon::engine {

/// In WorkerSlot::began: nothing runs that could take too long.
constexpr std::int64_t never_overdue = std::numeric_limits<std::int64_t>::max();

/// CLOCK_MONOTONIC, the same in every process.
std::int64_t monotonic_now() noexcept;

/// A hint: the worker may be at something else by now.
bool may_have_to_end(const PoolState& pool, std::uint32_t index, std::int64_t now) noexcept;

enum class Verdict { goes_on, interrupted, overdue };
/// Requires: the worker is stopped, so that what its slot says stays true.
Verdict judge(const PoolState& pool, std::uint32_t index, std::int64_t now) noexcept;

/// When the next item may have had its time, from now on; negative: no job has a time limit.
std::chrono::milliseconds until_next_deadline(PoolState& pool, std::int64_t now) noexcept;

}  // namespace procyon::engine
