// The submitter's side: descriptors, the ring, waiting.
#include <procyon/base/cpus.hpp>
#include <procyon/base/errors.hpp>
#include <procyon/engine/engine.hpp>

#include "engine/code.hpp"
#include "engine/domain.hpp"
#include "engine/exceptions.hpp"
#include "engine/trace.hpp"
#include "engine/worker.hpp"
#include "engine/zygote.hpp"
#include "process/process.hpp"
#include "shm/members.hpp"
#include "sync/futex.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace procyon::engine {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr std::chrono::microseconds caller_spin{20};
constexpr std::chrono::microseconds ring_full_nap{100};
constexpr std::uint64_t chunks_per_worker = 64;

enum class Phase { open, closed, ended };

struct Abandoned {
  Job* job;
  void (*destroy)(Engine&, void*);
};

// Blocks of a pool are written to before the ring is, so that a death finds them whole.
template <class T>
T* construct_blocks(bool shared, std::size_t count) {
  static_assert(alignof(T) <= block_align);
  auto* first = static_cast<T*>(allocate_block(shared, count * sizeof(T)));
  std::uninitialized_value_construct_n(first, count);
  return first;
}

}  // namespace

struct Engine::State {
  PoolState* pool = nullptr;
  std::unique_ptr<WorkerDomain> domain;
  bool shared = false;
  unsigned generation = process::fork_generation();

  std::mutex mutex;  // guards everything below, and the submitter's part of the pool
  Phase phase = Phase::open;
  std::vector<std::uint32_t> free_jobs;
  std::vector<std::uint32_t> retired;  // released, but a worker's slot named them
  std::vector<Abandoned> abandoned;

  // When somebody who only asks, and does not wait, last had the helpers looked after.
  std::atomic<steady_clock::rep> looked_after{0};

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
  template <class F>
  void for_each_submitted(F&& visit);
};

Engine::State::State(Domain where, const Settings& settings, std::uint32_t workers)
    : domain(make_domain(where, settings)), shared(where == Domain::processes) {
  try {
    pool = construct_blocks<PoolState>(shared, 1);
    pool->workers = workers;
    pool->shared = shared ? 1 : 0;
    pool->cpus = static_cast<std::uint32_t>(cpu_count());
    pool->slots = construct_blocks<WorkerSlot>(shared, workers);
    for (std::uint32_t i = 0; i < workers; ++i) pool->slots[i].item.store(no_item);
    add_jobs();
    record.add(*pool, !domain->runs_in_caller());
  } catch (...) {
    free_pool();
    throw;
  }
}

Engine::State::~State() {
  record.remove();
  for (const std::uint32_t index : retired) free_memory(pool->job(index));
  free_pool();
  domain.reset();
  // With the last pool, and no Array alive, the heap's mapping and descriptor go too.
  if (shared) shm::close_heap_if_unused();
}

void Engine::State::free_pool() noexcept {
  if (pool == nullptr) return;
  for (std::atomic<const Module*>& module : pool->modules) {
    deallocate_block(shared, const_cast<Module*>(module.load()));
  }
  const std::uint32_t blocks = pool->blocks_used.load();
  for (std::uint32_t i = 0; i < blocks; ++i) deallocate_block(shared, pool->blocks[i].load());
  deallocate_block(shared, pool->slots);
  deallocate_block(shared, pool);
}

void Engine::State::require_this_process() const {
  if (generation == process::fork_generation()) return;
  throw Error("a pool can be used only by the process that made it");
}

void Engine::State::require_open() const {
  if (phase != Phase::open) throw PoolClosed("the pool is closed: it takes no more tasks");
}

void Engine::State::add_jobs() {
  const std::uint32_t block = pool->blocks_used.load(std::memory_order_relaxed);
  if (block == max_blocks) throw SharedMemoryError("too many unfinished jobs in one pool");
  const std::uint32_t first = jobs_before(block);
  const std::uint32_t count = jobs_before(block + 1) - first;
  // Jobs move between these lists where nothing may be thrown.
  free_jobs.reserve(first + count);
  retired.reserve(first + count);
  abandoned.reserve(first + count);
  Job* jobs = construct_blocks<Job>(shared, count);
  for (std::uint32_t i = 0; i < count; ++i) jobs[i].index = first + i;
  pool->blocks[block].store(jobs, std::memory_order_release);
  pool->blocks_used.store(block + 1, std::memory_order_release);
  for (std::uint32_t i = count; i-- > 0;) free_jobs.push_back(first + i);
}

