// What the submitter's side of a pool keeps for itself: descriptors, their jobs' lives, its phase.
#pragma once

#include <procyon/engine/engine.hpp>

#include "engine/domain.hpp"
#include "engine/layout.hpp"
#include "engine/trace.hpp"
#include "process/process.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

namespace procyon::engine {

struct Engine::State {
  enum class Phase { open, closed, ended };
  struct Abandoned {
    Job* job;
    void (*destroy)(Engine&, void*);
  };

  PoolState* pool = nullptr;
  std::unique_ptr<WorkerDomain> domain;
  bool shared = false;
  unsigned generation = process::fork_generation();
  std::chrono::nanoseconds task_timeout;

  std::mutex mutex;  // guards everything below, and the submitter's part of the pool
  Phase phase = Phase::open;
  std::vector<std::uint32_t> free_jobs;
  std::vector<std::uint32_t> retired;  // released, but a worker's slot named them
  std::vector<Abandoned> abandoned;

  // When somebody who only asks, and does not wait, last had the helpers looked after.
  std::atomic<std::chrono::steady_clock::rep> looked_after{0};

  void (*destroy_initializer)(Engine&, void*) = nullptr;

  std::recursive_mutex ending;  // one thread ends the workers; it may destroy payloads meanwhile

  PoolRecord record;

  State(Domain where, const Settings& settings, std::uint32_t workers);
  ~State();
  void free_pool() noexcept;
  void require_this_process() const;
  void require_open() const;  // with the mutex held
  void add_jobs();
  bool is_pinned(std::uint32_t index) const noexcept;
  void recycle();
  void bury_finished(Engine& engine, std::unique_lock<std::mutex>& lock) noexcept;
  void free_memory(Job& job) noexcept;
  void set_leases(Job& job, const JobSpec& spec);
  bool publish(Job& job, std::unique_lock<std::mutex>& lock);
  void wake_for(const Job& job) noexcept;
  Failure* failure_of_all(Failure::Kind kind) const;
  void close_unfinished(Failure::Kind kind) noexcept;
  bool end_job(Job& job, Failure::Kind kind);
  void publish_module(CodeToken code);
  void publish_modules(const JobSpec& spec);
  /// Calls visit(job) for every job that was submitted and has not finished.
  template <class F>
  void for_each_submitted(F&& visit);
};

template <class F>
void Engine::State::for_each_submitted(F&& visit) {
  for (std::uint32_t index = 0; index < pool->job_count(); ++index) {
    Job& job = pool->job(index);
    if (job.generation.load() % 2 == 1 && (job.state.load() & Job::finished) == 0) visit(job);
  }
}

}  // namespace procyon::engine
