#include "engine/zygote.hpp"

#include "blas/worker.hpp"
#include "engine/domain.hpp"
#include "engine/guardian.hpp"
#include "engine/worker.hpp"
#include "process/process.hpp"

#include <procyon/base/errors.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

namespace procyon::engine {
namespace {

using process::Descriptor;
using shm::Member;
using shm::MemberId;
using shm::MemberKind;

using std::chrono::steady_clock;

constexpr int retry_after_ms = 20;  // where the machine would not give a process
constexpr std::chrono::milliseconds stop_patience{50};
constexpr std::chrono::microseconds stop_slice{20};

class Zygote {
 public:
  Zygote(PoolState& pool, const ZygoteSettings& settings)
      : pool_(pool),
        settings_(settings),
        workers_(pool.workers),
        program_(process::open_pidfd(settings.program)) {}

  int run() {
    watch_signals();
    const ZygoteReport report = start_missing();
    send(settings_.control, &report, sizeof report, MSG_NOSIGNAL);
    bool complete = report.error == 0;
    while (complete || report.error == 0) {
      if (!wait(complete && !interrupting_ ? -1 : retry_after_ms)) break;
      if (interrupting_) interrupting_ = !interrupt_workers();
      reap();
      complete = start_missing().error == 0;
    }
    end_workers();
    return 0;
  }

 private:
  void watch_signals() {
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGUSR1);  // the guardian: a dead worker's place is free again
    sigprocmask(SIG_BLOCK, &watched, nullptr);
    signals_ = Descriptor(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  }

  // False: the pool ends, or the program has gone.
  bool wait(int timeout_ms) {
    pollfd events[] = {
        {signals_.get(), POLLIN, 0}, {settings_.control, POLLIN, 0}, {program_.get(), POLLIN, 0}};
    if (poll(events, std::size(events), timeout_ms) < 0) return errno == EINTR;
    signalfd_siginfo info;
    while (read(signals_.get(), &info, sizeof info) > 0) {
    }
    return (events[1].revents == 0 || hear()) && events[2].revents == 0;
  }

  // False: the program has hung up.
  bool hear() {
    char request = 0;
    ssize_t size = 0;
    while ((size = recv(settings_.control, &request, sizeof request, MSG_DONTWAIT)) > 0) {
      interrupting_ = true;
    }
    return size < 0 && (errno == EAGAIN || errno == EINTR);
  }

  // False: somebody could not be stopped just now.
  bool interrupt_workers() {
    bool all = true;
    for (std::uint32_t index = 0; index < pool_.workers; ++index) {
      if (names_interrupted_job(index)) all &= interrupt(index);
    }
    return all;
  }

  const Job* named_job(std::uint32_t index) const noexcept {
    const std::uint32_t named = pool_.slots[index].job.load(std::memory_order_seq_cst);
    if (named == 0) return nullptr;
    const Job& job = pool_.job(named - 1);
    return job.generation.load(std::memory_order_seq_cst) % 2 == 1 ? &job : nullptr;
  }

  bool names_interrupted_job(std::uint32_t index) const noexcept {
    const Job* job = named_job(index);
    return job != nullptr && job->interrupted.load(std::memory_order_acquire) != 0;
  }

  // Requires: the worker is stopped, so that the job which it names stays.
  bool runs_interrupted_job(std::uint32_t index) const noexcept {
    if (!names_interrupted_job(index)) return false;
    const Job& job = *named_job(index);
    const std::uint64_t chunk = pool_.slots[index].chunk.load(std::memory_order_acquire);
    if (chunk >= job.chunks) return false;
    const Lease lease = Lease::unpack(job.leases[chunk].load(std::memory_order_acquire));
    return lease.state == Lease::run && lease.owner == index + 1;
  }

