// Workers as processes: program -> zygote -> workers, under the guardian's eyes.
#include "blas/worker.hpp"
#include "engine/domain.hpp"
#include "engine/guardian.hpp"
#include "engine/launch.hpp"
#include "engine/start_method.hpp"
#include "engine/threads.hpp"
#include "engine/zygote.hpp"
#include "process/process.hpp"
#include "process/spawn_launcher.hpp"
#include "shm/members.hpp"

#include <procyon/base/errors.hpp>
#include <procyon/shm/heap.hpp>

#include <fmt/format.h>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace procyon::engine {
namespace {

using process::Descriptor;
using shm::Member;
using shm::MemberId;
using shm::MemberKind;

constexpr std::chrono::milliseconds stop_patience{5000};
constexpr std::chrono::milliseconds start_patience{120000};

/// The environment of workers started afresh, in a block of the heap.
class Environment {
 public:
  Environment() = default;
  explicit Environment(std::size_t blas_threads) {
    std::string text;
    for (const std::string& entry :
         blas::worker_environment(process::current_environment(), blas_threads)) {
      text.append(entry).push_back('\0');
    }
    bytes_ = text.size();
    text_ = static_cast<char*>(shm::allocate(bytes_, alignof(std::max_align_t)));
    text.copy(text_, bytes_);
  }
  ~Environment() { shm::deallocate(text_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  const char* text() const noexcept { return text_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  char* text_ = nullptr;
  std::size_t bytes_ = 0;
};

class ProcessDomain final : public WorkerDomain {
 public:
  explicit ProcessDomain(const Settings& settings) : settings_(settings) {
    settings_.start_method = resolve_method(settings.start_method, Started::pool);
    const bool forks = settings_.start_method == StartMethod::fork;
    if (const std::size_t threads = forks ? foreign_threads() : 0; threads != 0) {
      throw StartError("fork", 0, refusal_of_threads(threads, Started::pool));
    }
    guardian_ = std::make_unique<GuardianShare>();
    if (settings_.start_method == StartMethod::spawn) {
      environment_ = std::make_unique<Environment>(settings_.blas_threads);
      settings_.environment = environment_->text();
      settings_.environment_bytes = environment_->bytes();
    }
  }

  void start(PoolState& pool) override {
    start_zygote(pool);
    const bool forks = settings_.start_method == StartMethod::fork;
    are_images_ =
        forks || (settings_.start_method == StartMethod::forkserver && server_shares_image());
    // OpenBLAS has ended its threads for the fork, so now every other thread is a foreign one.
    const std::size_t threads = forks ? foreign_threads_after_fork() : 0;
    const ZygoteReport report = threads == 0 ? hear_report() : ZygoteReport{ECANCELED, 0, 0};
    if (report.error == 0) return;
    stop(pool);
    if (threads != 0) throw StartError("fork", 0, refusal_of_threads(threads, Started::pool));
    throw_start_error(report, pool.workers);
  }

  void stop(PoolState& pool) noexcept override {
    if (zygote_.pid() == 0) return;
    pool.status.store(PoolState::stopping, std::memory_order_seq_cst);
    // Not only closed: processes that were forked meanwhile may hold copies of it.
    shutdown(control_.get(), SHUT_RDWR);
    control_.reset();
    while (!zygote_.wait_until_gone(stop_patience)) zygote_.send_signal(SIGKILL);
    guardian_->wait_for_burial(id_, GuardianShare::Patience::endless);
    // Only now: its number must not be another's while the guardian looks at it.
    zygote_.reap();
    guardian_.reset();
  }

  // A socket that is full holds requests that the zygote has yet to read: it will look after that.
  void watch() noexcept override {
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

  bool workers_are_images() const noexcept override { return are_images_; }

 private:
  void start_zygote(PoolState& pool) {
    auto [ours, theirs] = process::socket_pair();
    Descriptor self = process::open_pidfd(getpid());
    if (!ours || !theirs || !self) {
      throw StartError("socketpair", errno, "no descriptors for the pool (see ulimit -n)");
    }
    control_ = std::move(ours);
    id_ = shm::reserve_member(MemberKind::zygote);
    if (id_ == MemberId{}) throw StartError("zygote", 0, "too many processes share the heap");
    Member& member = shm::members()[id_.slot];
    member.pool.store(reinterpret_cast<std::uint64_t>(&pool), std::memory_order_release);
    pool.zygote.store(id_.slot, std::memory_order_release);
    try {
      zygote_ = settings_.start_method == StartMethod::fork
                    ? fork_zygote(pool, std::move(self), theirs)
                    : launch_zygote(pool, self, theirs);
    } catch (...) {
      shm::recover_member(id_.slot);
      throw;
    }
    member.pid.store(zygote_.pid(), std::memory_order_release);
  }

  StartedProcess fork_zygote(PoolState& pool, Descriptor self, const Descriptor& control) {
    process::flush_output();
    return StartedProcess(process::fork_child("the zygote", [&] {
      control_.reset();
      shm::become_member(id_);
      return run_zygote(pool, {std::move(self), control.get(), guardian_->bell(), settings_});
    }));
  }

  StartedProcess launch_zygote(PoolState& pool, const Descriptor& self, const Descriptor& control) {
    Launch launch = launch_for(Role::zygote, id_);
    launch.pool = &pool;
    launch.settings = settings_;
    return start_by_server(launch,
                           {shm::heap_descriptor(), self.get(), guardian_->bell(), control.get()});
  }

  ZygoteReport hear_report() const {
    pollfd event{control_.get(), POLLIN, 0};
    const auto end = std::chrono::steady_clock::now() + start_patience;
    while (poll(&event, 1, 1000) <= 0) {
      if (std::chrono::steady_clock::now() > end) return {ETIMEDOUT, 0, 0};
    }
    const std::optional<process::Parcel> parcel = process::receive_parcel(control_.get());
    const std::optional<ZygoteReport> report = parcel ? parcel->as<ZygoteReport>() : std::nullopt;
    return report.value_or(ZygoteReport{ESRCH, 0, 0});  // it died before it could say anything
  }

  [[noreturn]] static void throw_start_error(const ZygoteReport& report, std::uint32_t workers) {
    if (report.error == ECHILD) throw_never_ready(report.status, Started::pool);
    throw StartError("worker", report.error,
                     fmt::format("only {} of {} workers could be started (see ulimit -u, ulimit -n "
                                 "and the control group's pids.max)",
                                 report.started, workers));
  }

  Settings settings_;
  std::unique_ptr<GuardianShare> guardian_;  // until the stop
  std::unique_ptr<Environment> environment_;
  Descriptor control_;
  StartedProcess zygote_;
  MemberId id_;
  bool are_images_ = true;
};

}  // namespace

std::unique_ptr<WorkerDomain> make_process_domain(const Settings& settings) {
  refuse_strangers();
  return std::make_unique<ProcessDomain>(settings);
}

}  // namespace procyon::engine
