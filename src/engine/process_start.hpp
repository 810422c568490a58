// Starting a Process, by each of the three ways.
//
//   fork        a copy of this process, which waits until this one has looked at its threads
//   forkserver  a child of the fork server: what it runs is in the heap
//   spawn       a child of the fork server too, which starts the executable afresh: Boost.Process
//               forks, and may not do that in a process with threads. So the fork server sees the
//               end of both, and tells the status
//
// Each is a member of the heap, with a record (layout.hpp) that its parent owns. What ends it when
// its parent dies: the guardian, whoever the parent is; besides, where the guardian has died as
// well, the kernel with the main thread that has forked it, or the fork server with the program.
#pragma once

#include "engine/guardian.hpp"
#include "engine/launch.hpp"
#include "engine/layout.hpp"

#include <procyon/engine/process.hpp>

#include <memory>
#include <string_view>

namespace procyon::engine {

struct ProcessPlan {
  std::string_view name;
  std::string_view identity;
  bool daemon;
  StartMethod method;  // as the user chose it
  ProcessCall& call;
};

/// A Process that has been started, as its parent sees it.
class RunningProcess {
 public:
  RunningProcess() = default;
  /// Throws what Process::start throws, and has left nothing then.
  explicit RunningProcess(const ProcessPlan& plan);
  RunningProcess(RunningProcess&&) noexcept = default;
  RunningProcess& operator=(RunningProcess&&) noexcept = default;

  const StartedProcess& process() const noexcept { return process_; }
  /// Requires: it has ended. Reaps it and frees what it ran; its exit code, as Process gives it.
  int collect(ProcessCall& call) noexcept;
  /// Requires: it has been collected. Waits until what it held is recovered.
  void settle() noexcept;
  /// For whoever waits: makes good the loss of the guardian.
  void look_after() noexcept;

 private:
  void make_record(const ProcessPlan& plan);
  void place(ProcessCall& call, bool images);
  void start(StartMethod method, const ProcessPlan& plan);
  StartedProcess fork_it(const ProcessPlan& plan);
  StartedProcess start_elsewhere(StartMethod method, const ProcessPlan& plan);
  void free_memory(ProcessCall& call) noexcept;
  void give_up_slot() noexcept;

  StartedProcess process_;
  shm::MemberId id_;
  ProcessRecord* record_ = nullptr;
  std::unique_ptr<GuardianShare> guardian_;
};

}  // namespace procyon::engine
