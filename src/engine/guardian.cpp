#include "engine/guardian.hpp"

#include "engine/domain.hpp"
#include "engine/layout.hpp"
#include "engine/recovery.hpp"
#include "process/process.hpp"
#include "shm/members.hpp"
#include "sync/futex.hpp"

#include <procyon/base/errors.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <vector>

namespace procyon::engine {
namespace {

using process::Descriptor;
using shm::Member;
using shm::MemberId;
using shm::MemberKind;

// What is left of a pool whose zygote has died: workers have been killed by the kernel with it.
constexpr std::chrono::milliseconds orphan_patience{5000};

struct Watched {
  std::uint16_t slot;
  Descriptor pidfd;
};

PoolState& pool_of(const Member& member) noexcept {
  return *reinterpret_cast<PoolState*>(member.pool.load(std::memory_order_acquire));
}

bool is_worker(const Member& member) noexcept {
  return member.kind.load(std::memory_order_acquire) ==
         static_cast<std::uint32_t>(MemberKind::worker);
}

/// The guardian's own process.
class Guardian {
 public:
  Guardian(pid_t program, int bell)
      : program_(process::open_pidfd(program)), program_pid_(program), bell_(bell) {}

  // Returns when the program has gone, and everything of its with it.
  int run() {
    while (program_ && getppid() == program_pid_) {
      watch_new_zygotes();  // first: those whose workers are recovered are told
      recover_the_dead();
      if (!wait()) break;
    }
    for (const Watched& zygote : zygotes_) send(zygote.pidfd, SIGKILL);
    return 0;
  }

 private:
  static void send(const Descriptor& pidfd, int signal) noexcept {
    syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);
  }

  static bool is_zygote(const Member& member) noexcept {
    return member.kind.load(std::memory_order_acquire) ==
               static_cast<std::uint32_t>(MemberKind::zygote) &&
           member.state.load(std::memory_order_acquire) == Member::live;
  }

  // False: the program is gone.
  bool wait() {
    std::vector<pollfd> events{{program_.get(), POLLIN, 0}, {bell_, POLLIN, 0}};
    for (const Watched& zygote : zygotes_) events.push_back({zygote.pidfd.get(), POLLIN, 0});
    if (poll(events.data(), events.size(), -1) < 0) return errno == EINTR;
    if (events[0].revents != 0) return false;
    if (events[1].revents != 0) {
      eventfd_t count = 0;
      eventfd_read(bell_, &count);
    }
    for (std::size_t i = zygotes_.size(); i-- > 0;) {
      if (events[i + 2].revents == 0) continue;
      bury_pool(zygotes_[i].slot);
      zygotes_.erase(zygotes_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    return true;
  }

  void watch_new_zygotes() {
    for (std::uint16_t slot = 1; slot <= shm::max_members; ++slot) {
      const Member& member = shm::members()[slot];
      if (!is_zygote(member) || is_watched(slot)) continue;
      Descriptor pidfd = process::open_pidfd(member.pid.load(std::memory_order_acquire));
      if (pidfd)
        zygotes_.push_back({slot, std::move(pidfd)});
      else
        bury_pool(slot);
    }
  }

  bool is_watched(std::uint16_t slot) const noexcept {
    for (const Watched& zygote : zygotes_) {
      if (zygote.slot == slot) return true;
    }
    return false;
  }

  void recover_the_dead() noexcept {
    for (std::uint16_t slot = 1; slot <= shm::max_members; ++slot) {
      Member& member = shm::members()[slot];
      if (!is_worker(member) || member.state.load(std::memory_order_acquire) != Member::dead) {
        continue;
      }
      const std::uint32_t zygote = pool_of(member).zygote.load(std::memory_order_acquire);
      bury(slot);
      for (const Watched& each : zygotes_) {
        if (each.slot == zygote) send(each.pidfd, SIGUSR1);  // the place is free again
      }
    }
  }

  static void bury(std::uint16_t slot) noexcept {
    Member& member = shm::members()[slot];
    if (is_worker(member) && member.pool.load(std::memory_order_acquire) != 0) {
      recover_worker(pool_of(member), member.index.load(std::memory_order_acquire),
                     member.pid.load(std::memory_order_acquire),
                     member.status.load(std::memory_order_acquire));
    }
    shm::recover_member(slot);
    sync::futex_wake(member.state, sync::all_waiters);
  }

  // A zygote has ended, with its pool or before it. Its workers die with it; each is proven dead
  // before what it held is touched.
  static void bury_pool(std::uint16_t zygote_slot) noexcept {
    Member& zygote = shm::members()[zygote_slot];
    const std::uint64_t pool = zygote.pool.load(std::memory_order_acquire);
    for (std::uint16_t slot = 1; slot <= shm::max_members; ++slot) {
      Member& member = shm::members()[slot];
      if (!is_worker(member) || member.pool.load(std::memory_order_acquire) != pool) continue;
      const std::uint32_t state = member.state.load(std::memory_order_acquire);
      if (state == Member::free) continue;
      const pid_t pid = member.pid.load(std::memory_order_acquire);
      if (state != Member::dead) {
        if (pid != 0) process::wait_until_gone(pid, orphan_patience);
        member.status.store(SIGKILL, std::memory_order_release);
        member.state.store(Member::dead, std::memory_order_release);
      }
      bury(slot);
    }
    // Before the zygote's slot is freed: the program waits for that, and then frees the pool.
    std::uint32_t running = PoolState::running;
    pool_of(zygote).status.compare_exchange_strong(running, PoolState::broken);
    zygote.state.store(Member::dead, std::memory_order_release);
    bury(zygote_slot);
  }

  Descriptor program_;
  pid_t program_pid_;
  int bell_;
  std::vector<Watched> zygotes_;
};

}  // namespace

struct GuardianShare::Shared {
  std::mutex mutex;
  std::size_t shares = 0;
  pid_t pid = 0;
  MemberId id;
  Descriptor bell;
  Descriptor pidfd;
  unsigned generation = 0;

