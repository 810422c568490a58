#include "engine/launch.hpp"

#include "base/start_channel.hpp"
#include "engine/guardian.hpp"
#include "engine/process_main.hpp"
#include "engine/start_method.hpp"
#include "engine/threads.hpp"
#include "engine/zygote.hpp"
#include "process/process.hpp"
#include "process/spawn_launcher.hpp"
#include "shm/members.hpp"

#include <procyon/base/errors.hpp>
#include <procyon/engine/init.hpp>

#include <link.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <mutex>
#include <new>

namespace procyon {
namespace engine {
namespace {

using process::Descriptor;
using process::ForkServer;
using process::Parcel;

// For a process started afresh to come to init().
constexpr std::chrono::milliseconds ready_patience{60000};

/// This process's way to start others.
struct Starter {
  std::mutex mutex;  // guards `server`
  ForkServer server;
  bool initialised = false;
  bool afresh = false;             // the server is not a copy of this process
  unsigned generation = 0;         // of the process that `server` belongs to
  unsigned long long modules = 0;  // loaded so far, when the server was forked
};

Starter& starter() {
  static Starter& the_one = *new Starter;  // used by destructors of static pools
  return the_one;
}

unsigned long long modules_loaded() noexcept {
  unsigned long long count = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        *static_cast<unsigned long long*>(data) = info->dlpi_adds;
        return 1;
      },
      &count);
  return count;
}

// The copy that a forked child has of its parent's server is the parent's.
bool is_ours(const Starter& mine) noexcept {
  return mine.server && mine.generation == process::fork_generation();
}

bool shares_image(const Starter& mine) noexcept {
  return is_ours(mine) && !mine.afresh && mine.modules == modules_loaded();
}

ForkServer start_server_afresh() {
  auto [ours, theirs] = process::socket_pair();
  auto [channel, its_channel] = process::socket_pair();
  const Descriptor program = process::open_pidfd(getpid());
  if (!theirs || !its_channel || !program) {
    throw StartError("fork server", errno, "no descriptors for it");
  }
  Launch launch;
  launch.role = Role::fork_server;
  process::send_parcel(channel.get(), process::bytes_of(launch), {theirs.get(), program.get()});
  const pid_t pid =
      process::start_afresh(its_channel, "the fork server", process::current_environment());
  return {pid, std::move(ours)};
}

void replace_server(Starter& mine) {
  if (is_ours(mine)) mine.server.stop();
  mine.server = start_server_afresh();
  mine.afresh = true;
  mine.generation = process::fork_generation();
}

int run_with_heap(const Launch& launch, std::vector<Descriptor> descriptors,
                  const Descriptor& channel) {
  if (descriptors.size() < 3) return 1;
  shm::attach_heap(std::move(descriptors[0]), launch.heap, launch.id);
  Descriptor& program = descriptors[1];
  const int bell = descriptors[2].get();
  switch (launch.role) {
    case Role::guardian:
      return run_guardian(std::move(program), bell);
    case Role::zygote:
      if (descriptors.size() < 4) return 1;
      return run_zygote(*launch.pool,
                        {std::move(program), descriptors[3].get(), bell, launch.settings});
    case Role::worker:
      program.reset();
      if (channel) process::send_parcel(channel.get(), "1");
      return run_worker(*launch.pool, {launch.index, launch.parent, bell, launch.settings});
    case Role::process:
      if (channel) process::send_parcel(channel.get(), "1");
      run_launched_process(*launch.record, std::move(program), bell);  // never returns
    case Role::fork_server:
      break;
  }
  return 1;
}

// `start` with a server that lives.
template <class Start>
StartedProcess with_server(Image image, const Start& start) {
  Starter& mine = starter();
  const std::scoped_lock lock(mine.mutex);
  const auto replace = [&mine, image] {
    if (image == Image::shared) throw StartError("fork server", ESTALE, "it has been lost");
    replace_server(mine);
  };
  if (!is_ours(mine) || (image == Image::shared && !shares_image(mine))) replace();
  try {
    return StartedProcess(start(mine.server));
  } catch (const StartError& error) {
    if (error.code() != ESRCH && error.code() != EPERM) throw;
  }
  replace();
  return StartedProcess(start(mine.server));
}

// In a child of the fork server.
int run_forked(Parcel&& parcel) {
  shm::leave_heap();
  return run_launch(std::move(parcel), Descriptor());
}

}  // namespace

StartedProcess::StartedProcess(pid_t pid) : pid_(pid), pidfd_(process::open_pidfd(pid)) {
  if (pidfd_) return;
  const int error = errno;
  kill(pid, SIGKILL);
  process::reap(pid);
  throw StartError("pidfd_open", error,
                   "no descriptor is left to watch a process by (see ulimit -n)");
}

bool StartedProcess::has_ended() const noexcept {
  pollfd event{pidfd_.get(), POLLIN, 0};
  return pid_ != 0 && poll(&event, 1, 0) > 0;
}

bool StartedProcess::wait_until_gone(std::chrono::milliseconds limit) const noexcept {
  return process::wait_until_gone(pidfd_, limit);
}

