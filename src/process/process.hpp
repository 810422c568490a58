// Starting, watching and ending the processes of this program.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>

namespace procyon::process {

/// A descriptor that is closed with its owner.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept;
  void reset() noexcept;

 private:
  int fd_ = -1;
};

/// Forks; the child runs `body` and leaves by `_exit` with what it returns (125: it threw).
/// Buffered output is flushed first, so that it is not printed twice. Throws StartError.
pid_t fork_child(const char* what, const std::function<int()>& body);

/// What every child of the library does before anything else: signal dispositions of its own,
/// its name, and, with `parent` not 0, death with that parent. Returns false when the parent has
/// gone meanwhile. Call it from the child's only thread.
bool set_up_child(const char* name, pid_t parent);
/// As above for a process that a terminal's signals must not end by themselves; `survive_term`:
/// neither must SIGTERM.
void ignore_terminal_signals(bool survive_term);

/// A pidfd, or an empty Descriptor with errno set.
Descriptor open_pidfd(pid_t pid) noexcept;

/// Waits until the process has ended: a zombie has. For processes that are not this one's
/// children too. False: it was still there after `limit`.
bool wait_until_gone(pid_t pid, std::chrono::milliseconds limit) noexcept;

/// Reaps a child of this process, waiting for it; its status as waitpid gives it, or -1 where
/// somebody else has reaped it.
int reap(pid_t pid) noexcept;

/// Threads of this process, as the kernel counts them.
std::size_t count_threads();

/// A number that differs between a process and every child forked from it: tells the copies of
/// an object apart at the cost of a load.
unsigned fork_generation() noexcept;

}  // namespace procyon::process
