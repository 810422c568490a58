// How a process that the library has started afresh knows that it was.
#pragma once

#include "base/descriptor.hpp"

namespace procyon::base {

/// The environment variable with the number of the descriptor that init() hears by.
constexpr const char* start_channel_variable = "PROCYON_START_CHANNEL";

/// Whether this process was started so and has not called init() yet: main's own body, or a
/// static initialiser, runs before it.
bool awaits_init() noexcept;
/// The channel, once; empty in a process that was not started so.
Descriptor take_start_channel();

}  // namespace procyon::base
