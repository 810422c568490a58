// What workers record of the tasks they run, while a Trace lives.
//
// A pool has a log while it is recorded: a ring of events for each worker, in memory that the
// workers see. Only the worker writes to its ring, and only the submitter's process reads: it may
// do so at any time, also of a ring whose worker was killed anywhere. A log is freed when no worker
// can still hold its address, at the latest with the pool.
#pragma once

#include "engine/layout.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace procyon::engine {

/// One task, or a batch of cheap ones.
struct TraceEvent {
  std::atomic<std::int64_t> begin;  ///< ns of std::chrono::steady_clock; 0: not written yet
  std::atomic<std::int64_t> end;    ///< 0: it runs, or its worker died in it
  std::uint64_t item;
  std::atomic<std::uint64_t> items;
  std::uint32_t attempt;
  TraceThread thread;
};

/// A worker's events, in the order they began. Those that did not fit are only counted. Threads
/// that call one SerialPool share its ring.
struct TraceRing {
  std::atomic<std::uint64_t> count;  // events that are there or being written, or had no room
  std::uint64_t capacity;
  TraceEvent* events;

  /// An event that begins; null where there is no room for it.
  TraceEvent* begin(std::int64_t now, std::uint64_t item, std::uint32_t attempt,
                    TraceThread thread) noexcept;
};

struct TraceLog {
  std::uint32_t workers;
  TraceRing* rings;  // [workers]
};

/// A finished event as it is shown.
struct RecordedTask {
  std::int64_t begin, end;
  std::uint64_t item, items;
  std::uint32_t attempt, worker;
  std::int32_t pid, thread;
};
struct RecordedPool {
  std::string name;
  bool shared;  ///< its workers are processes
  std::vector<RecordedTask> tasks;
  std::uint64_t dropped = 0;
};

/// A pool's part in traces, kept by its submitter.
class PoolRecord {
 public:
  PoolRecord() = default;
  PoolRecord(const PoolRecord&) = delete;
  PoolRecord& operator=(const PoolRecord&) = delete;
  ~PoolRecord() { remove(); }

  /// From here on the pool is part of every trace. Throws SharedMemoryError.
  void add(PoolState& pool, bool has_slots);
  /// Gives what was recorded to the trace that lives. Requires: no worker runs any more.
  void remove() noexcept;
  void set_name(std::string name);

 private:
  friend class TraceRegistry;
  void begin();
  void collect(std::vector<RecordedPool>& out);
  void retire() noexcept;

  PoolState* pool_ = nullptr;
  bool has_slots_ = false;  // workers tell by their slot whether they run a job
  unsigned generation_ = 0;
  std::string name_;
  std::vector<TraceLog*> retired_;
};

/// Begins to record every pool of this process. Throws Error where a trace is being recorded
/// already, SharedMemoryError.
void begin_trace();
/// Ends it, and returns what was recorded since.
std::vector<RecordedPool> end_trace();

}  // namespace procyon::engine
