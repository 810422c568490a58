// Workers as processes: program -> zygote -> workers, under the guardian's eyes.
#include "engine/domain.hpp"
#include "engine/guardian.hpp"
#include "engine/zygote.hpp"
#include "process/process.hpp"
#include "shm/members.hpp"
#include "sync/futex.hpp"

#include <procyon/base/errors.hpp>
#include <procyon/blas/runtimes.hpp>

#include <fmt/format.h>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>

namespace procyon::engine {
namespace {

using process::Descriptor;
using shm::Member;
using shm::MemberId;
using shm::MemberKind;

constexpr std::chrono::milliseconds stop_patience{5000};
constexpr std::chrono::milliseconds start_patience{60000};
constexpr std::chrono::milliseconds burial_slice{20};

#if defined(__SANITIZE_THREAD__)
constexpr std::size_t sanitizer_threads = 1;
#else
constexpr std::size_t sanitizer_threads = 0;
#endif

// A worker's pool would outlive the worker's own blocks, which its death frees.
void refuse_members_other_than_the_program() {
  if (!shm::heap_is_open() || shm::self().slot == 1) return;
  throw StartError("fork", 0,
                   "a Pool can be made only by the program, not in a worker or in a process that "
                   "the program forked; use ThreadPool there");
}

[[noreturn]] void refuse_threads(std::size_t threads) {
  throw StartError(
      "fork", 0,
      fmt::format("this process has {} other thread{}, whose locks a forked worker would find "
                  "locked for ever; make the Pool before threads are started, or use ThreadPool",
                  threads, threads == 1 ? "" : "s"));
}

// Threads that make a fork unsafe. OpenBLAS's own are not among them: it ends them before a fork.
std::size_t foreign_threads(std::size_t blas_threads) {
  const std::size_t known = 1 + library_threads() + sanitizer_threads + blas_threads;
  const std::size_t threads = process::count_threads();
  return threads > known ? threads - known : 0;
}

std::size_t blas_threads() {
  std::size_t threads = 0;
  for (const RuntimeInfo& runtime : runtimes()) {
    if (runtime.user_api == "blas" && runtime.num_threads > 1) {
      threads += static_cast<std::size_t>(runtime.num_threads) - 1;
    }
  }
  return threads;
}

class ProcessDomain final : public WorkerDomain {
 public:
  explicit ProcessDomain(const Settings& settings) : settings_(settings) {}

  void start(PoolState& pool) override {
    if (const std::size_t threads = foreign_threads(blas_threads()); threads != 0) {
      refuse_threads(threads);
    }
    fork_zygote(pool);
    // OpenBLAS has ended its threads for the fork, so now every other thread is a foreign one.
    const std::size_t threads = foreign_threads(0);
    const ZygoteReport report = threads == 0 ? hear_report() : ZygoteReport{ECANCELED, 0};
    if (report.error == 0) return;
    stop(pool);
    if (threads != 0) refuse_threads(threads);
    throw StartError("worker", report.error,
                     fmt::format("only {} of {} workers could be started (see ulimit -u and the "
                                 "control group's pids.max)",
                                 report.started, pool.workers));
  }

  void stop(PoolState& pool) noexcept override {
    if (zygote_ == 0) return;
    pool.status.store(PoolState::stopping, std::memory_order_seq_cst);
    // Not only closed: processes that were forked meanwhile may hold copies of it.
    shutdown(control_.get(), SHUT_RDWR);
    control_.reset();
    if (!process::wait_until_gone(zygote_, stop_patience)) kill(zygote_, SIGKILL);
    process::reap(zygote_);
    // The guardian recovers what the members held, and frees the zygote's slot last.
    const Member& member = shm::members()[id_.slot];
    for (;;) {
      const std::uint32_t state = member.state.load(std::memory_order_acquire);
      if (state == Member::free || member.epoch.load(std::memory_order_acquire) != id_.epoch) break;
      guardian_->ring();
      sync::futex_wait(member.state, state, burial_slice);
      look_after(pool);
    }
    zygote_ = 0;
    guardian_.reset();
  }

  // A socket that is full holds requests that the zygote has yet to read: it will look after that.
  void interrupt() noexcept override {
    const char request = 1;
    send(control_.get(), &request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  void look_after(PoolState&) noexcept override {
    try {
      if (guardian_) guardian_->look_after();
    } catch (const StartError&) {
      // No process to be had just now: the next call tries again.
    }
  }

 private:
  void fork_zygote(PoolState& pool) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      throw StartError("socketpair", errno, "no descriptors for the pool");
    }
    control_ = Descriptor(ends[0]);
    const Descriptor theirs(ends[1]);
    id_ = shm::reserve_member(MemberKind::zygote);
    if (id_ == MemberId{}) throw StartError("zygote", 0, "too many processes share the heap");
    Member& member = shm::members()[id_.slot];
    member.pool.store(reinterpret_cast<std::uint64_t>(&pool), std::memory_order_release);
    pool.zygote.store(id_.slot, std::memory_order_release);
    const ZygoteSettings settings{getpid(), theirs.get(), guardian_->bell(), settings_};
    try {
      zygote_ = process::fork_child("the zygote", [&] {
        control_.reset();
        return run_zygote(pool, id_, settings);
      });
    } catch (...) {
      shm::recover_member(id_.slot);
      throw;
    }
    member.pid.store(zygote_, std::memory_order_release);
    member.state.store(Member::live, std::memory_order_release);
    guardian_->ring();
  }

  ZygoteReport hear_report() const {
    pollfd event{control_.get(), POLLIN, 0};
    ZygoteReport report{ETIMEDOUT, 0};
    const auto end = std::chrono::steady_clock::now() + start_patience;
    while (poll(&event, 1, 1000) <= 0) {
      if (std::chrono::steady_clock::now() > end) return report;
    }
    report.error = ECHILD;  // it died before it could say anything
    recv(control_.get(), &report, sizeof report, 0);
    return report;
  }

  Settings settings_;
  std::unique_ptr<GuardianShare> guardian_ = std::make_unique<GuardianShare>();  // until the stop
  Descriptor control_;
  pid_t zygote_ = 0;
  MemberId id_;
};

}  // namespace

std::unique_ptr<WorkerDomain> make_process_domain(const Settings& settings) {
  refuse_members_other_than_the_program();
  return std::make_unique<ProcessDomain>(settings);
}

}  // namespace procyon::engine
