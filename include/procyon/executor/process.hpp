// A process that runs one function.
#pragma once

#include <procyon/engine/process.hpp>
#include <procyon/executor/process_call.hpp>

#include <concepts>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace procyon {

struct ProcessOptions {
  std::string name =
      {};  ///< empty: "Process-1", "Process-2", ...; in Process-1, "Process-1:1", ...
  /// Terminated, not joined, where its Process is destroyed or its parent's exit() finds it
  /// running.
  bool daemon = false;
  StartMethod start_method = StartMethod::automatic;
};

/// Runs f(args...) in a process of its own, from start() on. Handles, Pools and further Processes
/// may be used there. Arguments and f are kept as std::thread keeps them, and f is called with them
/// as a pool calls it. An int that f returns is the exit code; other results are dropped, and the
/// code is 0. An exception is printed to stderr as std::terminate would, and the code is 1. exit(n)
/// in f makes it n, and runs what f has registered with atexit(), but neither handlers nor static
/// destructors of the program's. stdio and the standard streams are flushed, and stdin is empty.
///
/// By `fork` f may be any callable: the child has a copy of everything. By the others f and its
/// arguments follow the rules of pools, and start() throws NotShareable where they do not, for a
/// capture by reference too: which way it is may be known only then. The child has the signals
/// ignored that this process ignores, and no handlers.
///
/// Destroying a Process that runs joins it. A daemonic one is sent SIGTERM, and SIGKILL if it is
/// still there five seconds later. A process's exit(), and the end of f in a Process, end those
/// that are left in the same way. Where a process dies of something else its Processes are killed,
/// with all their descendants. A daemonic one may have children itself.
///
/// May be moved, and be used by any thread of the process that made it.
class Process : public ProcessHandle {
 public:
  template <class F, class... Args>
  requires(!std::same_as<std::decay_t<F>, ProcessOptions> &&
           !std::derived_from<std::decay_t<F>, ProcessHandle>)  //
      explicit Process(F&& f, Args&&... args)
      : Process(ProcessOptions{}, std::forward<F>(f), std::forward<Args>(args)...) {}
  template <class F, class... Args>
  Process(const ProcessOptions& options, F&& f, Args&&... args)
      : ProcessHandle(std::make_shared<engine::Child>(
            options.name, options.daemon, options.start_method,
            std::make_unique<detail::TypedCall<std::decay_t<F>, std::decay_t<Args>...>>(
                std::forward<F>(f), std::forward<Args>(args)...))) {}
  Process(Process&& other) noexcept : ProcessHandle(std::move(other.child_)) {}
  Process& operator=(Process&& other) noexcept {
    if (this != &other) {
      end();
      child_ = std::move(other.child_);
    }
    return *this;
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() { end(); }

  /// Once. Throws std::logic_error the second time; StartError where a process cannot be had, where
  /// `fork` would copy locks of other threads, and where another start method lacks init();
  /// std::invalid_argument (PROCYON_START_METHOD), NotShareable, SharedMemoryError, and what
  /// serialising an argument throws. It may be called again after it has thrown.
  void start() { engine::Child::start((child(), child_)); }

 private:
  void end() noexcept {
    if (child_) child_->end();
  }
};

}  // namespace procyon
