#include <procyon/base/errors.hpp>
#include <procyon/engine/callbacks.hpp>

#include "engine/callback_thread.hpp"
#include "process/process.hpp"
#include "sync/futex.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace procyon::engine {
namespace {

// Longer ones overflow the clock.
constexpr std::chrono::nanoseconds longest_wait = std::chrono::hours(24);

struct Waiting {
  Place place;
  std::shared_ptr<const void> owner;
  std::shared_ptr<Callbacks> callbacks;
  std::function<void()> call;
};

}  // namespace

class CallbackThread {
 public:
  void add(Waiting waiting);
  void join_if_idle();
  bool is_this_thread();
  std::size_t count();

  const unsigned generation = process::fork_generation();

 private:
  void start();
  void run();
  bool take_added(std::vector<Waiting>& waiting);
  static void run_finished(std::vector<Waiting>& waiting);
  static void run_one(Waiting waiting);

  std::mutex mutex_;  // guards everything but the bell
  std::vector<Waiting> added_;
  bool running_ = false;
  std::thread thread_;
  sync::FutexWord bell_{0};
};

void CallbackThread::add(Waiting waiting) {
  const std::scoped_lock lock(mutex_);
  const std::shared_ptr<Callbacks> callbacks = waiting.callbacks;
  added_.push_back(std::move(waiting));
  if (!running_) start();
  callbacks->add_one();
  bell_.fetch_add(1, std::memory_order_seq_cst);
  sync::futex_wake(bell_, 1);
}

void CallbackThread::start() {
  if (thread_.joinable()) thread_.join();  // it has let go of the mutex for good
  try {
    thread_ = std::thread([this] { run(); });
    running_ = true;
  } catch (const std::system_error& error) {
    added_.pop_back();
    throw StartError("thread", error.code().value(), "no thread for callbacks");
  }
}

void CallbackThread::run() {
  std::vector<Waiting> waiting;
  for (;;) {
    const std::uint32_t heard = bell_.load(std::memory_order_seq_cst);
    if (!take_added(waiting)) return;
    run_finished(waiting);
    if (waiting.empty()) continue;
    std::vector<Place> places;
    for (const Waiting& each : waiting) places.push_back(each.place);
    Engine::wait_any(places, std::chrono::hours(1), &bell_, heard);
  }
}

// False: nothing is left to wait for, and the thread ends.
bool CallbackThread::take_added(std::vector<Waiting>& waiting) {
  const std::scoped_lock lock(mutex_);
  std::ranges::move(added_, std::back_inserter(waiting));
  added_.clear();
  running_ = !waiting.empty();
  return running_;
}

void CallbackThread::run_finished(std::vector<Waiting>& waiting) {
  const auto finished = std::stable_partition(
      waiting.begin(), waiting.end(),
      [](const Waiting& each) { return !each.place.engine->ready(each.place.job); });
  std::vector<Waiting> due(std::make_move_iterator(finished),
                           std::make_move_iterator(waiting.end()));
  waiting.erase(finished, waiting.end());
  for (Waiting& each : due) run_one(std::move(each));
}

void CallbackThread::run_one(Waiting waiting) {
  std::exception_ptr error;
  try {
    waiting.call();
  } catch (...) {
    error = std::current_exception();
  }
  // Whoever waits for the callback may then end the pool, and find nothing of it left.
  waiting.call = nullptr;
  waiting.owner.reset();
  waiting.callbacks->end_one(std::move(error));
}

void CallbackThread::join_if_idle() {
  const std::scoped_lock lock(mutex_);
  if (!running_ && thread_.joinable()) thread_.join();
}

bool CallbackThread::is_this_thread() {
  const std::scoped_lock lock(mutex_);
  return thread_.get_id() == std::this_thread::get_id();
}

std::size_t CallbackThread::count() {
  const std::scoped_lock lock(mutex_);
  if (!running_ && thread_.joinable()) thread_.join();
  return running_ ? 1 : 0;
}

namespace {

std::atomic<CallbackThread*> current{nullptr};

// What a fork has copied belongs to the parent's thread, and its mutex may have been held: a child
// makes its own. It is never destroyed, since callbacks may outlast every static object.
CallbackThread& callback_thread() {
  CallbackThread* found = current.load(std::memory_order_acquire);
  while (found == nullptr || found->generation != process::fork_generation()) {
    auto fresh = std::make_unique<CallbackThread>();
    if (current.compare_exchange_strong(found, fresh.get(), std::memory_order_acq_rel)) {
      return *fresh.release();
    }
  }
  return *found;
}

CallbackThread* existing_thread() noexcept {
  CallbackThread* found = current.load(std::memory_order_acquire);
  const bool ours = found != nullptr && found->generation == process::fork_generation();
  return ours ? found : nullptr;
}

// Nobody else joins a thread that has ended.
const struct AtExit {
  ~AtExit() {
    if (CallbackThread* thread = existing_thread()) thread->join_if_idle();
  }
} at_exit;

}  // namespace

std::size_t callback_threads() {
  CallbackThread* thread = existing_thread();
  return thread == nullptr ? 0 : thread->count();
}

void call_when_finished(Place place, std::shared_ptr<const void> owner,
                        std::shared_ptr<Callbacks> callbacks, std::function<void()> call) {
  callback_thread().add({place, std::move(owner), std::move(callbacks), std::move(call)});
}

void Callbacks::add_one() {
  const std::scoped_lock lock(mutex_);
  ++outstanding_;
}

void Callbacks::end_one(std::exception_ptr error) {
  const std::scoped_lock lock(mutex_);
  if (error_ == nullptr) error_ = std::move(error);
  --outstanding_;
  changed_.notify_all();
}

// In a forked child there is no such thread, and the mutex may be held for ever.
bool Callbacks::wait_for(std::chrono::nanoseconds limit) {
  CallbackThread* const thread = existing_thread();
  if (thread == nullptr || thread->is_this_thread()) return true;
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::min(limit, longest_wait),
                           [this] { return outstanding_ == 0; });
}

void Callbacks::check() {
  if (existing_thread() == nullptr) return;
  const std::scoped_lock lock(mutex_);
  if (error_ != nullptr) std::rethrow_exception(error_);
}

}  // namespace procyon::engine
