#include "engine/guardian.hpp"

#include "engine/domain.hpp"
#include "engine/launch.hpp"
#include "engine/recovery.hpp"
#include "engine/threads.hpp"
#include "process/process.hpp"
#include "shm/members.hpp"
#include "sync/futex.hpp"

#include <procyon/base/errors.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace procyon::engine {
namespace {

using process::Descriptor;
using shm::Member;
using shm::MemberId;
using shm::MemberKind;

// How long at a time the death of a process that has been killed is waited for; its number may be
// used again only when that is proven.
constexpr std::chrono::milliseconds proof_slice{1000};
constexpr std::chrono::milliseconds burial_slice{20};
// With a guardian that another process keeps.
constexpr std::chrono::milliseconds patience_with_others{1000};

struct Watched {
  std::uint16_t slot;
  Descriptor pidfd;
};

PoolState& pool_of(const Member& member) noexcept {
  return *reinterpret_cast<PoolState*>(member.pool.load(std::memory_order_acquire));
}

MemberKind kind_of(const Member& member) noexcept {
  return static_cast<MemberKind>(member.kind.load(std::memory_order_acquire));
}

void send_signal(const Descriptor& pidfd, int signal) noexcept {
  syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);
}

// A pidfd that cannot be had must mean that the process is gone.
void raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Descriptor pidfd_of(const Member& member) noexcept {
  return process::open_pidfd(member.pid.load(std::memory_order_acquire),
                             member.start_time.load(std::memory_order_acquire));
}

/// The guardian's own process.
class Guardian {
 public:
  Guardian(Descriptor program, int bell) : program_(std::move(program)), bell_(bell) {}

  // Returns when the program has gone, and everything of its with it.
  int run() {
    do {
      watch_new();  // first: zygotes whose workers are recovered are told
      recover_the_dead();
    } while (wait());
    // Also those that have come meanwhile. Whoever comes later sees by itself that it is alone.
    watch_new();
    for (const Watched& each : watched_) send_signal(each.pidfd, SIGKILL);
    return 0;
  }

 private:
  // False: the program is gone.
  bool wait() {
    std::vector<pollfd> events{{program_.get(), POLLIN, 0}, {bell_, POLLIN, 0}};
    for (const Watched& each : watched_) events.push_back({each.pidfd.get(), POLLIN, 0});
    if (poll(events.data(), events.size(), -1) < 0) return errno == EINTR;
    if (events[0].revents != 0) return false;
    if (events[1].revents != 0) {
      eventfd_t count = 0;
      eventfd_read(bell_, &count);
    }
    for (std::size_t i = 2; i < events.size(); ++i) {
      if (events[i].revents != 0) mark_dead(watched_[i - 2].slot, SIGKILL);
    }
    return true;
  }

  // Workers are their zygote's to watch.
  void watch_new() {
    for (std::uint16_t slot = 1; slot <= shm::max_members; ++slot) {
      const Member& member = shm::members()[slot];
      const bool is_zygote = kind_of(member) == MemberKind::zygote;
      if (!is_zygote && kind_of(member) != MemberKind::process) continue;
      if (shm::state_of(member) != Member::live || is_watched(slot)) continue;
      Descriptor pidfd = pidfd_of(member);
      if (!pidfd) {
        mark_dead(slot, SIGKILL);
        continue;
      }
      // An earlier guardian may have died between a recovery and telling of it.
      if (is_zygote) send_signal(pidfd, SIGUSR1);
      watched_.push_back({slot, std::move(pidfd)});
    }
  }

  bool is_watched(std::uint16_t slot) const noexcept {
    return std::ranges::any_of(watched_, [slot](const Watched& each) { return each.slot == slot; });
  }

  static void mark_dead(std::uint16_t slot, int status) noexcept {
    Member& member = shm::members()[slot];
    std::uint32_t live = Member::live;
    member.status.store(status, std::memory_order_release);
    member.state.compare_exchange_strong(live, Member::dead, std::memory_order_acq_rel);
  }

