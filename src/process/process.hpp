// Starting, watching and ending the processes of this program.
#pragma once

#include "base/descriptor.hpp"

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace procyon::process {

using base::Descriptor;

/// While it lives, this thread receives no signals; those that come wait.
class SignalsHeldBack {
 public:
  SignalsHeldBack() noexcept;
  ~SignalsHeldBack();
  SignalsHeldBack(const SignalsHeldBack&) = delete;
  SignalsHeldBack& operator=(const SignalsHeldBack&) = delete;

 private:
  sigset_t before_;
};

/// Forks; the child runs `body` and leaves by `_exit` with what it returns (125: it threw).
/// Signals wait in the child until set_up_child, which `body` has to call. Buffered output is in
/// both then: see flush_output. Throws StartError.
pid_t fork_child(const char* what, const std::function<int()>& body);

/// Writes out what stdio and the standard streams hold: before a fork, or the child prints it again
/// when it flushes, and before an _exit.
void flush_output() noexcept;

/// What every child of the library does before anything else: signal dispositions of its own,
/// its name, and, with `parent` not 0, death with that parent. Returns false when the parent has
/// gone meanwhile. Call it from the child's only thread.
bool set_up_child(const char* name, pid_t parent);
/// For workers: what a terminal sends to the whole foreground group ends the program, which may
/// catch it, and not its workers under it. Ctrl-Z stops them all, and they go on together.
void ignore_terminal_signals();
/// For workers: their standard input is at its end, so that a task that reads it takes nothing from
/// the program, neither from the file nor of what the program has read ahead. Does nothing where
/// descriptor 0 has become something that is closed on exec: then it is no standard input.
void empty_standard_input() noexcept;
/// The signals that this process ignores, but for SIGCHLD: a bit each.
std::uint64_t ignored_signals() noexcept;
/// For processes of the user's: those signals are ignored, for all others the default holds. Call
/// it before set_up_child.
void ignore_only(std::uint64_t ignored) noexcept;
/// For the processes that look after workers: SIGTERM and a broken pipe do not end them either.
void ignore_ending_signals();

/// A pidfd, or an empty Descriptor with errno set.
Descriptor open_pidfd(pid_t pid) noexcept;
/// As above for the process that began at that time; empty where the number is another's by now.
Descriptor open_pidfd(pid_t pid, std::uint64_t start_time) noexcept;
/// When a process began, in clock ticks since boot: with its number, its name for ever. 0: unknown.
std::uint64_t start_time(pid_t pid) noexcept;

/// Waits until the process has ended: a zombie has. For processes that are not this one's
/// children too. False: it was still there after `limit`.
bool wait_until_gone(const Descriptor& pidfd, std::chrono::milliseconds limit) noexcept;

/// Reaps a child of this process, waiting for it; its status as waitpid gives it, or -1 where
/// somebody else has reaped it.
int reap(pid_t pid) noexcept;

/// Threads of this process, as the kernel counts them.
std::size_t count_threads();

/// A number that differs between a process and every child forked from it: tells the copies of
/// an object apart at the cost of a load.
unsigned fork_generation() noexcept;

}  // namespace procyon::process
