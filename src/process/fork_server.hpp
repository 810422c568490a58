// A process that keeps this program's image as it was early on, single-threaded, and forks from it
// on request; so nothing that the program does later is copied or found locked.
#pragma once

#include "process/parcel.hpp"

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace procyon::process {

/// The main function of what it forks; its result is the exit code.
using StartedMain = int (*)(Parcel&&);

struct ChildHandle {
  pid_t pid = 0;
  Descriptor pidfd;
};

/// Whether the server kills a child when the program, whose server it is, has gone.
enum class Bound { no, yes };

/// The requesting end. Not for several threads at once.
class ForkServer {
 public:
  ForkServer() = default;
  /// An existing server, by its socket. `server` may be reaped by this process.
  ForkServer(pid_t server, Descriptor socket) noexcept
      : server_(server), socket_(std::move(socket)) {}
  /// Forks one from this process as it is now. Requires: no other thread holds locks. Throws
  /// StartError.
  static ForkServer fork_now(StartedMain main);

  explicit operator bool() const noexcept { return static_cast<bool>(socket_); }
  pid_t pid() const noexcept { return server_; }

  /// Forks a child that runs `main` with the parcel, in this process's current directory. Throws
  /// StartError: code() is ESRCH where the server has died, EPERM where this process has changed
  /// its user since.
  ChildHandle start(std::string_view bytes, const std::vector<int>& descriptors, Bound bound);
  /// Starts this program's executable afresh in this process's current directory, with `channel` as
  /// process::start_afresh does and an environment of write_environment. Throws as above.
  ChildHandle start_afresh(const Descriptor& channel, const Descriptor& environment, Bound bound);
  /// The status, as waitpid gives it, of a child that has ended; -1: unknown, the server has died.
  int reap(pid_t child) noexcept;
  /// Ends the server; its children go on.
  void stop() noexcept;

 private:
  ChildHandle ask(const std::string& request, const std::vector<int>& descriptors);

  pid_t server_ = 0;
  Descriptor socket_;
};

/// The server's whole life: until the other end of the socket is closed, or the program is gone.
int serve_forks(Descriptor socket, const Descriptor& program, StartedMain main);

/// Closes every descriptor but the standard ones and these.
void close_others(const std::vector<int>& kept) noexcept;

}  // namespace procyon::process
