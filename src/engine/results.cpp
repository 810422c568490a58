// Waiting for one of several jobs, and the failures of jobs that keep going.
#include <procyon/base/errors.hpp>
#include <procyon/engine/engine.hpp>

#include "engine/domain.hpp"
#include "sync/futex.hpp"

#include <algorithm>
#include <vector>

namespace procyon::engine {

void Engine::wait_any(std::span<const Place> places, std::chrono::nanoseconds limit,
                      const std::atomic<std::uint32_t>* bell, std::uint32_t heard) {
  std::vector<sync::FutexWait> words;
  words.reserve(places.size() + 1);
  if (bell != nullptr) words.push_back({bell, heard});
  for (const Place& place : places) {
    if (place.engine->finished(place.job)) return;
    place.engine->help(place.job);
    const auto word = place.job->state.fetch_or(Job::has_waiters, std::memory_order_seq_cst);
    if (place.engine->finished(place.job)) return;
    words.push_back({&place.job->state, word | Job::has_waiters});
  }
  sync::futex_wait_any(words, std::min<std::chrono::nanoseconds>(limit, look_after_every));
  for (const Place& place : places) {
    if (place.engine->ready(place.job)) return;
  }
}

std::uint64_t Engine::items(const Job* job) noexcept { return job->items; }

std::uint64_t Engine::items_done(const Job* job) const noexcept {
  const std::uint64_t chunks = job->done.load(std::memory_order_relaxed);
  return std::min(chunks * job->chunk, job->items);
}

std::vector<std::exception_ptr> Engine::errors(const Job* job, const unsigned char* ran) const {
  std::vector<std::exception_ptr> errors(job->items);
  std::exception_ptr ended;
  // The latest comes first, and the first that an item had counts.
  for (const Failure* failure = job->failure.load(std::memory_order_acquire); failure != nullptr;
       failure = failure->next) {
    (failure->ends_job() ? ended : errors[failure->item]) = failure_pointer(*failure);
  }
  if (ended == nullptr && std::find(ran, ran + job->items, 0) != ran + job->items) {
    ended = std::make_exception_ptr(
        SharedMemoryError("a task failed, and there was no memory left to say how"));
  }
  for (std::uint64_t i = 0; i < job->items; ++i) {
    if (errors[i] == nullptr && ran[i] == 0) errors[i] = ended;
  }
  return errors;
}

std::exception_ptr failure_pointer(const Failure& failure) noexcept {
  try {
    throw_failure(failure);
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace procyon::engine
