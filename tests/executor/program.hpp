// Running the fixture programs, and seeing from outside what they leave behind.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>

#include <string>
#include <vector>

#include "processes.hpp"

namespace processes {

enum class Streams { output, output_and_errors };

/// A run of a fixture program. Its orphans become children of this process, so that their end can
/// be waited for.
class Program {
 public:
  /// `input`: what it has for stdin; null: something that is not empty.
  Program(const char* path, const char* mode, Streams streams = Streams::output,
          const char* input = nullptr) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    output_ = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input == nullptr ? path : input,
                                     O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (streams == Streams::output_and_errors) {
      posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    }
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    std::string name = path;
    std::string argument = mode;
    char* const arguments[] = {name.data(), argument.data(), nullptr};
    REQUIRE(posix_spawn(&pid_, name.c_str(), &actions, nullptr, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
  }
  ~Program() {
    close(output_);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }

  /// What it has printed when `enough` is in it, or when all its processes have gone.
  const std::string& read_until(const std::string& enough) {
    while (text_.find(enough) == std::string::npos) {
      pollfd event{output_, POLLIN, 0};
      char buffer[4096];
      if (poll(&event, 1, 30000) <= 0) break;
      const ssize_t count = read(output_, buffer, sizeof buffer);
      if (count <= 0) break;
      text_.append(buffer, static_cast<std::size_t>(count));
    }
    return text_;
  }
  const std::string& read_all() { return read_until(std::string(1, '\0')); }

  /// Its status, once it and every process that it has started are gone; -1: some stay.
  int wait_for_all() {
    int own = -1;
    const bool gone = eventually([&own, this] {
      // This process's own fork server stays. Looked at first: who dies after that is reaped below.
      const bool only_server = children(getpid(), {}) == before_;
      int status = 0;
      pid_t pid = 0;
      while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == pid_) own = status;
      }
      return pid < 0 || only_server;
    });
    return gone ? own : -1;
  }

 private:
  std::vector<pid_t> before_ = children(getpid(), {});
  pid_t pid_ = 0;
  int output_ = -1;
  std::string text_;
};

inline std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace processes
