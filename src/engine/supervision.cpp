#include "engine/supervision.hpp"

#include <algorithm>

namespace procyon::engine {
namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

// The job that a worker's slot names; null: none, or one that has been released meanwhile.
const Job* named_job(const PoolState& pool, std::uint32_t index) noexcept {
  const std::uint32_t named = pool.slots[index].job.load(std::memory_order_seq_cst);
  if (named == 0) return nullptr;
  const Job& job = pool.job(named - 1);
  return job.generation.load(std::memory_order_seq_cst) % 2 == 1 ? &job : nullptr;
}

bool is_interrupted(const Job& job) noexcept {
  return job.interrupted.load(std::memory_order_acquire) != 0;
}

bool holds_lease(const Job& job, const WorkerSlot& slot, std::uint32_t index) noexcept {
  const std::uint64_t chunk = slot.chunk.load(std::memory_order_acquire);
  if (chunk >= job.chunks) return false;
  const Lease lease = Lease::unpack(job.leases[chunk].load(std::memory_order_acquire));
  return lease.state == Lease::run && lease.owner == index + 1;
}

// What is left of the time of the item that a worker has announced; `never`: there is no limit.
std::int64_t time_left(const Job& job, const WorkerSlot& slot, std::int64_t now) noexcept {
  if (job.time_limit == 0) return never;
  if (slot.item.load(std::memory_order_acquire) == no_item) return never;
  const std::int64_t began = slot.began.load(std::memory_order_relaxed);
  return began == never_overdue ? never : job.time_limit - (now - began);
}

}  // namespace

std::int64_t monotonic_now() noexcept {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds{1};
}

bool may_have_to_end(const PoolState& pool, std::uint32_t index, std::int64_t now) noexcept {
  const Job* job = named_job(pool, index);
  return job != nullptr && (is_interrupted(*job) || time_left(*job, pool.slots[index], now) <= 0);
}

Verdict judge(const PoolState& pool, std::uint32_t index, std::int64_t now) noexcept {
  const Job* job = named_job(pool, index);
  const WorkerSlot& slot = pool.slots[index];
  if (job == nullptr || !holds_lease(*job, slot, index)) return Verdict::goes_on;
  if (is_interrupted(*job)) return Verdict::interrupted;
  return time_left(*job, slot, now) <= 0 ? Verdict::overdue : Verdict::goes_on;
}

std::chrono::milliseconds until_next_deadline(PoolState& pool, std::int64_t now) noexcept {
  std::int64_t next = never;
  // An item that begins after this look has all its time before it.
  for (std::uint32_t index = 0; index < pool.job_count(); ++index) {
    const Job& job = pool.job(index);
    const bool is_running = job.generation.load(std::memory_order_acquire) % 2 == 1 &&
                            (job.state.load(std::memory_order_acquire) & Job::finished) == 0;
    if (is_running && job.time_limit != 0) next = std::min(next, job.time_limit);
  }
  if (next == never) return std::chrono::milliseconds{-1};
  for (std::uint32_t index = 0; index < pool.workers; ++index) {
    const Job* job = named_job(pool, index);
    if (job != nullptr) next = std::min(next, time_left(*job, pool.slots[index], now));
  }
  const auto left = std::chrono::nanoseconds{std::max<std::int64_t>(next, 0)};
  return std::min<std::chrono::milliseconds>(
      std::chrono::duration_cast<std::chrono::milliseconds>(left) + std::chrono::milliseconds{1},
      std::chrono::hours{1});
}

}  // namespace procyon::engine