  // Whatever is DEAD, also when an earlier guardian was killed in the middle of it.
  void recover_the_dead() noexcept {
    for (std::uint16_t slot = 1; slot <= shm::max_members; ++slot) {
      Member& member = shm::members()[slot];
      if (shm::state_of(member) != Member::dead) continue;
      if (kind_of(member) == MemberKind::zygote) {
        bury_pool(slot);
      } else if (kind_of(member) == MemberKind::worker) {
        const std::uint32_t zygote = pool_of(member).zygote.load(std::memory_order_acquire);
        bury(slot);
        tell(zygote);
      } else {
        bury(slot);
      }
    }
    std::erase_if(watched_, [](const Watched& each) {
      return shm::state_of(shm::members()[each.slot]) != Member::live;
    });
  }

  // A worker's place is free again.
  void tell(std::uint32_t zygote) const noexcept {
    for (const Watched& each : watched_) {
      if (each.slot == zygote) send_signal(each.pidfd, SIGUSR1);
    }
  }

  void bury(std::uint16_t slot) noexcept {
    Member& member = shm::members()[slot];
    end_children(slot);
    if (kind_of(member) == MemberKind::worker) {
      recover_worker(pool_of(member), member.index.load(std::memory_order_acquire),
                     member.pid.load(std::memory_order_acquire),
                     member.status.load(std::memory_order_acquire));
    }
    shm::recover_member(slot);
    sync::futex_wake(member.state, sync::all_waiters);
  }

  // What a dead member has started, or was about to: its pools and what its Processes run lie in
  // blocks of its own, which nobody may use any more when they are freed.
  void end_children(std::uint16_t parent_slot) noexcept {
    const MemberId parent{parent_slot, shm::members()[parent_slot].epoch.load()};
    for (std::uint16_t slot = 1; slot <= shm::max_members; ++slot) {
      const Member& member = shm::members()[slot];
      if (!shm::is_child_of(member, parent)) continue;
      const Member::State state = shm::state_of(member);
      if (state == Member::starting) {
        shm::recover_member(slot);
      } else if (kind_of(member) == MemberKind::zygote) {
        // Nobody will ask what became of its jobs, or free what says so.
        pool_of(member).status.store(PoolState::stopping, std::memory_order_seq_cst);
        kill_and_wait(slot);
        bury_pool(slot);
      } else if (kind_of(member) == MemberKind::process) {
        kill_and_wait(slot);
        bury(slot);
      }
    }
  }

  static void kill_and_wait(std::uint16_t slot) noexcept {
    Member& member = shm::members()[slot];
    if (shm::state_of(member) == Member::dead) return;
    if (const Descriptor pidfd = pidfd_of(member)) {
      do {
        send_signal(pidfd, SIGKILL);
      } while (!process::wait_until_gone(pidfd, proof_slice));
    }
    mark_dead(slot, SIGKILL);
  }

  // A zygote has ended, with its pool or before it. The kernel kills its workers with it; each is
  // proven dead before what it held is touched.
  void bury_pool(std::uint16_t zygote_slot) noexcept {
    Member& zygote = shm::members()[zygote_slot];
    const std::uint64_t pool = zygote.pool.load(std::memory_order_acquire);
    for (std::uint16_t slot = 1; slot <= shm::max_members; ++slot) {
      Member& member = shm::members()[slot];
      if (kind_of(member) != MemberKind::worker ||
          member.pool.load(std::memory_order_acquire) != pool) {
        continue;
      }
      const Member::State state = shm::state_of(member);
      if (state == Member::starting && member.pid.load() == 0) shm::recover_member(slot);
      if (state != Member::live && state != Member::dead) continue;
      kill_and_wait(slot);
      bury(slot);
    }
    // Before the zygote's slot is freed: the program waits for that, and then frees the pool.
    std::uint32_t running = PoolState::running;
    pool_of(zygote).status.compare_exchange_strong(running, PoolState::broken);
    bury(zygote_slot);
  }

  Descriptor program_;
  int bell_;
  std::vector<Watched> watched_;
};

}  // namespace

int run_guardian(Descriptor program, int bell) {
  process::set_up_child("procyon-guard", 0);
  process::ignore_ending_signals();
  process::close_others({program.get(), bell, shm::heap_descriptor()});
  raise_descriptor_limit();
  return Guardian(std::move(program), bell).run();
}