void StartedProcess::send_signal(int signal) const noexcept {
  syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
}

int StartedProcess::reap() noexcept {
  const int status = collect();
  pidfd_.reset();
  return status;
}

int StartedProcess::collect() noexcept {
  const pid_t pid = std::exchange(pid_, 0);
  if (pid == 0) return -1;
  while (!process::wait_until_gone(pidfd_, std::chrono::hours{1})) {
  }
  if (!by_server_) return process::reap(pid);
  Starter& mine = starter();
  const std::scoped_lock lock(mine.mutex);
  return is_ours(mine) ? mine.server.reap(pid) : -1;
}

bool is_initialised() noexcept { return starter().initialised; }

bool has_server() noexcept {
  Starter& mine = starter();
  const std::scoped_lock lock(mine.mutex);
  return is_ours(mine);
}

bool server_shares_image() noexcept {
  Starter& mine = starter();
  const std::scoped_lock lock(mine.mutex);
  return shares_image(mine);
}

StartedProcess start_by_server(const Launch& launch, const std::vector<int>& descriptors,
                               process::Bound bound, Image image) {
  return with_server(image, [&](ForkServer& server) {
    return server.start(process::bytes_of(launch), descriptors, bound);
  });
}

StartedProcess start_afresh_by_server(const Launch& launch, const std::vector<int>& descriptors) {
  auto [ours, theirs] = process::socket_pair();
  if (!ours || !theirs) throw StartError("socketpair", errno, "no descriptors for a process");
  if (!process::send_parcel(ours.get(), process::bytes_of(launch), descriptors)) {
    throw StartError("sendmsg", errno, "a process cannot be told what to do");
  }
  const Descriptor environment = process::write_environment();
  StartedProcess started = with_server(Image::any, [&, &channel = theirs](ForkServer& server) {
    return server.start_afresh(channel, environment, process::Bound::yes);
  });
  theirs.reset();
  // Its end as well: somebody forked meanwhile may hold the other end of the channel.
  pollfd events[] = {{ours.get(), POLLIN, 0}, {started.pidfd(), POLLIN, 0}};
  const auto end = std::chrono::steady_clock::now() + ready_patience;
  while (poll(events, std::size(events), 1000) <= 0 && std::chrono::steady_clock::now() < end) {
  }
  char byte = 0;
  if (recv(ours.get(), &byte, 1, MSG_DONTWAIT) == 1) return started;
  started.send_signal(SIGKILL);
  throw_never_ready(started.reap(), Started::process);
}

void forget_server() noexcept {
  Starter& mine = starter();
  ::new (&mine.mutex) std::mutex;
  mine.generation = 0;
}

int run_launch(Parcel&& parcel, const Descriptor& channel) {
  const std::optional<Launch> launch = parcel.as<Launch>();
  if (!launch || launch->magic != Launch::valid) return 1;
  if (launch->role != Role::fork_server) {
    return run_with_heap(*launch, std::move(parcel.descriptors), channel);
  }
  if (parcel.descriptors.size() < 2) return 1;
  const Descriptor program = std::move(parcel.descriptors[1]);
  return process::serve_forks(std::move(parcel.descriptors[0]), program, &run_forked);
}

Launch launch_for(Role role, shm::MemberId id) noexcept {
  Launch launch;
  launch.role = role;
  launch.id = id;
  launch.heap = shm::heap_ticket();
  return launch;
}

void require_init_first() {
  if (!base::awaits_init()) return;
  throw StartError("init", 0,
                   "this process was started for another one, and got past the place where "
                   "procyon::init(argc, argv); has to be: the first statement of main");
}

}  // namespace engine

namespace {

// From here on a process that was started afresh is what it was started for.
[[noreturn]] void run_started_process(const process::Descriptor& channel) {
  int code = 1;
  try {
    std::optional<process::Parcel> parcel = process::receive_parcel(channel.get());
    if (parcel) {
      std::vector<int> kept{channel.get()};
      for (const process::Descriptor& each : parcel->descriptors) kept.push_back(each.get());
      process::close_others(kept);
      code = engine::run_launch(std::move(*parcel), channel);
    }
  } catch (...) {
    // Whoever started it sees the exit code.
  }
  process::flush_output();
  _exit(code);
}

}  // namespace

void init(int, const char* const*) {
  engine::Starter& mine = engine::starter();
  if (mine.initialised) return;
  mine.initialised = true;
  if (const process::Descriptor channel = base::take_start_channel()) {
    run_started_process(channel);
  }
  // With threads of other code a copy of this process might find their locks locked: then the
  // server is started afresh, once it is needed.
  if (engine::foreign_threads() != 0) return;
  try {
    process::flush_output();
    mine.server = process::ForkServer::fork_now(&engine::run_forked);
  } catch (const StartError&) {
    return;  // told when it is needed, and cannot be had then either
  }
  mine.generation = process::fork_generation();
  mine.modules = engine::modules_loaded();
}

}  // namespace procyon
