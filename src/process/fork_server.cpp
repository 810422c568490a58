#include "process/fork_server.hpp"

#include "process/process.hpp"
#include "process/spawn_launcher.hpp"

#include <procyon/base/errors.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>

namespace procyon::process {
namespace {

enum class Operation : std::uint32_t { start, start_afresh, reap, stop };

struct Request {
  Operation operation;
  std::int32_t pid;
  std::uint32_t user;
  std::uint32_t group;
  std::uint32_t bound;  // the child is to be killed when the program has gone
};

struct Reply {
  std::int32_t pid;
  std::int32_t error;  // errno; 0: done
  std::int32_t status;
};

// The program's sockets are closed a little before its end can be seen.
constexpr std::chrono::milliseconds end_of_program{200};

Descriptor current_directory() noexcept {
  return Descriptor(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/// The server's own process.
class Server {
 public:
  Server(Descriptor socket, const Descriptor& program, StartedMain main)
      : socket_(std::move(socket)), program_(program), main_(main) {}

  int run() {
    while (serve()) {
    }
    if (!is_stopped_ && wait_until_gone(program_, end_of_program)) {
      for (const pid_t child : bound_) kill(child, SIGKILL);
    }
    return 0;
  }

 private:
  // False: nobody has anything to ask any more.
  bool serve() {
    std::array<pollfd, 2> events{{{socket_.get(), POLLIN, 0}, {program_.get(), POLLIN, 0}}};
    if (poll(events.data(), events.size(), -1) < 0) return errno == EINTR;
    if (events[1].revents != 0) return false;
    std::optional<Parcel> parcel = receive_parcel(socket_.get());
    if (!parcel) return false;
    Request request{};
    if (parcel->bytes.size() < sizeof request) return true;
    std::memcpy(&request, parcel->bytes.data(), sizeof request);
    parcel->bytes.erase(0, sizeof request);
    is_stopped_ = request.operation == Operation::stop;
    if (!is_stopped_) reply_to(request, std::move(*parcel));
    return !is_stopped_;
  }

  void reply_to(const Request& request, Parcel&& parcel) {
    const bool starts = request.operation != Operation::reap;
    const Reply reply = starts ? start(request, std::move(parcel)) : reap_child(request.pid);
    // Not reaped yet, so the number is still that child's.
    const Descriptor handle = starts && reply.pid != 0 ? open_pidfd(reply.pid) : Descriptor();
    send_parcel(socket_.get(), bytes_of(reply),
                handle ? std::vector{handle.get()} : std::vector<int>{});
  }

  Reply reap_child(pid_t child) {
    int status = 0;
    const pid_t got = waitpid(child, &status, 0);
    std::erase(bound_, child);
    return {child, got < 0 ? errno : 0, status};
  }

  Reply start(const Request& request, Parcel&& parcel) {
    if (request.user != geteuid() || request.group != getegid()) return {0, EPERM, 0};
    if (parcel.descriptors.empty()) return {0, EINVAL, 0};
    Reply reply{0, 0, 0};
    try {
      if (request.bound != 0) bound_.push_back(0);
      reply.pid = request.operation == Operation::start_afresh ? exec_started(parcel)
                                                               : fork_started(std::move(parcel));
    } catch (const StartError& error) {
      reply.error = error.code() == 0 ? ENOEXEC : error.code();
    }
    if (request.bound != 0) bound_.back() = reply.pid;
    std::erase(bound_, 0);
    return reply;
  }

  pid_t fork_started(Parcel&& parcel) {
    const Descriptor directory = std::move(parcel.descriptors.front());
    parcel.descriptors.erase(parcel.descriptors.begin());
    return fork_child("a started process", [&] {
      close(socket_.get());
      if (fchdir(directory.get()) != 0) return 125;
      close(directory.get());
      return main_(std::move(parcel));
    });
  }

  // As in fork_child, signals that come to the child early wait: until it calls set_up_child.
  static pid_t exec_started(const Parcel& parcel) {
    const Descriptor own = current_directory();
    if (parcel.descriptors.size() != 3 || !own || fchdir(parcel.descriptors[0].get()) != 0) {
      throw StartError("exec", EINVAL, "no directory to start it in");
    }
    // Back at the end, so that no directory of the program's is in use for longer.
    const auto go_back = [&own] { return fchdir(own.get()) == 0 || chdir("/") == 0; };
    try {
      const SignalsHeldBack held_back;
      const pid_t pid = start_afresh(parcel.descriptors[1], "a started process",
                                     read_environment(parcel.descriptors[2]));
      go_back();
      return pid;
    } catch (...) {
      go_back();
      throw;
    }
  }

  Descriptor socket_;
  const Descriptor& program_;
  StartedMain main_;
  std::vector<pid_t> bound_;  // children that end with the program
  bool is_stopped_ = false;
};

std::string with_request(Operation operation, pid_t pid, Bound bound, std::string_view bytes) {
  const Request request{operation, pid, geteuid(), getegid(), bound == Bound::yes ? 1U : 0U};
  return std::string(bytes_of(request)).append(bytes);
}

}  // namespace

ForkServer ForkServer::fork_now(StartedMain main) {
  auto [ours, theirs] = socket_pair();
  const Descriptor program = open_pidfd(getpid());
  if (!ours || !program) throw StartError("fork server", errno, "no descriptors for it");
  const pid_t pid = fork_child("the fork server", [&, &theirs = theirs] {
    close_others({theirs.get(), program.get()});
    return serve_forks(std::move(theirs), program, main);
  });
  return {pid, std::move(ours)};
}

ChildHandle ForkServer::start(std::string_view bytes, const std::vector<int>& descriptors,
                              Bound bound) {
  return ask(with_request(Operation::start, 0, bound, bytes), descriptors);
}

ChildHandle ForkServer::start_afresh(const Descriptor& channel, const Descriptor& environment,
                                     Bound bound) {
  return ask(with_request(Operation::start_afresh, 0, bound, {}),
             {channel.get(), environment.get()});
}

ChildHandle ForkServer::ask(const std::string& request, const std::vector<int>& descriptors) {
  const Descriptor directory = current_directory();
  std::vector<int> all{directory.get()};
  all.insert(all.end(), descriptors.begin(), descriptors.end());
  if (!directory) throw StartError("fork server", errno, "the current directory cannot be opened");
  const bool sent = send_parcel(socket_.get(), request, all);
  std::optional<Parcel> parcel = sent ? receive_parcel(socket_.get()) : std::nullopt;
  const std::optional<Reply> reply = parcel ? parcel->as<Reply>() : std::nullopt;
  if (!reply) throw StartError("fork server", ESRCH, "it has died");
  if (reply->error != 0) {
    throw StartError("fork", reply->error,
                     "the fork server could start no process (see ulimit -u and the control "
                     "group's pids.max)");
  }
  if (parcel->descriptors.empty()) {
    kill(reply->pid, SIGKILL);  // the server has not reaped it: the number is still its own
    reap(reply->pid);
    throw StartError("pidfd", EMFILE, "no descriptor is left to watch a process by");
  }
  return {reply->pid, std::move(parcel->descriptors.front())};
}

int ForkServer::reap(pid_t child) noexcept {
  try {
    if (!send_parcel(socket_.get(), with_request(Operation::reap, child, Bound::no, {}))) return -1;
    const std::optional<Parcel> parcel = receive_parcel(socket_.get());
    const std::optional<Reply> reply = parcel ? parcel->as<Reply>() : std::nullopt;
    return reply && reply->error == 0 ? reply->status : -1;
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

void ForkServer::stop() noexcept {
  if (!socket_) return;
  try {
    send_parcel(socket_.get(), with_request(Operation::stop, 0, Bound::no, {}));
  } catch (const std::bad_alloc&) {
    // It sees that the socket is closed.
  }
  socket_.reset();
  if (server_ != 0) process::reap(server_);
  server_ = 0;
}

int serve_forks(Descriptor socket, const Descriptor& program, StartedMain main) {
  set_up_child("procyon-server", 0);
  ignore_ending_signals();
  return Server(std::move(socket), program, main).run();
}

void close_others(const std::vector<int>& kept) noexcept {
  unsigned next = STDERR_FILENO + 1;
  for (;;) {
    unsigned first_kept = std::numeric_limits<unsigned>::max();
    for (const int fd : kept) {
      if (fd >= 0 && static_cast<unsigned>(fd) >= next) {
        first_kept = std::min(first_kept, static_cast<unsigned>(fd));
      }
    }
    if (first_kept > next) close_range(next, first_kept - 1, 0);
    if (first_kept == std::numeric_limits<unsigned>::max()) return;
    next = first_kept + 1;
  }
}

}  // namespace procyon::process
