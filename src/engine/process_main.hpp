// What a Process does in its own process, and who the calling process is.
//
// Every way of starting ends in the same main: signals and stdin of its own, f, then exit(). exit()
// runs what f has registered and then comes to `leave`, which was registered just before f and ends
// the process by _exit: what the parent's image had registered before belongs to the parent, which
// will run it. So static destructors of the image do not run, whichever way the process was
// started, and the exit code is exact wherever exit() is called from.
#pragma once

#include "base/descriptor.hpp"
#include "engine/layout.hpp"

#include <procyon/engine/process.hpp>

#include <functional>
#include <string>

namespace procyon::engine {

/// How a forked child knows its parent, and whether it lives.
struct ForkedFrom {
  pid_t parent;
  bool by_main_thread;  // the kernel kills it with that thread
  int bell;             // the guardian's
};

/// The whole life of a Process that is a copy of its parent. Requires: it is the member.
[[noreturn]] void run_forked_process(ProcessRecord& record, const ForkedFrom& from,
                                     ProcessCall& call);
/// The same for one that was told what to do. `parent`: its pidfd.
[[noreturn]] void run_launched_process(ProcessRecord& record, base::Descriptor parent, int bell);

/// Who this process is to itself: the numbers in "Process-1:2", and its next child's.
std::string own_identity();
/// Where a pool's worker begins: it is no copy of what it was forked from any more.
void become_pool_worker(std::uint32_t index);

/// Ends the Processes that this process has started and that still run: daemonic ones are
/// terminated, then all are joined.
void end_children() noexcept;
/// In a child: those that its parent has started are none of its own.
void forget_children() noexcept;

}  // namespace procyon::engine
