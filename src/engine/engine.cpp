// The submitter's side: submitting, waiting, cancelling, ending.
#include "engine/engine_state.hpp"
#include "engine/exceptions.hpp"
#include "engine/worker.hpp"
#include "shm/members.hpp"
#include "sync/futex.hpp"

#include <procyon/base/errors.hpp>

#include <algorithm>
#include <exception>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace procyon::engine {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr std::chrono::microseconds caller_spin{20};

}  // namespace

Engine::Engine(Domain domain, const Settings& settings) try
    : state_(std::make_unique<State>(domain, settings, checked_workers(domain, settings))) {
} catch (...) {
  if (domain == Domain::processes) shm::close_heap_if_unused();
}

void Engine::start(Job* initializer, const JobSpec& spec, void (*destroy)(Engine&, void*)) {
  State& state = *state_;
  if (initializer != nullptr) {
    state.destroy_initializer = destroy;
    state.publish_modules(spec);
    state.pool->initializer_code = spec.code;
    state.pool->initializer = initializer;
  }
  try {
    state.domain->start(*state.pool);
  } catch (...) {
    state.pool->initializer = nullptr;  // the caller's again
    throw;
  }
}

Engine::~Engine() {
  if (state_->generation != process::fork_generation()) {
    static_cast<void>(state_.release());  // the copy in a child: the parent's to clean up
    return;
  }
  // In its own task the pool would go from under it, or the worker would wait for itself.
  if (Worker::is_in_task_of(*state_->pool)) std::terminate();
  terminate();
}

void Engine::set_name(std::string name) { state_->record.set_name(std::move(name)); }
bool Engine::isolated() const noexcept { return state_->shared; }
bool Engine::workers_are_images() const noexcept { return state_->domain->workers_are_images(); }
std::size_t Engine::size() const noexcept { return state_->pool->workers; }
std::vector<WorkerInfo> Engine::workers() const {
  const PoolState& pool = *state_->pool;
  std::vector<WorkerInfo> all(pool.workers);
  for (std::uint32_t i = 0; i < pool.workers; ++i) {
    const WorkerSlot& slot = pool.slots[i];
    const std::uint32_t starts = slot.starts.load(std::memory_order_relaxed);
    all[i] = {slot.pid.load(std::memory_order_relaxed),
              slot.job.load(std::memory_order_relaxed) != 0,
              slot.tasks.load(std::memory_order_relaxed), starts > 1 ? starts - 1 : 0};
  }
  return all;
}

void* Engine::allocate(std::size_t bytes) {
  state_->require_this_process();
  return allocate_block(state_->shared, bytes);
}
void Engine::deallocate(void* block) noexcept { deallocate_block(state_->shared, block); }
Failure* Engine::keep_failure() { return encode_current_exception(*state_->pool); }

Job* Engine::prepare(std::size_t bytes) {
  State& state = *state_;
  state.require_this_process();
  std::unique_lock lock(state.mutex);
  state.bury_finished(*this, lock);
  state.require_open();
  if (!state.retired.empty()) state.recycle();
  if (state.free_jobs.empty()) state.add_jobs();
  Job& job = state.pool->job(state.free_jobs.back());
  void* payload = bytes <= inline_payload ? job.inline_bytes : allocate_block(state.shared, bytes);
  state.free_jobs.pop_back();
  lock.unlock();
  job.payload = payload;
  job.leases = &job.inline_lease;
  job.next.store(0, std::memory_order_relaxed);
  job.done.store(0, std::memory_order_relaxed);
  job.recount.store(0, std::memory_order_relaxed);
  job.interrupted.store(0, std::memory_order_relaxed);
  job.state.store(0, std::memory_order_relaxed);
  job.bound.store(no_item, std::memory_order_relaxed);
  job.failure.store(nullptr, std::memory_order_relaxed);
  return &job;
}

void* Engine::payload(Job* job) noexcept { return job->payload; }

bool Engine::in_this_process() const noexcept {
  return state_->generation == process::fork_generation();
}

