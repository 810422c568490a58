// Workers as threads of this process, and the caller as its own worker.
#include "engine/callback_thread.hpp"
#include "engine/domain.hpp"
#include "engine/worker.hpp"
#include "sync/futex.hpp"

#include <procyon/base/errors.hpp>

#include "blas/worker.hpp"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

namespace procyon::engine {
namespace {

std::atomic<std::size_t> running_threads{0};

class ThreadDomain final : public WorkerDomain {
 public:
  explicit ThreadDomain(const Settings& settings) : settings_(settings) {
    // A forked child has none of them, whatever it has of the pools.
    [[maybe_unused]] static const int registered =
        pthread_atfork(nullptr, nullptr, [] { running_threads.store(0); });
  }

  void start(PoolState& pool) override {
    threads_.reserve(pool.workers);
    at_work_.store(pool.workers);
    try {
      for (std::uint32_t i = 0; i < pool.workers; ++i) {
        threads_.emplace_back([this, &pool, i] { run(pool, i); });
        ++running_threads;
      }
    } catch (const std::system_error& error) {
      const std::size_t started = threads_.size();
      stop(pool);
      throw StartError("thread", error.code().value(),
                       "only " + std::to_string(started) + " of " + std::to_string(pool.workers) +
                           " threads could be started");
    } catch (...) {
      stop(pool);
      throw;
    }
  }

  void stop(PoolState& pool) noexcept override {
    pool.status.store(PoolState::stopping, std::memory_order_seq_cst);
    wake_workers(pool, max_workers);
    for (std::thread& thread : threads_) thread.join();
    running_threads -= threads_.size();
    threads_.clear();
  }

 private:
  void run(PoolState& pool, std::uint32_t index) {
    if (settings_.pin_cpus) pin_to_cpu(index);
    if (settings_.blas_threads != 0) blas::limit_this_thread(settings_.blas_threads);
    Worker worker(pool, index);
    if (worker.initialise()) {
      worker.run();
    } else {
      pool.loss.store(PoolState::initializer_failed);
      pool.status.store(PoolState::stopping);
      wake_workers(pool, sync::all_waiters);
    }
    // When no worker is left, unfinished jobs are lost.
    const bool is_last = at_work_.fetch_sub(1) == 1;
    if (is_last && pool.loss.load() == PoolState::initializer_failed) {
      pool.status.store(PoolState::broken);
    }
  }

  Settings settings_;
  std::vector<std::thread> threads_;
  std::atomic<std::uint32_t> at_work_{0};
};

class CallerDomain final : public WorkerDomain {
 public:
  void start(PoolState& pool) override {
    if (Worker(pool, 0).initialise()) return;
    const Failure* failure = pool.initializer->failure.load();
    if (failure != nullptr) throw_failure(*failure);
    throw SharedMemoryError("the initializer failed, and there was no memory left to say how");
  }
  void stop(PoolState&) noexcept override {}
  bool runs_in_caller() const noexcept override { return true; }
};

}  // namespace

std::unique_ptr<WorkerDomain> make_thread_domain(const Settings& settings) {
  return std::make_unique<ThreadDomain>(settings);
}

std::unique_ptr<WorkerDomain> make_caller_domain(const Settings&) {
  return std::make_unique<CallerDomain>();
}

std::size_t library_threads() noexcept { return running_threads.load() + callback_threads(); }

void pin_to_cpu(std::uint32_t index) noexcept {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  const auto count = static_cast<std::uint32_t>(CPU_COUNT(&allowed));
  std::uint32_t left = index % count;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || left-- != 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

}  // namespace procyon::engine
