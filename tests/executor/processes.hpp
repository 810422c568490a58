// Looking at, and killing, the processes of a pool.
#pragma once

#include <procyon/procyon.hpp>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "catch.hpp"

namespace processes {

struct Status {
  std::string name;
  char state = 'X';
  pid_t parent = 0;
};

/// What /proc says of a process; state X where there is none.
inline Status status_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string text;
  std::getline(file, text);
  const auto open = text.find('(');
  const auto close = text.rfind(')');
  Status status;
  if (open == std::string::npos || close == std::string::npos) return status;
  status.name = text.substr(open + 1, close - open - 1);
  std::istringstream fields(text.substr(close + 1));
  fields >> status.state >> status.parent;
  return status;
}

inline bool is_running(pid_t pid) {
  const char state = status_of(std::to_string(pid)).state;
  return state != 'X' && state != 'Z';
}

/// Running children of a process that have this name; all of them where it is empty.
inline std::vector<pid_t> children(pid_t parent, std::string_view name) {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    const Status status = status_of(pid);
    if (status.parent == parent && (name.empty() || status.name == name) && status.state != 'Z') {
      found.push_back(static_cast<pid_t>(std::stol(pid)));
    }
  }
  return found;
}

inline pid_t zygote_of(procyon::Pool& pool) { return pool.apply(&getppid); }

inline std::vector<pid_t> workers_of(procyon::Pool& pool) {
  return children(zygote_of(pool), {});  // not by name: one just forked has none yet
}

/// Whether `condition` becomes true while anybody would still wait for it.
template <class Condition>
bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// This process's guardian, which it or its fork server has started; it has its name a moment
/// later.
inline pid_t guardian() {
  pid_t found = 0;
  const bool is_there = eventually([&found] {
    std::vector<pid_t> parents = children(getpid(), "procyon-server");
    parents.push_back(getpid());
    for (const pid_t parent : parents) {
      const auto all = children(parent, "procyon-guard");
      if (!all.empty()) found = all.front();
    }
    return found != 0;
  });
  REQUIRE(is_there);
  return found;
}

inline std::ptrdiff_t count_descriptors() {
  using std::filesystem::directory_iterator;
  return std::distance(directory_iterator("/proc/self/fd"), directory_iterator());
}

/// What `body` returns in a forked child; 1000 + signal where one ended it, 255 where it throws.
template <class Body>
int in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      _exit(body());
    } catch (...) {
      _exit(255);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/// Sets a variable of the environment for a scope.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

}  // namespace processes
