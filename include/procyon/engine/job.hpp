// What a job is to the engine: bytes, a constant record of functions, and a range of items.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace procyon::engine {

class Cursor;
class Worker;
struct Job;
struct TraceEvent;
struct TraceRing;
struct TraceThread {
  std::int32_t pid;
  std::int32_t thread;
};

constexpr std::size_t max_workers = 1000;  ///< of a pool
/// A job has fewer items.
constexpr std::uint64_t max_items = std::uint64_t{1} << 40;

/// The constant record that stands for a job's code. It lies in the module that made the job, and
/// processes name it by module and offset: no address read from shared memory is ever called.
struct JobType {
  static constexpr std::uint64_t valid = 0x50524f43594f4e31;
  std::uint64_t magic;
  /// Runs the items of `cursor` in order, in place, and hands it their exceptions.
  void (*run)(void* payload, Cursor& cursor);
};

/// Where a job's code is: its module's number in the upper 16 bits, the offset of its JobType
/// from the module's ELF header in the lower 48.
using CodeToken = std::uint64_t;

/// The token of a record in the module whose ELF header lies at `module_base`.
CodeToken register_code(const void* module_base, const JobType* type);

/// The token of a function: its module, and its offset in that. Throws NotShareable: null, or made
/// while the program runs, so that it is in no module; Error: too many modules.
CodeToken register_function(std::uintptr_t address);

/// A failure as it travels. An encoded exception follows the header, or in pools of this process
/// an `std::exception_ptr`.
struct Failure {
  /// `closed` and those after it are failures of all items of a job that have not ended.
  enum class Kind : std::uint32_t {
    encoded,
    original,
    crashed,
    timed_out,
    closed,
    broken,
    cancelled
  };
  Failure* next;  ///< one that was recorded before
  std::uint64_t item;
  std::int32_t pid;
  std::uint32_t attempt;
  Kind kind;
  std::int32_t status;  ///< as waitpid gives it; of `crashed`
  std::uint64_t size;   ///< bytes that follow
  std::int64_t limit;   ///< nanoseconds; of `timed_out`
  const unsigned char* bytes() const noexcept {
    return reinterpret_cast<const unsigned char*>(this + 1);
  }
  unsigned char* bytes() noexcept { return reinterpret_cast<unsigned char*>(this + 1); }
  bool ends_job() const noexcept { return kind >= Kind::closed; }
};

/// Handed to JobType::run: which items to run, and where to report. Belongs to one worker.
///
/// Items are announced before they run, one at a time, so that a death is charged to the guilty
/// one. Items that prove cheap are announced in batches where the job allows it; when a worker
/// dies in a batch, another runs it again one by one.
class Cursor {
 public:
  std::uint64_t begin() const noexcept { return begin_; }
  std::uint64_t end() const noexcept { return end_; }

  /// Announces items [item, returned); returns `item` itself when no more of them are needed.
  std::uint64_t announce(std::uint64_t item) noexcept {
    if (stop_->load(std::memory_order_relaxed) <= item) return item;
    if (item >= decide_at_ && !decide(item)) return item;
    // Release: whatever the items before this one wrote is there when this word is.
    announced_->store(item | (batch_ > 1 ? batch_flag : 0), std::memory_order_release);
    return item + batch_ < end_ ? item + batch_ : end_;
  }

  /// Hands over the exception in flight as the failure of `item`. Call inside a catch block.
  void fail(std::uint64_t item) noexcept;
  /// Whether the items after one that failed are to be run.
  bool keeps_going() const noexcept { return keep_going_; }

  /// Memory for a result. Belongs to this worker, and goes when it dies, until `keep`.
  /// Throws SharedMemoryError.
  void* allocate(std::size_t bytes);
  /// Stores a block of `allocate` at `*home`, a word of the job's: now it belongs to the job.
  /// A block that an earlier attempt left there is freed.
  void keep(void* block, void** home) noexcept;

  /// The address of a function, here. Throws NotShareable.
  std::uintptr_t find_function(CodeToken code) const;

  static constexpr std::uint64_t batch_flag = std::uint64_t{1} << 63;

 private:
  friend class Worker;
  bool decide(std::uint64_t item) noexcept;
  void end_item(std::uint64_t next, std::int64_t now) noexcept;
  void fail_late(std::uint64_t item) noexcept;
  void report(Failure* failure, std::uint64_t item) noexcept;
  void choose(std::uint64_t item) noexcept;
  void record(TraceRing& ring) noexcept;
  void finish() noexcept;

  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t batch_ = 1;
  std::uint64_t decide_at_ = 0;  // where to look closer; 0: at every item
  std::uint64_t choose_at_ = 0;
  std::int64_t started_ = 0;
  std::atomic<std::uint64_t>* announced_ = nullptr;
  const std::atomic<std::uint64_t>* stop_ = nullptr;
  Worker* worker_ = nullptr;
  Job* job_ = nullptr;
  TraceRing* ring_ = nullptr;
  TraceEvent* event_ = nullptr;  // of the items that were announced last
  TraceThread thread_ = {};
  std::int64_t limit_ = 0;  // nanoseconds that an item may take; 0: any
  std::int64_t began_ = 0;  // when `timed_item_` was announced; 0: nobody cares any more
  std::uint64_t timed_item_ = 0;
  std::uint32_t attempt_ = 0;
  bool keep_going_ = false;
};

}  // namespace procyon::engine
