// What runs in a new child before any other code of ours: signals, name, death with the parent.
#include "process/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <iostream>

namespace procyon::process {
namespace {

void set_disposition(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

// Handlers point into code that was written for the program, so none of them stays. What was
// ignored stays ignored, except SIGCHLD, whose being ignored would lose exit codes.
void drop_handlers() {
  for (int signal = 1; signal < SIGRTMAX; ++signal) {
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) != 0) continue;
    const bool stays =
        action.sa_handler == SIG_DFL || (action.sa_handler == SIG_IGN && signal != SIGCHLD);
    if (!stays) set_disposition(signal, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

bool set_up_child(const char* name, pid_t parent) {
  drop_handlers();
  prctl(PR_SET_NAME, name);
  if (parent == 0) return true;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Set after the parent's death it would never fire.
  return getppid() == parent;
}

void ignore_terminal_signals() {
  for (const int signal : {SIGINT, SIGQUIT, SIGHUP}) set_disposition(signal, SIG_IGN);
}

void empty_standard_input() noexcept {
  const int flags = fcntl(STDIN_FILENO, F_GETFD);
  if (flags >= 0 && (flags & FD_CLOEXEC) != 0) return;
  const int nothing = open("/dev/null", O_RDONLY);  // 0, where that was closed
  if (nothing < 0 || dup2(nothing, STDIN_FILENO) != STDIN_FILENO) {
    close(STDIN_FILENO);
  }
  if (nothing > STDIN_FILENO) close(nothing);
  __fpurge(stdin);
  std::streambuf* const read_ahead = std::cin.rdbuf();
  if (read_ahead == nullptr) return;
  for (std::streamsize left = read_ahead->in_avail(); left > 0; --left) read_ahead->sbumpc();
}

std::uint64_t ignored_signals() noexcept {
  std::uint64_t ignored = 0;
  for (int signal = 1; signal < SIGRTMAX; ++signal) {
    struct sigaction action = {};
    if (signal == SIGCHLD || sigaction(signal, nullptr, &action) != 0) continue;
    if (action.sa_handler == SIG_IGN) ignored |= std::uint64_t{1} << signal;
  }
  return ignored;
}

void ignore_only(std::uint64_t ignored) noexcept {
  for (int signal = 1; signal < SIGRTMAX; ++signal) {
    set_disposition(signal, (ignored >> signal & 1) != 0 ? SIG_IGN : SIG_DFL);
  }
}

void ignore_ending_signals() {
  ignore_terminal_signals();
  // By a handler, which children of this process drop, as they do not what is ignored.
  for (const int signal : {SIGTERM, SIGPIPE}) {
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    set_disposition(signal, [](int) {});
  }
}

}  // namespace procyon::process