bool Engine::State::is_pinned(std::uint32_t index) const noexcept {
  for (std::uint32_t i = 0; i < pool->workers; ++i) {
    if (pool->slots[i].job.load(std::memory_order_seq_cst) == index + 1) return true;
  }
  return false;
}

void Engine::State::recycle() {
  const auto pinned = [this](std::uint32_t index) { return is_pinned(index); };
  const auto rest = std::stable_partition(retired.begin(), retired.end(), pinned);
  std::for_each(rest, retired.end(),
                [this](std::uint32_t index) { free_memory(pool->job(index)); });
  free_jobs.insert(free_jobs.end(), rest, retired.end());
  retired.erase(rest, retired.end());
}

// Unlocks meanwhile: the payloads are the user's, and may use the pool.
void Engine::State::bury_finished(Engine& engine, std::unique_lock<std::mutex>& lock) noexcept {
  const auto runs = [](const Abandoned& each) {
    return (each.job->state.load(std::memory_order_acquire) & Job::finished) == 0;
  };
  std::partition(abandoned.begin(), abandoned.end(), runs);
  while (!abandoned.empty() && !runs(abandoned.back())) {
    const Abandoned last = abandoned.back();
    abandoned.pop_back();
    lock.unlock();
    last.destroy(engine, last.job->payload);
    engine.release(last.job);
    lock.lock();
  }
}

// Not while a worker's slot names the job: recovery, if that worker is dead, still looks at it.
void Engine::State::free_memory(Job& job) noexcept {
  for (Failure* failure = job.failure.exchange(nullptr); failure != nullptr;) {
    free_failure(*pool, std::exchange(failure, failure->next));
  }
  if (job.leases != &job.inline_lease) deallocate_block(shared, job.leases);
  if (job.payload != job.inline_bytes) deallocate_block(shared, job.payload);
}

void Engine::State::set_leases(Job& job, const JobSpec& spec) {
  if (spec.items >= max_items) {
    throw std::invalid_argument(fmt::format("{} items: a job has less than 2^40", spec.items));
  }
  const std::uint64_t pieces = std::uint64_t{pool->workers} * chunks_per_worker;
  job.chunk = spec.chunk != 0 ? std::min(spec.chunk, std::max<std::uint64_t>(spec.items, 1))
                              : std::max<std::uint64_t>(spec.items / pieces, 1);
  job.chunks = (spec.items + job.chunk - 1) / job.chunk;
  job.leases =
      job.chunks <= 1 ? &job.inline_lease : construct_blocks<LeaseWord>(shared, job.chunks);
  for (std::uint64_t i = 0; i < job.chunks; ++i) {
    job.leases[i].store(Lease{Lease::ready, 0, 0, 0}.pack(), std::memory_order_relaxed);
  }
}

// False: the ring is full, and the caller is one of those who would have to empty it.
bool Engine::State::publish(Job& job, std::unique_lock<std::mutex>& lock) {
  const std::uint32_t current = job.generation.load(std::memory_order_relaxed) + 1;
  job.generation.store(current, std::memory_order_release);
  std::uint64_t head = pool->head.load(std::memory_order_relaxed);
  while (head - pool->tail.load(std::memory_order_acquire) >= ring_size) {
    if (Worker::is_in_task_of(*pool)) return false;
    lock.unlock();
    std::this_thread::sleep_for(ring_full_nap);
    domain->look_after(*pool);
    lock.lock();
    if (phase == Phase::ended || pool->status.load() != PoolState::running) return true;
    head = pool->head.load(std::memory_order_relaxed);
  }
  pool->ring[head % ring_size].store(ring_entry(job.index, current), std::memory_order_release);
  pool->head.store(head + 1, std::memory_order_seq_cst);
  return true;
}

