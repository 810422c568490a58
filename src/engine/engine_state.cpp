#include "engine/engine_state.hpp"

#include "engine/code.hpp"
#include "engine/exceptions.hpp"
#include "engine/worker.hpp"
#include "shm/members.hpp"

#include <procyon/base/cpus.hpp>
#include <procyon/base/errors.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>
#include <utility>

namespace procyon::engine {
namespace {

constexpr std::chrono::microseconds ring_full_nap{100};
constexpr std::uint64_t chunks_per_worker = 64;

// Blocks of a pool are written to before the ring is, so that a death finds them whole.
template <class T>
T* construct_blocks(bool shared, std::size_t count) {
  static_assert(alignof(T) <= block_align);
  auto* first = static_cast<T*>(allocate_block(shared, count * sizeof(T)));
  std::uninitialized_value_construct_n(first, count);
  return first;
}

}  // namespace

Engine::State::State(Domain where, const Settings& settings, std::uint32_t workers)
    : domain(make_domain(where, settings)),
      shared(where == Domain::processes),
      task_timeout(settings.task_timeout) {
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

void Engine::State::publish_module(CodeToken code) {
  std::atomic<const Module*>& place = pool->modules[module_of(code)];
  if (place.load(std::memory_order_relaxed) != nullptr) return;
  place.store(make_module(code, shared), std::memory_order_release);
}

void Engine::State::publish_modules(const JobSpec& spec) {
  publish_module(spec.code);
  for (const CodeToken function : spec.functions) {
    if (function != 0) publish_module(function);
  }
}

}  // namespace procyon::engine
