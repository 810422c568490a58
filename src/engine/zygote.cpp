#include "engine/zygote.hpp"

#include "blas/worker.hpp"
#include "engine/domain.hpp"
#include "engine/guardian.hpp"
#include "engine/launch.hpp"
#include "engine/process_main.hpp"
#include "engine/supervision.hpp"
#include "engine/worker.hpp"
#include "process/process.hpp"
#include "process/spawn_launcher.hpp"
#include "shm/members.hpp"
#include "sync/futex.hpp"

#include <procyon/base/errors.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace procyon::engine {
namespace {

using process::Descriptor;
using shm::Member;
using shm::MemberId;
using shm::MemberKind;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int retry_after_ms = 20;  // where the machine would not give a process
// Workers that end before they are ready, one after another, in addition to one for each place.
constexpr std::uint32_t unready_ends_allowed = 3;
// At the pool's end: for a worker in the middle of a task, and for one that only has to leave.
constexpr milliseconds patience_with_tasks{20};
constexpr milliseconds patience_with_idle{2000};
constexpr milliseconds ready_patience{60000};
// For a worker to stop when it is asked to.
constexpr milliseconds stop_patience{50};
constexpr std::chrono::microseconds stop_slice{20};

std::vector<std::string> unpack_environment(const Settings& settings) {
  std::vector<std::string> all;
  const char* at = settings.environment;
  const char* const end = at + settings.environment_bytes;
  while (at != end) {
    all.emplace_back(at);
    at += all.back().size() + 1;
  }
  return all;
}

sigset_t watched_signals() noexcept {
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGUSR1);  // the guardian: a dead worker's place is free again
  return watched;
}

class Zygote {
 public:
  Zygote(PoolState& pool, ZygoteSettings& settings)
      : pool_(pool),
        settings_(settings),
        workers_(pool.workers),
        channels_(pool.workers),
        environment_(unpack_environment(settings.pool)) {}

  int run() {
    ZygoteReport report = watch_signals();
    // From here on the guardian may send SIGUSR1.
    shm::members()[shm::self().slot].state.store(Member::live, std::memory_order_release);
    ring_bell(settings_.bell);
    if (report.error == 0) report = start_missing();
    process::send_parcel(settings_.control, process::bytes_of(report));
    bool complete = report.error == 0;
    bool program_lives = true;
    while (complete || report.error == 0) {
      const auto deadline = until_next_deadline(pool_, monotonic_now());
      const bool is_settled = complete && all_ended_;
      if (!wait(is_settled ? static_cast<int>(deadline.count()) : retry_after_ms, program_lives)) {
        break;
      }
      all_ended_ = end_whoever_has_to();
      reap();
      complete = is_broken() || start_missing().error == 0;
    }
    end_workers(program_lives);
    return 0;
  }