void Engine::require_open() const {
  state_->require_this_process();
  const std::scoped_lock lock(state_->mutex);
  state_->require_open();
}

void Engine::submit(Job* job, const JobSpec& spec) {
  State& state = *state_;
  state.set_leases(*job, spec);
  job->code = spec.code;
  job->items = spec.items;
  job->may_rerun = spec.may_rerun ? 1 : 0;
  job->keep_going = spec.keep_going ? 1 : 0;
  job->whole_chunks = spec.whole_chunks ? 1 : 0;
  job->time_limit = (spec.time_limit.count() != 0 ? spec.time_limit : state.task_timeout).count();
  if (job->chunks == 0) finish(*job);
  std::unique_lock lock(state.mutex);
  state.require_open();
  state.publish_modules(spec);
  if (job->chunks == 0) return;
  if (state.domain->runs_in_caller()) {
    job->generation.fetch_add(1);
    lock.unlock();
    Worker(*state.pool, 0).run_in_caller(*job, spec.listener);
    return;
  }
  const bool published = state.publish(*job, lock);
  if (job->time_limit != 0 && state.phase != State::Phase::ended) state.domain->watch();
  lock.unlock();
  if (published) {
    state.wake_for(*job);
  } else {
    Worker::help(*state.pool, *job);
  }
}

bool Engine::finished(Job* job) noexcept {
  if ((job->state.load(std::memory_order_acquire) & Job::finished) != 0) return true;
  // The guardian says `broken` when no worker is left: nobody else will finish the job.
  if (state_->pool->status.load(std::memory_order_acquire) != PoolState::broken) return false;
  state_->close_unfinished(Failure::Kind::broken);
  finish(*job);
  return true;
}

bool Engine::ready(Job* job) noexcept {
  if (finished(job)) return true;
  const auto now = steady_clock::now().time_since_epoch();
  auto before = state_->looked_after.load(std::memory_order_relaxed);
  if (now - steady_clock::duration(before) < look_after_every ||
      !state_->looked_after.compare_exchange_strong(before, now.count())) {
    return false;
  }
  state_->domain->look_after(*state_->pool);
  return finished(job);
}

void Engine::wait(Job* job) {
  while (!wait_for(job, std::chrono::hours{1})) {
  }
}

void Engine::help(Job* job) { Worker::help(*state_->pool, *job); }

bool Engine::wait_for(Job* job, nanoseconds limit) {
  State& state = *state_;
  const auto start = steady_clock::now();
  if (limit.count() > 0) help(job);
  const nanoseconds spin =
      state.pool->cpus > 1 ? std::min<nanoseconds>(caller_spin, limit) : nanoseconds{0};
  while (steady_clock::now() - start < spin) {
    for (int turn = 0; turn < 32; ++turn) {
      if (finished(job)) return true;
      sync::cpu_relax();
    }
  }
  // Whoever goes to sleep beside an unclaimed job wakes all: a stopped worker may have been
  // counted on.
  if (job->next.load(std::memory_order_relaxed) < job->chunks) {
    wake_workers(*state.pool, sync::all_waiters);
  }
  for (;;) {
    const auto word = job->state.fetch_or(Job::has_waiters, std::memory_order_seq_cst);
    if (finished(job)) return true;
    const nanoseconds left = limit - (steady_clock::now() - start);
    if (left.count() <= 0) return ready(job);
    sync::futex_wait(job->state, word | Job::has_waiters,
                     std::min<nanoseconds>(left, look_after_every));
    if (!finished(job)) state.domain->look_after(*state.pool);
  }
}

