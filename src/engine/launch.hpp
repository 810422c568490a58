// Starting the processes of the library: what each is told, and which way it comes to be.
//
//   fork        a copy of this process as it is now
//   forkserver  a copy of this process as it was in init(), from the fork server
//   spawn       this executable started afresh, by its zygote
//
// A process that did not inherit the heap gets a Launch and descriptors, and begins in run_launch.
#pragma once

#include "engine/layout.hpp"
#include "process/fork_server.hpp"
#include "process/process.hpp"
#include "shm/attachment.hpp"

#include <procyon/engine/engine.hpp>

#include <type_traits>
#include <vector>

namespace procyon::engine {

enum class Role : std::uint32_t { fork_server, guardian, zygote, worker, process };

/// Descriptors, in this order: of a fork server its socket and the program's pidfd; of the others
/// the heap, the pidfd of whom they serve (a Process: its parent), the guardian's bell, and a
/// zygote's control socket.
struct Launch {
  static constexpr std::uint64_t valid = 0x50524f434c4e4348;
  std::uint64_t magic = valid;
  Role role = Role::worker;
  std::uint32_t index = 0;  // of a worker
  shm::HeapTicket heap;
  shm::MemberId id;
  pid_t parent = 0;  // of a worker: the zygote with which it dies
  PoolState* pool = nullptr;
  ProcessRecord* record = nullptr;  // of a Process
  Settings settings;
};
static_assert(std::is_trivially_copyable_v<Launch>);
static_assert(sizeof(Launch) <= process::max_parcel_bytes / 2);

/// A process that this one, or the fork server for it, has started.
class StartedProcess {
 public:
  StartedProcess() = default;
  /// A child of this process's own. Throws StartError, and ends the child, where no descriptor is
  /// left to watch it by.
  explicit StartedProcess(pid_t pid);
  explicit StartedProcess(process::ChildHandle child) noexcept
      : pid_(child.pid), pidfd_(std::move(child.pidfd)), by_server_(true) {}

  pid_t pid() const noexcept { return pid_; }
  bool has_ended() const noexcept;
  /// False: it was still there after `limit`.
  bool wait_until_gone(std::chrono::milliseconds limit) const noexcept;
  void send_signal(int signal) const noexcept;
  /// Waits for its end; the status as waitpid gives it, -1: unknown. Forgets the process.
  int reap() noexcept;
  /// As reap, but its pidfd stays open.
  int collect() noexcept;
  /// For poll: readable once it has ended. -1: there is none.
  int pidfd() const noexcept { return pidfd_.get(); }

 private:
  pid_t pid_ = 0;
  process::Descriptor pidfd_;
  bool by_server_ = false;
};

/// Whether init() has been called, in the program or in a process started for it.
bool is_initialised() noexcept;
/// Whether the fork server's children have every module of this process at the same address.
bool server_shares_image() noexcept;

/// Whether this process has a fork server, alive when it was last asked.
bool has_server() noexcept;
/// Whether what is to be started counts on server_shares_image().
enum class Image { any, shared };

/// Has the fork server start a process; starts another server, afresh, where there is none any
/// more. Throws StartError: code() is ESTALE where it would have to, and the image is to be shared.
StartedProcess start_by_server(const Launch& launch, const std::vector<int>& descriptors,
                               process::Bound bound = process::Bound::no, Image image = Image::any);
/// Has the fork server start this executable afresh; returns when the process has come to init().
/// It ends with the program. Throws StartError.
StartedProcess start_afresh_by_server(const Launch& launch, const std::vector<int>& descriptors);
/// In a forked child: the parent's server is none of its own, whoever holds its lock.
void forget_server() noexcept;

/// The whole life of a process that was started with a Launch; its exit code. A worker writes a
/// byte to `channel`, where there is one, when it is ready.
int run_launch(process::Parcel&& parcel, const process::Descriptor& channel);

/// What this process would have to be told to see the heap.
Launch launch_for(Role role, shm::MemberId id) noexcept;

/// Throws StartError in a process that was started for another and has not called init() first.
void require_init_first();

}  // namespace procyon::engine
