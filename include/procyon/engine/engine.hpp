// The engine: untyped jobs on workers that are processes, threads, or the caller itself.
#pragma once

#include <procyon/engine/job.hpp>
#include <procyon/engine/start_method.hpp>

#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace procyon {

/// One worker of a pool.
struct WorkerInfo {
  pid_t pid = 0;  ///< of the process in this place now; 0 where workers are threads
  bool is_busy = false;
  std::uint64_t tasks = 0;     ///< done in this place
  std::uint64_t restarts = 0;  ///< processes that were in this place before
};

/// All workers of a pool together.
struct PoolStats {
  std::size_t workers = 0;
  std::size_t busy = 0;        ///< of them
  std::uint64_t tasks = 0;     ///< done
  std::uint64_t restarts = 0;  ///< worker processes that were replaced
};

namespace engine {

enum class Domain { processes, threads, caller };

struct Settings {
  std::size_t workers = 0;       ///< 0: cpu_count(); in a worker, its share of them
  std::size_t blas_threads = 1;  ///< per worker; 0: left alone
  bool pin_cpus = false;
  StartMethod start_method = StartMethod::automatic;
  std::size_t max_tasks_per_child = 0;       ///< of a process; 0: any number
  std::chrono::nanoseconds task_timeout{0};  ///< of jobs that have no limit of their own; 0: none
  const char* environment = nullptr;         ///< of workers started afresh: "NAME=value", 0, ...
  std::size_t environment_bytes = 0;
};

/// Hears how many items of a job are done.
class ProgressListener {
 public:
  virtual void show(std::uint64_t done, std::uint64_t items) noexcept = 0;

 protected:
  ~ProgressListener() = default;
};

struct JobSpec {
  CodeToken code = 0;
  std::uint64_t items = 0;
  std::uint64_t chunk = 0;    ///< items that travel together; 0: chosen
  bool may_rerun = false;     ///< running an item twice gives the same result
  bool keep_going = false;    ///< an item that fails keeps no other from being run
  bool whole_chunks = false;  ///< a chunk is run by one worker from its beginning to its end
  std::chrono::nanoseconds time_limit{0};  ///< of each item; 0: the pool's
  /// Told after each chunk where the caller runs the job itself. May be null.
  ProgressListener* listener = nullptr;
  std::array<CodeToken, 2> functions = {};  ///< that the payload names; 0: none
};

class Engine;

/// A submitted job, and the engine that runs it.
struct Place {
  Engine* engine;
  Job* job;
};

/// One pool. All members may be called by any thread of the process that made it; a copy of it in
/// a forked child does nothing.
class Engine {
 public:
  /// Throws std::invalid_argument (number of workers), StartError, SharedMemoryError.
  Engine(Domain domain, const Settings& settings);
  /// As `terminate`; not to be called in a task of this pool.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Whether workers see only shared memory.
  bool isolated() const noexcept;
  /// Whether the workers are images of this process: addresses of code and constants mean the same.
  bool workers_are_images() const noexcept;
  std::size_t size() const noexcept;
  /// Shown in traces.
  void set_name(std::string name);
  std::vector<WorkerInfo> workers() const;

  /// Begins the pool's life. `initializer`: a prepared job that every worker runs before anything
  /// else, or null; its failure breaks the pool, and is what every task fails with. Call it once,
  /// before `submit`. Throws StartError; where the caller is the worker, the initializer's failure.
  void start(Job* initializer, const JobSpec& spec, void (*destroy)(Engine&, void* payload));

  /// A job with room for `bytes` of payload. Throws PoolClosed, SharedMemoryError.
  Job* prepare(std::size_t bytes);
  static void* payload(Job* job) noexcept;
  static std::uint64_t items(const Job* job) noexcept;
  /// Items in chunks that are done, or a few less.
  std::uint64_t items_done(const Job* job) const noexcept;
  /// Throws what `prepare` would throw now: PoolClosed, Error in a forked child.
  void require_open() const;
  /// Not in a copy that was forked with the process.
  bool in_this_process() const noexcept;
  /// Publishes the job; a job of no items is finished at once. May wait for workers to catch up
  /// when very many jobs have not begun. Throws, and leaves the job prepared.
  void submit(Job* job, const JobSpec& spec);
  /// True: every item that had to run has run, and nobody touches the payload any more. What the
  /// workers wrote is visible.
  bool finished(Job* job) noexcept;
  /// As `finished`, for callers that ask again and again instead of waiting: now and then it makes
  /// good the loss of helpers, without which a death would not be noticed.
  bool ready(Job* job) noexcept;
  /// In a task of this pool the thread first runs what nobody has begun of the job itself, which
  /// no limit shortens.
  void wait(Job* job);
  bool wait_for(Job* job, std::chrono::nanoseconds limit);
  /// As `wait_for` until one of the jobs has finished, or until `bell` is not `heard` any more, or
  /// until `limit`; may return early for no reason.
  static void wait_any(std::span<const Place> places, std::chrono::nanoseconds limit,
                       const std::atomic<std::uint32_t>* bell = nullptr, std::uint32_t heard = 0);
  /// Throws the failure of the lowest item that failed; nothing where none did, and for a job that
  /// kept going. Requires: finished.
  void check(const Job* job) const;
  /// Of a job that kept going: the exception of each item that failed, or that did not run (`ran`
  /// is 0 for it); null for the others. Requires: finished, and `ran` has a byte for every item.
  std::vector<std::exception_ptr> errors(const Job* job, const unsigned char* ran) const;

  enum class Running { stopped, left };
  /// Makes a job that has not finished fail with Cancelled: what has not begun never runs, and
  /// what runs in a worker process is `stopped` by killing that, or `left` to end, as in threads
  /// always. It is finished a moment later. Returns false where it had ended or failed before.
  /// Throws SharedMemoryError, and has done nothing.
  bool cancel(Job* job, Running running);
  /// Gives the job back. Requires: it is finished or was not submitted, and its payload is
  /// destroyed.
  void release(Job* job) noexcept;
  /// As `release` for a job that may still run: `destroy` is called with the payload once it is
  /// finished, by some later call to this engine.
  void abandon(Job* job, void (*destroy)(Engine&, void* payload)) noexcept;

  /// Memory that the workers see.
  void* allocate(std::size_t bytes);
  void deallocate(void* block) noexcept;
  /// The exception that is being caught, for a worker that is to throw it: one block of this
  /// memory. Requires: isolated. Throws SharedMemoryError.
  Failure* keep_failure();

  /// No job is accepted any more; those submitted are run.
  void close() noexcept;
  /// Ends the workers; jobs that have not finished fail with PoolClosed. A thread's running item
  /// is waited for. When it returns no worker is left. In a task of this pool, whose worker cannot
  /// wait for itself, it does all but end the workers.
  void terminate() noexcept;
  /// Waits for all jobs, then ends the workers. Throws Error unless closed or terminated, and in a
  /// task of this pool.
  void join();

 private:
  void help(Job* job);
  struct State;
  std::unique_ptr<State> state_;
};

/// Throws what the failure stands for.
[[noreturn]] void throw_failure(const Failure& failure);
/// The same as a pointer.
std::exception_ptr failure_pointer(const Failure& failure) noexcept;

}  // namespace engine
}  // namespace procyon
