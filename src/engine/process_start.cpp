#include "engine/process_start.hpp"

#include "engine/code.hpp"
#include "engine/process_main.hpp"
#include "engine/start_method.hpp"
#include "engine/threads.hpp"
#include "engine/worker.hpp"
#include "process/process.hpp"
#include "shm/members.hpp"

#include <procyon/base/errors.hpp>
#include <procyon/shm/heap.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

namespace procyon::engine {
namespace {

using process::Descriptor;
using shm::Member;
using shm::MemberId;
using shm::MemberKind;

constexpr int unknown_exit_code = 255;

bool is_main_thread() noexcept { return syscall(SYS_gettid) == getpid(); }

/// A pipe by which a forked child is told to go on; it leaves where it is not.
class Gate {
 public:
  Gate() {
    std::array<int, 2> ends{-1, -1};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
      throw StartError("pipe", errno, "no descriptors for a process (see ulimit -n)");
    }
    theirs_ = Descriptor(ends[0]);
    ours_ = Descriptor(ends[1]);
  }
  void open() noexcept {
    const char byte = 1;
    [[maybe_unused]] const ssize_t written = write(ours_.get(), &byte, 1);
  }
  void pass() noexcept {
    ours_.reset();
    char byte = 0;
    if (read(theirs_.get(), &byte, 1) != 1) _exit(1);
    theirs_.reset();
  }

 private:
  Descriptor theirs_;
  Descriptor ours_;
};

int exit_code_of(int status, const ProcessRecord& record) noexcept {
  if (status != -1 && WIFEXITED(status)) return WEXITSTATUS(status);
  if (status != -1 && WIFSIGNALED(status)) return -WTERMSIG(status);
  const std::uint32_t reported = record.reported.load(std::memory_order_acquire);
  return reported == 0 ? unknown_exit_code : static_cast<int>(reported) - 1;
}

}  // namespace

RunningProcess::RunningProcess(const ProcessPlan& plan) {
  refuse_strangers();
  const StartMethod method = resolve_method(plan.method, Started::process);
  const std::size_t threads = method == StartMethod::fork ? foreign_threads() : 0;
  if (threads != 0) throw StartError("fork", 0, refusal_of_threads(threads, Started::process));
  guardian_ = std::make_unique<GuardianShare>();
  try {
    make_record(plan);
    start(method, plan);
  } catch (...) {
    free_memory(plan.call);
    give_up_slot();
    guardian_.reset();
    shm::close_heap_if_unused();
    throw;
  }
}

// One that has been a member is the guardian's to recover.
void RunningProcess::give_up_slot() noexcept {
  if (id_ == MemberId{}) return;
  if (shm::state_of(shm::members()[id_.slot]) == Member::starting) {
    shm::recover_member(id_.slot);
  } else {
    guardian_->wait_for_burial(id_, GuardianShare::Patience::limited);
  }
}

void RunningProcess::make_record(const ProcessPlan& plan) {
  const std::size_t bytes = sizeof(ProcessRecord) + plan.name.size() + plan.identity.size();
  record_ = ::new (shm::allocate(bytes, alignof(ProcessRecord))) ProcessRecord{};
  auto* text = reinterpret_cast<char*>(record_ + 1);
  const auto keep = [&text](std::string_view what) {
    const ProcessRecord::Text kept{text, what.size()};
    text += what.copy(text, what.size());
    return kept;
  };
  record_->name = keep(plan.name);
  record_->identity = keep(plan.identity);
  record_->daemon = plan.daemon ? 1 : 0;
  record_->ignored = process::ignored_signals();
}

void RunningProcess::start(StartMethod method, const ProcessPlan& plan) {
  id_ = shm::reserve_member(MemberKind::process);
  if (id_ == MemberId{}) throw StartError("process", 0, "too many processes share the heap");
  Member& member = shm::members()[id_.slot];
  member.pool.store(reinterpret_cast<std::uint64_t>(record_), std::memory_order_release);
  process_ = method == StartMethod::fork ? fork_it(plan) : start_elsewhere(method, plan);
}

// The child waits until OpenBLAS, which ends its threads for a fork, has shown by that how many of
// this process's are somebody else's.
StartedProcess RunningProcess::fork_it(const ProcessPlan& plan) {
  Gate gate;
  const ForkedFrom from{getpid(), is_main_thread(), guardian_->bell()};
  process::flush_output();
  StartedProcess child(process::fork_child("a Process", [&]() -> int {
    shm::become_member(id_);
    forget_children();
    gate.pass();
    run_forked_process(*record_, from, plan.call);
  }));
  if (const std::size_t threads = foreign_threads_after_fork(); threads != 0) {
    child.send_signal(SIGKILL);
    child.reap();
    throw StartError("fork", 0, refusal_of_threads(threads, Started::process));
  }
  gate.open();
  return child;
}

StartedProcess RunningProcess::start_elsewhere(StartMethod method, const ProcessPlan& plan) {
  const Descriptor self = process::open_pidfd(getpid());
  if (!self) throw StartError("pidfd_open", errno, "no descriptors for a process (see ulimit -n)");
  Launch launch = launch_for(Role::process, id_);
  launch.record = record_;
  const std::vector<int> descriptors{shm::heap_descriptor(), self.get(), guardian_->bell()};
  if (method == StartMethod::spawn) {
    place(plan.call, false);
    return start_afresh_by_server(launch, descriptors);
  }
  if (server_shares_image()) {
    place(plan.call, true);
    try {
      return start_by_server(launch, descriptors, process::Bound::yes, Image::shared);
    } catch (const StartError& error) {
      if (error.code() != ESTALE) throw;
    }
    plan.call.take_back(std::exchange(record_->payload, nullptr));
  }
  place(plan.call, false);
  return start_by_server(launch, descriptors, process::Bound::yes);
}

void RunningProcess::place(ProcessCall& call, bool images) {
  const PlacedCall placed = call.place(images);
  record_->payload = placed.payload;
  record_->code = placed.code;
  for (const CodeToken code : {placed.code, placed.function}) {
    std::atomic<const Module*>& module = record_->modules[module_of(code)];
    if (code == 0 || module.load(std::memory_order_relaxed) != nullptr) continue;
    module.store(make_module(code, true), std::memory_order_release);
  }
}

void RunningProcess::free_memory(ProcessCall& call) noexcept {
  if (record_ == nullptr) return;
  if (record_->payload != nullptr) call.take_back(record_->payload);
  for (std::atomic<const Module*>& module : record_->modules) {
    deallocate_block(true, const_cast<Module*>(module.load()));
  }
  shm::deallocate(std::exchange(record_, nullptr));
}

int RunningProcess::collect(ProcessCall& call) noexcept {
  const int code = exit_code_of(process_.collect(), *record_);
  free_memory(call);
  return code;
}

void RunningProcess::settle() noexcept {
  if (!guardian_) return;
  guardian_->wait_for_burial(id_, GuardianShare::Patience::limited);
  guardian_.reset();
  shm::close_heap_if_unused();
}

void RunningProcess::look_after() noexcept {
  try {
    if (guardian_) guardian_->look_after();
  } catch (const StartError&) {
    // No process to be had just now: the next call tries again.
  }
}

}  // namespace procyon::engine