  // A worker that runs may be at another task by the time that a signal reaches it. So it is
  // stopped first, and killed only where it has stopped in the job. False: ask again.
  bool interrupt(std::uint32_t index) {
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
    kill(pid, stopped && runs_interrupted_job(index) ? SIGKILL : SIGCONT);
    return stopped;
  }

  // A place is empty until the guardian has recovered its last tenant.
  bool is_empty(std::uint32_t index) const noexcept {
    const MemberId tenant = workers_[index];
    if (tenant == MemberId{}) return true;
    const Member& member = shm::members()[tenant.slot];
    return member.epoch.load(std::memory_order_acquire) != tenant.epoch ||
           member.state.load(std::memory_order_acquire) == Member::free;
  }

  ZygoteReport start_missing() {
    ZygoteReport report{0, 0};
    for (std::uint32_t index = 0; index < pool_.workers; ++index) {
      if (!is_empty(index)) continue;
      report.error = start_worker(index);
      if (report.error != 0) break;
      ++report.started;
    }
    return report;
  }

  int start_worker(std::uint32_t index) {
    const MemberId id = shm::reserve_member(MemberKind::worker);
    if (id == MemberId{}) return EUSERS;
    Member& member = shm::members()[id.slot];
    member.index.store(index, std::memory_order_relaxed);
    member.pid.store(0, std::memory_order_relaxed);
    member.pool.store(reinterpret_cast<std::uint64_t>(&pool_), std::memory_order_release);
    const pid_t zygote = getpid();
    try {
      const pid_t pid =
          process::fork_child("a worker", [&] { return run_worker(index, id, zygote); });
      member.pid.store(pid, std::memory_order_release);
      member.state.store(Member::live, std::memory_order_release);
    } catch (const StartError& error) {
      shm::recover_member(id.slot);
      return error.code();
    }
    workers_[index] = id;
    return 0;
  }

  // From here on we are in the worker.
  int run_worker(std::uint32_t index, MemberId id, pid_t zygote) {
    if (!process::set_up_child("procyon-worker", zygote)) return 0;
    process::ignore_terminal_signals();
    signals_.reset();
    program_.reset();
    close(settings_.control);
    shm::become_member(id);
    if (settings_.pool.pin_cpus) pin_to_cpu(index);
    Worker(pool_, index).run();
    return 0;
  }

  void reap() {
    int status = 0;
    for (;;) {
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid <= 0) return;
      report_death(pid, status);
    }
  }

  void report_death(pid_t pid, int status) {
    for (const MemberId id : workers_) {
      Member& member = shm::members()[id.slot];
      if (id == MemberId{} || member.pid.load() != pid || member.epoch.load() != id.epoch) continue;
      member.status.store(status, std::memory_order_release);
      member.state.store(Member::dead, std::memory_order_release);
      ring_bell(settings_.bell);
    }
  }

  void end_workers() {
    for (const MemberId id : workers_) {
      const Member& member = shm::members()[id.slot];
      if (id == MemberId{} || member.epoch.load() != id.epoch) continue;
      if (member.state.load() == Member::live) kill(member.pid.load(), SIGKILL);
    }
    int status = 0;
    for (;;) {
      const pid_t pid = waitpid(-1, &status, 0);
      if (pid > 0) report_death(pid, status);
      if (pid < 0 && errno != EINTR) return;
    }
  }

  PoolState& pool_;
  const ZygoteSettings& settings_;
  std::vector<MemberId> workers_;
  Descriptor program_;
  Descriptor signals_;
  bool interrupting_ = false;
};

}  // namespace

int run_zygote(PoolState& pool, shm::MemberId self, const ZygoteSettings& settings) {
  process::set_up_child("procyon-zygote", 0);
  process::ignore_ending_signals();
  shm::become_member(self);
  // Here and not in the workers: in a process just forked, OpenBLAS would start threads first.
  if (settings.pool.blas_threads != 0) blas::limit_this_process(settings.pool.blas_threads);
  return Zygote(pool, settings).run();
}

}  // namespace procyon::engine
