// Every exception that the library throws of its own accord.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace procyon {

/// The root of the library's errors. Wrong arguments throw `std::invalid_argument` or
/// `std::out_of_range` instead, and shared memory running out throws `SharedMemoryError`.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Processes could not be started. `phase()` is the step that failed, `code()` its errno (0: none).
class StartError : public Error {
 public:
  StartError(std::string phase, int code, const std::string& detail);
  const std::string& phase() const noexcept { return phase_; }
  int code() const noexcept { return code_; }

 private:
  std::string phase_;
  int code_;
};

/// An exception of a type that this process cannot rebuild; `what()` is the original's.
class RemoteError : public Error {
 public:
  RemoteError(std::string type_name, const std::string& what);
  const std::string& type_name() const noexcept { return type_name_; }

 private:
  std::string type_name_;
};

/// A callable, argument or result refers to memory that another process does not see.
class NotShareable : public Error {
 public:
  using Error::Error;
};

/// The pool was closed or terminated before the task could run.
class PoolClosed : public Error {
 public:
  using Error::Error;
};

/// The task was cancelled by AsyncResult::cancel.
class Cancelled : public Error {
 public:
  using Error::Error;
};

/// A wait with a time limit ran out; what was waited for goes on.
class TimeoutError : public Error {
 public:
  using Error::Error;
};

/// The process that ran a task died before the task was done.
class WorkerCrashed : public Error {
 public:
  struct Death {
    pid_t pid = 0;
    int signal = 0;     ///< the signal that killed it; 0: it exited
    int exit_code = 0;  ///< where signal is 0
  };
  WorkerCrashed(Death death, std::size_t item, unsigned attempt);
  pid_t pid() const noexcept { return death_.pid; }
  int signal() const noexcept { return death_.signal; }
  int exit_code() const noexcept { return death_.exit_code; }
  std::size_t item() const noexcept { return item_; }
  unsigned attempt() const noexcept { return attempt_; }

 private:
  Death death_;
  std::size_t item_;
  unsigned attempt_;
};

/// The task ran longer than PoolOptions::task_timeout or MapOptions::timeout allow. Its process was
/// killed; a thread had it run to its end.
class TaskTimeout : public Error {
 public:
  using Error::Error;
};

/// The pool lost the processes that keep it alive and cannot replace them.
class BrokenPool : public Error {
 public:
  using Error::Error;
};

/// Shared memory could not be had: the heap's limit, the machine's memory or an address range.
class SharedMemoryError : public std::bad_alloc {
 public:
  explicit SharedMemoryError(std::string what) : what_(std::move(what)) {}
  const char* what() const noexcept override { return what_.c_str(); }

 private:
  std::string what_;
};

/// Where a task's exception was thrown. Every exception that a task throws derives from it when
/// it reaches the caller: `if (const Where* place = where(e))`.
class Where {
 public:
  Where() = default;
  Where(pid_t pid, std::size_t item, unsigned attempt) noexcept
      : pid_(pid), item_(item), attempt_(attempt) {}
  virtual ~Where() = default;
  Where(const Where&) = default;
  Where& operator=(const Where&) = default;
  pid_t pid() const noexcept { return pid_; }
  std::size_t item() const noexcept { return item_; }
  unsigned attempt() const noexcept { return attempt_; }

 private:
  pid_t pid_ = 0;
  std::size_t item_ = 0;
  unsigned attempt_ = 0;
};

/// The place of a task's exception; null for an exception that no task threw.
inline const Where* where(const std::exception& error) noexcept {
  return dynamic_cast<const Where*>(&error);
}

}  // namespace procyon
