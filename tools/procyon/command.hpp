// The command `procyon`: from arguments to an exit code.
#pragma once

namespace procyon::tool {

/// 0: done. 1: the work failed. 2: wrong usage. What went wrong stands on stderr.
int run_command(int argc, const char* const* argv);

}  // namespace procyon::tool
