// The first statement of main.
#pragma once

namespace procyon {

/// Call as the first statement of main, with its arguments. In a process that this library started
/// it becomes that process's own main and never returns: static initialisers have run, the rest of
/// main does not. In the program itself it prepares the start method `forkserver`, which copies
/// this process as it is now, and returns; later calls do nothing. Costs a fork.
void init(int argc, const char* const* argv);

}  // namespace procyon