// The bound comes first: a chunk that is claimed after it has no items to run. Those that are
// claimed already are left to their workers, or to what becomes of these.
bool Engine::cancel(Job* job, Running running) {
  State& state = *state_;
  if (state.generation != process::fork_generation() || finished(job)) return false;
  if (!state.end_job(*job, Failure::Kind::cancelled)) return false;
  job->next.store(job->chunks, std::memory_order_relaxed);
  for (std::uint64_t chunk = 0; chunk < job->chunks; ++chunk) {
    std::uint64_t word = job->leases[chunk].load(std::memory_order_acquire);
    Lease lease = Lease::unpack(word);
    if (lease.state != Lease::ready) continue;
    lease.state = Lease::done;
    job->leases[chunk].compare_exchange_strong(word, lease.pack(), std::memory_order_seq_cst);
  }
  // As after a death: nobody has counted these chunks.
  job->recount.store(1, std::memory_order_seq_cst);
  if (all_done(*job)) {
    finish(*job);
  } else if (running == Running::stopped) {
    job->interrupted.store(1, std::memory_order_seq_cst);
    const std::scoped_lock lock(state.mutex);
    if (state.phase != State::Phase::ended) state.domain->watch();
  }
  return true;
}

void Engine::check(const Job* job) const {
  if (job->keep_going != 0) return;
  const std::uint64_t bound = job->bound.load(std::memory_order_acquire);
  const Failure* failure = job->failure.load(std::memory_order_acquire);
  if (failure != nullptr && failure->item <= bound) throw_failure(*failure);
  if (bound != no_item) {
    throw SharedMemoryError("a task failed, and there was no memory left to say how");
  }
}

void Engine::release(Job* job) noexcept {
  State& state = *state_;
  const std::scoped_lock lock(state.mutex);
  // A worker that read the ring before this looks at the generation after it has pinned the job.
  if (job->generation.load(std::memory_order_relaxed) % 2 == 1) {
    job->generation.fetch_add(1, std::memory_order_seq_cst);
  }
  if (state.is_pinned(job->index)) {
    state.retired.push_back(job->index);
  } else {
    state.free_memory(*job);
    state.free_jobs.push_back(job->index);
  }
}

void Engine::abandon(Job* job, void (*destroy)(Engine&, void*)) noexcept {
  if (state_->generation != process::fork_generation()) return;
  if (finished(job)) {
    destroy(*this, job->payload);
    release(job);
    return;
  }
  const std::scoped_lock lock(state_->mutex);
  state_->abandoned.push_back({job, destroy});
}

void Engine::close() noexcept {
  if (state_->generation != process::fork_generation()) return;
  const std::scoped_lock lock(state_->mutex);
  if (state_->phase == State::Phase::open) state_->phase = State::Phase::closed;
}

void Engine::terminate() noexcept {
  State& state = *state_;
  if (state.generation != process::fork_generation()) return;
  if (Worker::is_in_task_of(*state.pool)) {
    // A worker cannot wait for its own end. It still runs what is handed in: items of no length.
    close();
    state.close_unfinished(Failure::Kind::closed);
    return;
  }
  const std::scoped_lock ending(state.ending);
  {
    const std::scoped_lock lock(state.mutex);
    if (std::exchange(state.phase, State::Phase::ended) == State::Phase::ended) return;
  }
  state.close_unfinished(Failure::Kind::closed);
  state.domain->stop(*state.pool);
  std::unique_lock lock(state.mutex);
  state.for_each_submitted([](Job& job) { finish(job); });
  if (Job* initializer = std::exchange(state.pool->initializer, nullptr)) {
    finish(*initializer);
    state.abandoned.push_back({initializer, state.destroy_initializer});
  }
  state.bury_finished(*this, lock);
}

void Engine::join() {
  State& state = *state_;
  state.require_this_process();
  if (Worker::is_in_task_of(*state.pool)) {
    throw Error("join() in a task of the pool itself would wait for its own end; call it outside");
  }
  std::vector<Job*> running;
  {
    const std::scoped_lock lock(state.mutex);
    if (state.phase == State::Phase::open) {
      throw Error("join() before close() or terminate(): the pool would never end");
    }
    state.for_each_submitted([&](Job& job) { running.push_back(&job); });
  }
  for (Job* job : running) wait(job);
  terminate();
}

}  // namespace procyon::engine
