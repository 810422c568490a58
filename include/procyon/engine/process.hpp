// Processes that run one function each: their handles, and what the typed front gives the engine.
#pragma once

#include <procyon/engine/job.hpp>
#include <procyon/engine/start_method.hpp>

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace procyon {

/// A process of this program, as itself or its children see it.
class ProcessInfo {
 public:
  ProcessInfo(std::string name, pid_t pid, bool daemon)
      : name_(std::move(name)), pid_(pid), daemon_(daemon) {}
  const std::string& name() const noexcept { return name_; }
  pid_t pid() const noexcept { return pid_; }
  bool daemon() const noexcept { return daemon_; }

 private:
  std::string name_;
  pid_t pid_;
  bool daemon_;
};

/// The calling process: "MainProcess" unless it is a Process, or a worker of a Pool ("PoolWorker-1"
/// and so on, daemonic).
ProcessInfo current_process();
/// The process that started this one; nothing in the program itself. Where it dies so does this
/// one.
std::optional<ProcessInfo> parent_process();

namespace engine {

struct Module;

/// Where the functions are that a started process has been told of.
class CodeFinder {
 public:
  explicit CodeFinder(const std::atomic<const Module*>* modules) noexcept : modules_(modules) {}
  /// The address of a function, here. Throws NotShareable.
  std::uintptr_t find_function(CodeToken code) const;

 private:
  const std::atomic<const Module*>* modules_;
};

/// As JobType, for the code of a Process that does not inherit it.
struct ProcessType {
  static constexpr std::uint64_t valid = 0x50524f43594f4e32;
  std::uint64_t magic;
  int (*run)(void* payload, const CodeFinder& finder);
};

CodeToken register_code(const void* module_base, const ProcessType* type);

/// A call in the shared heap.
struct PlacedCall {
  void* payload = nullptr;
  CodeToken code = 0;
  CodeToken function = 0;  ///< that the payload names; 0: none
};

/// What a Process runs, its types forgotten.
class ProcessCall {
 public:
  ProcessCall() = default;
  ProcessCall(const ProcessCall&) = delete;
  ProcessCall& operator=(const ProcessCall&) = delete;
  virtual ~ProcessCall() = default;
  /// Calls it, in a copy of this process; the exit code.
  virtual int run() = 0;
  /// Puts it into the shared heap, for a process that has no copy of this one; `images`: whether
  /// addresses of code and constants mean the same to that. Throws NotShareable, SharedMemoryError,
  /// and what serialising an argument throws.
  virtual PlacedCall place(bool images) = 0;
  /// Destroys what `place` has made. Requires: nobody runs it any more.
  virtual void take_back(void* payload) noexcept = 0;
};

/// A child process and its end. All members may be called by any thread of the process that made
/// it; they throw std::logic_error in any other.
class Child {
 public:
  /// `name`: empty for the next "Process-1", "Process-2", ... of this process.
  Child(std::string name, bool daemon, StartMethod method, std::unique_ptr<ProcessCall> call);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  static void start(const std::shared_ptr<Child>& child);
  /// False: it still ran after `limit`.
  bool join(std::chrono::nanoseconds limit);
  bool is_alive() const;
  std::optional<int> exit_code() const;
  pid_t pid() const;
  int sentinel() const;
  void send_signal(int signal, const char* what);
  const std::string& name() const noexcept;
  bool daemon() const noexcept;
  /// Sends SIGTERM where it runs. Requires: this process made it.
  void ask_to_end() noexcept;
  /// Joins it where it runs; a daemonic one is terminated first. Nothing in other processes.
  void end() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The children of this process that run.
std::vector<std::shared_ptr<Child>> running_children();

}  // namespace engine

class Process;

/// A child process that somebody else owns: active_children() gives such ones. Copies refer to the
/// same process. They may be used by any thread of the process that made the child, for as long as
/// one likes. In another process every member but name() and daemon() throws std::logic_error.
class ProcessHandle {
 public:
  explicit ProcessHandle(std::shared_ptr<engine::Child> child) noexcept
      : child_(std::move(child)) {}
  // A handle that is made of a Process leaves it what it has: copied, also where it could be moved.
  ProcessHandle(const ProcessHandle&) = default;
  ProcessHandle& operator=(const ProcessHandle&) = default;
  ~ProcessHandle() = default;

  /// Waits for the end. Throws std::logic_error before start().
  void join() const {
    while (!join(std::chrono::hours{1})) {
    }
  }
  /// Waits so long at most; not at all for a limit of zero or less. Returns whether it has ended.
  bool join(std::chrono::nanoseconds limit) const { return child().join(limit); }
  bool is_alive() const { return child().is_alive(); }
  /// What f returned, or exit() was given, as the system gives it: 0 to 255; 1 after an exception;
  /// -9 where signal 9 ended it. 255 where nobody can know: somebody else's wait() took the status
  /// of a process that was killed, say. Nothing before start() and while it runs.
  std::optional<int> exit_code() const { return child().exit_code(); }
  /// 0 before start().
  pid_t pid() const { return child().pid(); }
  const std::string& name() const { return child().name(); }
  bool daemon() const { return child().daemon(); }
  /// Sends SIGTERM. Nothing where it has ended. Throws std::logic_error before start().
  void terminate() const;
  /// Sends SIGKILL, as above.
  void kill() const;
  /// A pidfd, for poll(): readable once the process has ended. It stays open as long as the last
  /// handle or Process lives; it is not to be closed. Throws std::logic_error before start().
  int sentinel() const { return child().sentinel(); }

 private:
  friend class Process;
  /// Throws std::logic_error where it was moved from.
  engine::Child& child() const;
  std::shared_ptr<engine::Child> child_;
};

/// The Processes that this process has started and that still run. Reaps those that have ended.
std::vector<ProcessHandle> active_children();

}  // namespace procyon
