#include "process/fork_server.hpp"

#include "process/process.hpp"

#include <procyon/base/errors.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

namespace procyon::process {
namespace {

enum class Operation : std::uint32_t { start, reap };

struct Request {
  Operation operation;
  std::int32_t pid;
  std::uint32_t user;
  std::uint32_t group;
};

struct Reply {
  std::int32_t pid;
  std::int32_t error;  // errno; 0: done
  std::int32_t status;
};

Reply fork_started(Parcel&& parcel, const Descriptor& socket, StartedMain main) {
  const Descriptor directory = std::move(parcel.descriptors.front());
  parcel.descriptors.erase(parcel.descriptors.begin());
  try {
    const pid_t pid = fork_child("a started process", [&] {
      close(socket.get());
      if (fchdir(directory.get()) != 0) return 125;
      close(directory.get());
      return main(std::move(parcel));
    });
    return {pid, 0, 0};
  } catch (const StartError& error) {
    return {0, error.code(), 0};
  }
}

Reply answer(const Request& request, Parcel&& parcel, const Descriptor& socket, StartedMain main) {
  if (request.operation == Operation::reap) {
    int status = 0;
    const pid_t got = waitpid(request.pid, &status, 0);
    return {request.pid, got < 0 ? errno : 0, status};
  }
  if (request.user != geteuid() || request.group != getegid()) return {0, EPERM, 0};
  if (parcel.descriptors.empty()) return {0, EINVAL, 0};
  return fork_started(std::move(parcel), socket, main);
}

void serve_one(Parcel&& parcel, const Descriptor& socket, StartedMain main) {
  Request request{};
  if (parcel.bytes.size() < sizeof request) return;
  std::memcpy(&request, parcel.bytes.data(), sizeof request);
  parcel.bytes.erase(0, sizeof request);
  const Reply reply = answer(request, std::move(parcel), socket, main);
  // Not reaped yet, so the number is still that child's.
  const Descriptor handle = reply.pid != 0 && request.operation == Operation::start
                                ? open_pidfd(reply.pid)
                                : Descriptor();
  send_parcel(socket.get(), bytes_of(reply),
              handle ? std::vector{handle.get()} : std::vector<int>{});
}

std::string with_request(Operation operation, pid_t pid, std::string_view bytes) {
  const Request request{operation, pid, geteuid(), getegid()};
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

ChildHandle ForkServer::start(std::string_view bytes, const std::vector<int>& descriptors) {
  const Descriptor directory(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::vector<int> all{directory.get()};
  all.insert(all.end(), descriptors.begin(), descriptors.end());
  if (!directory) throw StartError("fork server", errno, "the current directory cannot be opened");
  const bool sent = send_parcel(socket_.get(), with_request(Operation::start, 0, bytes), all);
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
    if (!send_parcel(socket_.get(), with_request(Operation::reap, child, {}))) return -1;
    const std::optional<Parcel> parcel = receive_parcel(socket_.get());
    const std::optional<Reply> reply = parcel ? parcel->as<Reply>() : std::nullopt;
    return reply && reply->error == 0 ? reply->status : -1;
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

void ForkServer::stop() noexcept {
  if (!socket_) return;
  socket_.reset();
  if (server_ != 0) process::reap(server_);
  server_ = 0;
}

int serve_forks(Descriptor socket, const Descriptor& program, StartedMain main) {
  set_up_child("procyon-server", 0);
  ignore_ending_signals();
  for (;;) {
    std::array<pollfd, 2> events{{{socket.get(), POLLIN, 0}, {program.get(), POLLIN, 0}}};
    if (poll(events.data(), events.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return 1;
    }
    if (events[1].revents != 0) return 0;
    std::optional<Parcel> parcel = receive_parcel(socket.get());
    if (!parcel) return 0;
    serve_one(std::move(*parcel), socket, main);
  }
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
