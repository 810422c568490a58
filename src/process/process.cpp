#include "process/process.hpp"

#include <procyon/base/errors.hpp>
#include <procyon/process/init.hpp>

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>

namespace procyon {

void init(int, const char* const*) {}

namespace process {

pid_t fork_child(const char* what, const std::function<int()>& body) {
  std::fflush(nullptr);
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

bool wait_until_gone(pid_t pid, std::chrono::milliseconds limit) noexcept {
  const Descriptor handle = open_pidfd(pid);
  if (!handle) return errno == ESRCH;
  pollfd event{handle.get(), POLLIN, 0};
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
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

}  // namespace process
}  // namespace procyon
