// Running the built command as a user does.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace procyon::test {

struct Finished {
  int code = 0;  ///< exit code; negative: the signal that ended it
  std::string out, err;
};

/// The command, running; its output goes to files without names.
class Child {
 public:
  /// `prepare` runs in the child before the command.
  explicit Child(
      const std::vector<std::string>& arguments, const std::function<void()>& prepare = [] {});
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const noexcept { return pid_; }
  Finished wait();

 private:
  pid_t pid_ = -1;
  int out_ = -1, err_ = -1;
};

/// Runs the command to its end.
Finished run(
    const std::vector<std::string>& arguments, const std::function<void()>& prepare = [] {});

/// The workers of the pools of process `program`.
std::vector<pid_t> workers_of(pid_t program);

}  // namespace procyon::test
