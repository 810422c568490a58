#include "process/process.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <procyon/base/errors.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <utility>

namespace procyon::process {

void flush_output() noexcept {
  try {
    std::cout.flush();
    std::clog.flush();
  } catch (...) {
    // A stream that was told to throw: its error stays with it.
  }
  std::fflush(nullptr);
}

SignalsHeldBack::SignalsHeldBack() noexcept {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsHeldBack::~SignalsHeldBack() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

// A signal that came to the child before set_up_child has dropped the handlers would be lost in one
// of this process's.
pid_t fork_child(const char* what, const std::function<int()>& body) {
  const SignalsHeldBack held_back;
  const pid_t pid = fork();
  if (pid < 0) {
    throw StartError("fork", errno,
                     std::string("no process for ") + what +
                         " (see ulimit -u and the control group's pids.max)");
  }
  if (pid > 0) return pid;
  int code = 125;
  try {
    code = body();
  } catch (...) {
  }
  _exit(code);
}

Descriptor open_pidfd(pid_t pid) noexcept {
  return Descriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

std::uint64_t start_time(pid_t pid) noexcept {
  const Descriptor file(
      open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> text{};
  if (!file || read(file.get(), text.data(), text.size() - 1) <= 0) return 0;
  // Field 22; the second one, a name in parentheses, may hold anything.
  const char* at = std::strrchr(text.data(), ')');
  for (int field = 2; at != nullptr && field < 22; ++field) at = std::strchr(at + 1, ' ');
  return at == nullptr ? 0 : std::strtoull(at, nullptr, 10);
}

Descriptor open_pidfd(pid_t pid, std::uint64_t began) noexcept {
  Descriptor handle = open_pidfd(pid);
  if (handle && start_time(pid) != began) handle.reset();
  return handle;
}

bool wait_until_gone(const Descriptor& pidfd, std::chrono::milliseconds limit) noexcept {
  pollfd event{pidfd.get(), POLLIN, 0};
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    const int ready = poll(&event, 1, static_cast<int>(std::max<long>(left.count(), 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

int reap(pid_t pid) noexcept {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return status;
}

std::size_t count_threads() {
  const std::unique_ptr<DIR, int (*)(DIR*)> tasks(opendir("/proc/self/task"), closedir);
  if (!tasks) return 1;
  std::size_t count = 0;
  while (const dirent* entry = readdir(tasks.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count;
}

namespace {

unsigned generation = 0;

const bool counting_forks = [] {
  pthread_atfork(nullptr, nullptr, [] { ++generation; });
  return true;
}();

}  // namespace

unsigned fork_generation() noexcept { return generation; }

}  // namespace procyon::process