 private:
  ZygoteReport watch_signals() {
    const sigset_t watched = watched_signals();
    signals_ = Descriptor(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
    return {signals_ ? 0 : errno, 0, 0};
  }

  void drain_signals() {
    signalfd_siginfo info;
    while (read(signals_.get(), &info, sizeof info) > 0) {
    }
  }

  // False: the pool ends, or the program has gone.
  bool wait(int timeout_ms, bool& program_lives) {
    std::array<pollfd, 3> events{{{signals_.get(), POLLIN, 0},
                                  {settings_.control, POLLIN, 0},
                                  {settings_.program.get(), POLLIN, 0}}};
    if (poll(events.data(), events.size(), timeout_ms) < 0) return errno == EINTR;
    drain_signals();
    program_lives = events[2].revents == 0;
    return (events[1].revents == 0 || hear()) && program_lives;
  }

  // False: the program has hung up.
  bool hear() {
    char request = 0;
    ssize_t size = 0;
    while ((size = recv(settings_.control, &request, sizeof request, MSG_DONTWAIT)) > 0) {
    }
    return size < 0 && (errno == EAGAIN || errno == EINTR);
  }

  // Ends those that run a cancelled job or have had their time. False: somebody could not be
  // stopped just now.
  bool end_whoever_has_to() {
    bool all = true;
    for (std::uint32_t index = 0; index < pool_.workers; ++index) {
      if (may_have_to_end(pool_, index, monotonic_now())) all &= end_if_it_has_to(index);
    }
    return all;
  }

  // A worker that runs may be at another task by the time that a signal reaches it. So it is
  // stopped first, and killed only for what it is at then. False: ask again.
  bool end_if_it_has_to(std::uint32_t index) {
    const MemberId id = workers_[index];
    const Member& member = shm::members()[id.slot];
    if (member.epoch.load() != id.epoch || member.state.load() != Member::live) return true;
    const pid_t pid = member.pid.load();
    if (kill(pid, SIGSTOP) != 0) return true;
    const auto end = steady_clock::now() + stop_patience;
    int status = 0;
    pid_t changed = 0;
    while ((changed = waitpid(pid, &status, WUNTRACED | WNOHANG)) == 0) {
      if (steady_clock::now() > end) break;
      std::this_thread::sleep_for(stop_slice);
    }
    if (changed == pid && !WIFSTOPPED(status)) {
      report_death(pid, status);
      return true;
    }
    const bool stopped = changed == pid;
    const Verdict verdict = stopped ? judge(pool_, index, monotonic_now()) : Verdict::goes_on;
    if (verdict == Verdict::overdue) pool_.slots[index].overdue.store(1, std::memory_order_release);
    kill(pid, verdict == Verdict::goes_on ? SIGCONT : SIGKILL);
    return stopped;
  }

  bool is_broken() const noexcept { return pool_.status.load() != PoolState::running; }

  // A place is empty until the guardian has recovered its last tenant. A slot that is STARTING has
  // been reserved by somebody else since.
  bool is_empty(std::uint32_t index) const noexcept {
    const MemberId tenant = workers_[index];
    if (tenant == MemberId{}) return true;
    const Member& member = shm::members()[tenant.slot];
    const Member::State state = shm::state_of(member);
    return member.epoch.load(std::memory_order_acquire) != tenant.epoch || state == Member::free ||
           state == Member::starting;
  }

  ZygoteReport start_missing() {
    ZygoteReport report{0, 0, 0};
    for (std::uint32_t index = 0; index < pool_.workers; ++index) {
      if (!is_empty(index)) continue;
      report.error = start_worker(index);
      if (report.error != 0) return report;
      ++report.started;
    }
    if (starts_afresh()) await_ready(report);
    return report;
  }

  bool starts_afresh() const noexcept { return settings_.pool.start_method == StartMethod::spawn; }

  int start_worker(std::uint32_t index) {
    const MemberId id = shm::reserve_member(MemberKind::worker);
    if (id == MemberId{}) return EUSERS;
    Member& member = shm::members()[id.slot];
    member.index.store(index, std::memory_order_relaxed);
    member.pool.store(reinterpret_cast<std::uint64_t>(&pool_), std::memory_order_release);
    WorkerSlot& slot = pool_.slots[index];
    slot.is_ready.store(0, std::memory_order_relaxed);
    slot.overdue.store(0, std::memory_order_relaxed);
    try {
      const pid_t pid = starts_afresh() ? launch_worker(index, id) : fork_worker(index, id);
      slot.pid.store(pid, std::memory_order_relaxed);
      slot.starts.fetch_add(1, std::memory_order_relaxed);
      member.pid.store(pid, std::memory_order_release);
      // Should it have ended already, its death is seen after this.
      member.state.store(Member::live, std::memory_order_release);
    } catch (const StartError& error) {
      shm::recover_member(id.slot);
      return error.code() == 0 ? ENOEXEC : error.code();
    }
    workers_[index] = id;
    return 0;
  }

  pid_t fork_worker(std::uint32_t index, MemberId id) {
    const pid_t zygote = getpid();
    process::flush_output();
    return process::fork_child("a worker", [&] {
      signals_.reset();
      settings_.program.reset();
      close(settings_.control);
      shm::become_member(id);
      return run_worker(pool_, {index, zygote, settings_.bell, settings_.pool});
    });
  }

  pid_t launch_worker(std::uint32_t index, MemberId id) {
    auto [ours, theirs] = process::socket_pair();
    if (!ours || !theirs) throw StartError("socketpair", errno, "no descriptors for a worker");
    Launch launch = launch_for(Role::worker, id);
    launch.index = index;
    launch.parent = getpid();
    launch.pool = &pool_;
    launch.settings = settings_.pool;
    const std::vector<int> descriptors{shm::heap_descriptor(), settings_.program.get(),
                                       settings_.bell};
    if (!process::send_parcel(ours.get(), process::bytes_of(launch), descriptors)) {
      throw StartError("sendmsg", errno, "a worker cannot be told what to do");
    }
    const pid_t pid = process::start_afresh(theirs, "a worker", environment_);
    channels_[index] = std::move(ours);
    return pid;
  }

  // Workers started afresh may fail in many ways before they have come to init(). One that is
  // ready closes its channel after one byte; one that ends closes it without.
  void await_ready(ZygoteReport& report) {
    const auto end = steady_clock::now() + ready_patience;
    for (std::uint32_t index = 0; index < pool_.workers; ++index) {
      const Descriptor channel = std::move(channels_[index]);
      if (!channel) continue;
      pollfd events[] = {{channel.get(), POLLIN, 0}, {settings_.program.get(), POLLIN, 0}};
      while (poll(events, std::size(events), retry_after_ms) <= 0 && steady_clock::now() < end) {
      }
      char byte = 0;
      if (events[0].revents != 0 && recv(channel.get(), &byte, 1, MSG_DONTWAIT) == 1) continue;
      report.error = events[0].revents != 0 ? ECHILD : ETIMEDOUT;
      report.status = status_of(index);
    }
  }

  // Of a worker that has just ended, or ends now.
  int status_of(std::uint32_t index) const noexcept {
    siginfo_t info{};
    const pid_t pid = pool_.slots[index].pid.load(std::memory_order_relaxed);
    if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) return 0;
    return info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status;
  }