  void start();
  void stop() noexcept;
  bool has_died() const noexcept;
};

void GuardianShare::Shared::start() {
  shm::open_heap();
  id = shm::reserve_member(MemberKind::guardian);
  if (id == MemberId{}) throw StartError("guardian", 0, "too many processes share the heap");
  const pid_t program = getpid();
  const int bell_number = bell.get();
  const MemberId guardian = id;
  try {
    pid = process::fork_child("the guardian", [=] {
      process::set_up_child("procyon-guard", 0);
      process::ignore_ending_signals();
      shm::become_member(guardian);
      return Guardian(program, bell_number).run();
    });
  } catch (...) {
    shm::recover_member(id.slot);
    throw;
  }
  Member& member = shm::members()[id.slot];
  member.pid.store(pid, std::memory_order_release);
  member.state.store(Member::live, std::memory_order_release);
  pidfd = process::open_pidfd(pid);
}

void GuardianShare::Shared::stop() noexcept {
  if (pid == 0) return;
  syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
  process::reap(pid);
  shm::recover_member(id.slot);
  pid = 0;
  pidfd.reset();
}

bool GuardianShare::Shared::has_died() const noexcept {
  pollfd event{pidfd.get(), POLLIN, 0};
  return pid != 0 && poll(&event, 1, 0) > 0;
}

// A guardian forked from a process that is itself forked starts from nothing: what it inherited
// is its parent's.
GuardianShare::Shared& GuardianShare::shared() {
  static Shared shared;
  return shared;
}

GuardianShare::GuardianShare() {
  Shared& guardian = shared();
  const std::scoped_lock lock(guardian.mutex);
  if (guardian.shares == 0) {
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
  if (--guardian.shares != 0) return;
  guardian.stop();
  guardian.bell.reset();
}

void GuardianShare::look_after() {
  Shared& guardian = shared();
  const std::scoped_lock lock(guardian.mutex);
  if (!guardian.has_died()) return;
  guardian.stop();
  guardian.start();
}

int GuardianShare::bell() const noexcept { return shared().bell.get(); }

void GuardianShare::ring() const noexcept { ring_bell(bell()); }

void ring_bell(int bell) noexcept { eventfd_write(bell, 1); }

}  // namespace procyon::engine
