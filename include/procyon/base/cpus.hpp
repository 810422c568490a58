// How many CPUs this process may use.
#pragma once

#include <cstddef>

namespace procyon {

/// CPUs this process may use: the affinity mask, and the CPU quota of its control group rounded
/// up, whichever is less; at least 1. Not the CPUs of the machine.
std::size_t cpu_count();

}  // namespace procyon