  void reap() {
    int status = 0;
    for (;;) {
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid <= 0) return;
      const std::uint32_t index = report_death(pid, status);
      if (index < pool_.workers) look_at_end(index, status);
    }
  }

  // Returns which worker it was.
  std::uint32_t report_death(pid_t pid, int status) {
    for (std::uint32_t index = 0; index < pool_.workers; ++index) {
      const MemberId id = workers_[index];
      Member& member = shm::members()[id.slot];
      if (id == MemberId{} || member.pid.load() != pid || member.epoch.load() != id.epoch) continue;
      pool_.slots[index].began.store(never_overdue, std::memory_order_relaxed);
      member.status.store(status, std::memory_order_release);
      member.state.store(Member::dead, std::memory_order_release);
      ring_bell(settings_.bell);
      return index;
    }
    return pool_.workers;
  }

  // Workers that end before they are ready would do so for ever.
  void look_at_end(std::uint32_t index, int status) {
    if (pool_.slots[index].is_ready.load(std::memory_order_acquire) != 0) {
      unready_ends_ = 0;
    } else if (is_broken()) {
      return;
    } else if (pool_.initializer != nullptr && pool_.initializer->failure.load() != nullptr) {
      give_up(PoolState::initializer_failed, status);
    } else if (++unready_ends_ >= pool_.workers + unready_ends_allowed) {
      give_up(PoolState::workers_die, status);
    }
  }

  // Only when no worker is left may the program take unfinished jobs for lost.
  void give_up(PoolState::Loss loss, int status) {
    end_workers(false);
    pool_.loss.store(loss, std::memory_order_relaxed);
    pool_.last_status.store(status, std::memory_order_relaxed);
    pool_.status.store(PoolState::broken, std::memory_order_seq_cst);
  }

  bool is_live(MemberId id) const noexcept {
    const Member& member = shm::members()[id.slot];
    return id != MemberId{} && member.epoch.load() == id.epoch &&
           member.state.load() == Member::live;
  }

  // Idle workers leave by themselves, when they have written out what they printed; those in a task
  // are killed.
  void end_workers(bool gracefully) {
    pool_.status.store(PoolState::stopping, std::memory_order_seq_cst);
    wake_workers(pool_, sync::all_waiters);
    const auto begin = steady_clock::now();
    for (;;) {
      const auto waited = steady_clock::now() - begin;
      bool left = false;
      for (std::uint32_t index = 0; index < pool_.workers; ++index) {
        if (!is_live(workers_[index])) continue;
        left = true;
        const bool busy = pool_.slots[index].item.load(std::memory_order_acquire) != no_item;
        const bool kills =
            !gracefully || waited >= (busy ? patience_with_tasks : patience_with_idle);
        if (kills) kill(shm::members()[workers_[index].slot].pid.load(), SIGKILL);
      }
      if (!left) return;
      pollfd event{signals_.get(), POLLIN, 0};
      poll(&event, 1, static_cast<int>(patience_with_tasks.count()));
      drain_signals();
      int status = 0;
      for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) report_death(pid, status);
    }
  }

  PoolState& pool_;
  ZygoteSettings& settings_;
  std::vector<MemberId> workers_;
  std::vector<Descriptor> channels_;  // to workers started afresh that are not ready
  std::vector<std::string> environment_;
  Descriptor signals_;
  std::uint32_t unready_ends_ = 0;
  bool all_ended_ = true;  // that had to be
};

std::uint32_t workers_around = 0;

}  // namespace

int run_zygote(PoolState& pool, ZygoteSettings settings) {
  process::set_up_child("procyon-zygote", 0);
  process::ignore_ending_signals();
  // Before BLAS starts threads: a signal goes to any thread that does not block it.
  const sigset_t watched = watched_signals();
  sigprocmask(SIG_BLOCK, &watched, nullptr);
  // Here and not in the workers: in a process just forked, OpenBLAS would start threads first.
  if (settings.pool.blas_threads != 0) blas::limit_this_process(settings.pool.blas_threads);
  return Zygote(pool, settings).run();
}

int run_worker(PoolState& pool, const WorkerSettings& settings) {
  if (!process::set_up_child("procyon-worker", settings.zygote)) return 0;
  process::ignore_terminal_signals();
  process::empty_standard_input();
  GuardianShare::use_program_guardian(settings.bell);
  workers_around = pool.workers;
  become_pool_worker(settings.index);
  if (settings.pool.pin_cpus) pin_to_cpu(settings.index);
  Worker worker(pool, settings.index, settings.pool.max_tasks_per_child);
  const bool initialised = worker.initialise();
  if (initialised) worker.run();
  process::flush_output();
  return initialised ? 0 : 1;
}

std::uint32_t enclosing_workers() noexcept { return workers_around; }

}  // namespace procyon::engine