struct GuardianShare::Shared {
  std::mutex mutex;
  std::size_t shares = 0;
  StartedProcess process;
  MemberId id;
  Descriptor bell;
  bool is_program_guardian = false;  // this process is a worker: the program keeps it
  bool runs = false;

  void start();
  void stop() noexcept;
};

// A fork of this process is for those that have one thread.
void GuardianShare::Shared::start() {
  shm::open_heap();
  id = shm::reserve_member(MemberKind::guardian);
  if (id == MemberId{}) throw StartError("guardian", 0, "too many processes share the heap");
  Descriptor program = process::open_pidfd(getpid());
  Member& member = shm::members()[id.slot];
  try {
    if (!program) throw StartError("pidfd_open", errno, "no descriptor for the guardian");
    if (has_server() || (is_initialised() && foreign_threads() != 0)) {
      process = start_by_server(launch_for(Role::guardian, id),
                                {shm::heap_descriptor(), program.get(), bell.get()});
    } else {
      const int number = bell.get();
      const MemberId self = id;
      process = StartedProcess(process::fork_child("the guardian", [&] {
        shm::become_member(self);
        return run_guardian(std::move(program), number);
      }));
    }
  } catch (...) {
    shm::recover_member(id.slot);
    throw;
  }
  member.pid.store(process.pid(), std::memory_order_release);
  runs = true;
}

void GuardianShare::Shared::stop() noexcept {
  if (!runs) return;
  process.send_signal(SIGKILL);
  process.reap();
  shm::recover_member(id.slot);
  runs = false;
}

// Never destroyed: pools with static storage end after it would.
GuardianShare::Shared& GuardianShare::shared() {
  static Shared& shared = *new Shared;
  return shared;
}

GuardianShare::GuardianShare() {
  Shared& guardian = shared();
  const std::scoped_lock lock(guardian.mutex);
  if (guardian.shares == 0 && !guardian.is_program_guardian) {
    guardian.bell = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!guardian.bell) throw StartError("eventfd", errno, "no descriptor for the guardian");
    try {
      guardian.start();
    } catch (...) {
      guardian.bell.reset();
      throw;
    }
  }
  ++guardian.shares;
}

GuardianShare::~GuardianShare() {
  Shared& guardian = shared();
  const std::scoped_lock lock(guardian.mutex);
  if (--guardian.shares != 0 || guardian.is_program_guardian) return;
  guardian.stop();
  guardian.bell.reset();
}

void GuardianShare::look_after() {
  Shared& guardian = shared();
  const std::scoped_lock lock(guardian.mutex);
  if (guardian.is_program_guardian || (guardian.runs && !guardian.process.has_ended())) return;
  guardian.stop();
  guardian.start();
}

void GuardianShare::wait_for_burial(shm::MemberId id, Patience patience) noexcept {
  Member& member = shm::members()[id.slot];
  const bool is_kept_here = !shared().is_program_guardian;
  const auto end = std::chrono::steady_clock::now() + patience_with_others;
  while (is_kept_here || patience == Patience::endless || std::chrono::steady_clock::now() < end) {
    std::uint32_t state = member.state.load(std::memory_order_acquire);
    if (state == Member::free || member.epoch.load(std::memory_order_acquire) != id.epoch) return;
    if (state != Member::dead) {
      member.state.compare_exchange_strong(state, Member::dead, std::memory_order_acq_rel);
      continue;
    }
    ring();
    sync::futex_wait(member.state, state, burial_slice);
    try {
      look_after();
    } catch (const StartError&) {
      // No process to be had just now: the next turn tries again.
    }
  }
}

int GuardianShare::bell() const noexcept { return shared().bell.get(); }

void GuardianShare::ring() const noexcept { ring_bell(bell()); }

// What a fork left here of the program's is forgotten, not ended.
void GuardianShare::use_program_guardian(int bell) noexcept {
  Shared& guardian = shared();
  static_cast<void>(guardian.bell.release());
  ::new (&guardian) Shared;
  guardian.bell = Descriptor(bell);
  guardian.is_program_guardian = true;
}

void ring_bell(int bell) noexcept { eventfd_write(bell, 1); }

}  // namespace procyon::engine