// A spinning worker needs no system call to see the job; sleepers are woken for the rest of it.
void Engine::State::wake_for(const Job& job) noexcept {
  std::uint64_t wanted = std::min<std::uint64_t>(job.chunks, pool->workers);
  bool asleep = false;
  for (std::size_t i = 0; i < pool->mask_words(); ++i) {
    const int spinners = std::popcount(pool->spinning[i].load(std::memory_order_seq_cst));
    wanted -= std::min(wanted, static_cast<std::uint64_t>(spinners));
    asleep = asleep || pool->sleeping[i].load(std::memory_order_seq_cst) != 0;
  }
  if (wanted > 0 && asleep) wake_workers(*pool, static_cast<int>(wanted));
}

template <class F>
void Engine::State::for_each_submitted(F&& visit) {
  for (std::uint32_t index = 0; index < pool->job_count(); ++index) {
    Job& job = pool->job(index);
    if (job.generation.load() % 2 == 1 && (job.state.load() & Job::finished) == 0) visit(job);
  }
}

// What every job fails with that has not finished.
Failure* Engine::State::failure_of_all(Failure::Kind kind) const {
  const std::uint32_t loss = pool->loss.load(std::memory_order_relaxed);
  if (kind == Failure::Kind::broken && loss == PoolState::initializer_failed) {
    if (const Failure* first = pool->initializer->failure.load())
      return copy_failure(*pool, *first);
  }
  auto* failure = static_cast<Failure*>(allocate_block(shared, sizeof(Failure)));
  *failure = {};
  failure->kind = kind;
  failure->attempt = loss;
  failure->status = pool->last_status.load(std::memory_order_relaxed);
  return failure;
}

// Workers of this process see the bound and skip what they have not begun.
void Engine::State::close_unfinished(Failure::Kind kind) noexcept {
  const std::scoped_lock lock(mutex);
  for_each_submitted([&](Job& job) {
    try {
      end_job(job, kind);
    } catch (const std::bad_alloc&) {
      job.bound.store(0);
    }
  });
}

// False: it has ended or failed as a whole already.
bool Engine::State::end_job(Job& job, Failure::Kind kind) {
  if (job.keep_going != 0 && job.bound.load(std::memory_order_acquire) == 0) return false;
  Failure* failure = failure_of_all(kind);
  if (offer_failure(job, failure)) return true;
  free_failure(*pool, failure);
  return false;
}

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

void Engine::State::publish_module(CodeToken code) {
  std::atomic<const Module*>& place = pool->modules[module_of(code)];
  if (place.load(std::memory_order_relaxed) != nullptr) return;
  const ModuleIdentity identity = identify_module(code);
  void* block = allocate_block(shared, sizeof(Module) + identity.path.size() + 1);
  auto* module = ::new (block) Module{identity.base, identity.fingerprint};
  std::memcpy(module->path(), identity.path.c_str(), identity.path.size() + 1);
  place.store(module, std::memory_order_release);
}

void Engine::State::publish_modules(const JobSpec& spec) {
  publish_module(spec.code);
  for (const CodeToken function : spec.functions) {
    if (function != 0) publish_module(function);
  }
}

void Engine::submit(Job* job, const JobSpec& spec) {
  State& state = *state_;
  state.set_leases(*job, spec);
  job->code = spec.code;
  job->items = spec.items;
  job->may_rerun = spec.may_rerun ? 1 : 0;
  job->keep_going = spec.keep_going ? 1 : 0;
  job->whole_chunks = spec.whole_chunks ? 1 : 0;
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
    if (state.phase != Phase::ended) state.domain->interrupt();
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
  if (state_->phase == Phase::open) state_->phase = Phase::closed;
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
    if (std::exchange(state.phase, Phase::ended) == Phase::ended) return;
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
    if (state.phase == Phase::open) {
      throw Error("join() before close() or terminate(): the pool would never end");
    }
    state.for_each_submitted([&](Job& job) { running.push_back(&job); });
  }
  for (Job* job : running) wait(job);
  terminate();
}

}  // namespace procyon::engine
