// Child processes as their parent sees them.
#include "engine/domain.hpp"
#include "engine/process_main.hpp"
#include "engine/process_start.hpp"
#include "process/process.hpp"

#include <fmt/format.h>

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <new>
#include <stdexcept>

namespace procyon {
namespace engine {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

// A daemonic process that is sent SIGTERM has so long.
constexpr std::chrono::seconds patience_with_daemons{5};

/// What this process has started. Its copy in a forked child is emptied, whoever held the lock.
struct Children {
  std::mutex mutex;
  std::vector<std::shared_ptr<Child>> running;
  unsigned next_number = 1;
  bool ends_at_exit = false;
};

Children& children() {
  alignas(Children) static unsigned char storage[sizeof(Children)];
  static Children* const place = [] {
    pthread_atfork(nullptr, nullptr, [] { forget_children(); });
    return ::new (storage) Children;
  }();
  return *place;
}

std::string next_number() {
  Children& mine = children();
  const std::scoped_lock lock(mine.mutex);
  return std::to_string(mine.next_number++);
}

std::string next_identity() {
  const std::string own = own_identity();
  return own.empty() ? next_number() : own + ":" + next_number();
}

void forget(const Child& child) noexcept {
  Children& mine = children();
  const std::scoped_lock lock(mine.mutex);
  std::erase_if(mine.running, [&child](const auto& each) { return each.get() == &child; });
}

int to_poll_ms(nanoseconds limit) noexcept {
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(limit).count());
}

}  // namespace

struct Child::State {
  enum class Phase { fresh, running, ended };

  std::string identity;
  std::string name;
  bool daemon;
  StartMethod method;
  std::unique_ptr<ProcessCall> call;
  unsigned generation = process::fork_generation();

  std::mutex mutex;  // guards everything below
  Phase phase = Phase::fresh;
  RunningProcess process;
  pid_t pid = 0;
  int code = 0;

  void require_here(const char* what) const {
    if (generation == process::fork_generation()) return;
    throw std::logic_error(fmt::format(
        "{} of {} in a process that did not make it: only the process that made a Process may "
        "start it, wait for it and look at it",
        what, name));
  }
  void require_started(const char* what) const {
    if (phase != Phase::fresh) return;
    throw std::logic_error(fmt::format(
        "{} of {} before start(): there is no process yet; call start() first", what, name));
  }
  /// Whether it runs no more. Requires: the mutex is held.
  bool notice_end() noexcept;
};

bool Child::State::notice_end() noexcept {
  if (phase != Phase::running) return phase == Phase::ended;
  if (!process.process().has_ended()) return false;
  code = process.collect(*call);
  phase = Phase::ended;
  return true;
}

Child::Child(std::string name, bool daemon, StartMethod method, std::unique_ptr<ProcessCall> call)
    : state_(std::make_unique<State>()) {
  state_->identity = next_identity();
  state_->name = name.empty() ? "Process-" + state_->identity : std::move(name);
  state_->daemon = daemon;
  state_->method = method;
  state_->call = std::move(call);
}

// The copy in a forked child: its parent's to clean up.
Child::~Child() {
  if (state_->generation != process::fork_generation()) static_cast<void>(state_.release());
}

void Child::start(const std::shared_ptr<Child>& child) {
  State& state = *child->state_;
  state.require_here("start()");
  const std::scoped_lock lock(state.mutex);
  if (state.phase != State::Phase::fresh) {
    throw std::logic_error(fmt::format(
        "start() of {}, which was started before: a Process runs once; make another", state.name));
  }
  Children& mine = children();
  {
    const std::scoped_lock adding(mine.mutex);
    if (!std::exchange(mine.ends_at_exit, true)) std::atexit([] { end_children(); });
    mine.running.push_back(child);
  }
  try {
    state.process =
        RunningProcess({state.name, state.identity, state.daemon, state.method, *state.call});
  } catch (...) {
    forget(*child);
    throw;
  }
  state.pid = state.process.process().pid();
  state.phase = State::Phase::running;
}

bool Child::join(nanoseconds limit) {
  State& state = *state_;
  state.require_here("join()");
  const auto begin = steady_clock::now();
  for (;;) {
    {
      const std::scoped_lock lock(state.mutex);
      state.require_started("join()");
      if (state.notice_end()) {
        state.process.settle();
        return true;
      }
      state.process.look_after();
    }
    const nanoseconds left = limit - (steady_clock::now() - begin);
    if (left <= nanoseconds{0}) return false;
    pollfd event{state.process.process().pidfd(), POLLIN, 0};
    poll(&event, 1, to_poll_ms(std::min<nanoseconds>(left, look_after_every)));
  }
}

bool Child::is_alive() const {
  state_->require_here("is_alive()");
  const std::scoped_lock lock(state_->mutex);
  return state_->phase == State::Phase::running && !state_->notice_end();
}

std::optional<int> Child::exit_code() const {
  state_->require_here("exit_code()");
  const std::scoped_lock lock(state_->mutex);
  if (!state_->notice_end()) return {};
  return state_->code;
}

pid_t Child::pid() const {
  state_->require_here("pid()");
  const std::scoped_lock lock(state_->mutex);
  return state_->pid;
}

int Child::sentinel() const {
  state_->require_here("sentinel()");
  const std::scoped_lock lock(state_->mutex);
  state_->require_started("sentinel()");
  return state_->process.process().pidfd();
}

void Child::send_signal(int signal, const char* what) {
  state_->require_here(what);
  const std::scoped_lock lock(state_->mutex);
  state_->require_started(what);
  if (!state_->notice_end()) state_->process.process().send_signal(signal);
}

const std::string& Child::name() const noexcept { return state_->name; }
bool Child::daemon() const noexcept { return state_->daemon; }

void Child::ask_to_end() noexcept {
  const std::scoped_lock lock(state_->mutex);
  if (state_->phase == State::Phase::running && !state_->notice_end()) {
    state_->process.process().send_signal(SIGTERM);
  }
}

void Child::end() noexcept {
  State& state = *state_;
  if (state.generation != process::fork_generation()) return;
  {
    const std::scoped_lock lock(state.mutex);
    if (state.phase == State::Phase::fresh) return;
    if (state.daemon && !state.notice_end()) state.process.process().send_signal(SIGTERM);
  }
  if (state.daemon && !join(patience_with_daemons)) send_signal(SIGKILL, "kill()");
  while (!join(std::chrono::hours{1})) {
  }
  forget(*this);
}

std::vector<std::shared_ptr<Child>> running_children() {
  Children& mine = children();
  std::vector<std::shared_ptr<Child>> all;
  {
    const std::scoped_lock lock(mine.mutex);
    all = mine.running;
  }
  // Without the lock: one that is being started is looked at when it has been.
  for (const std::shared_ptr<Child>& child : all) {
    if (child->exit_code()) forget(*child);
  }
  std::erase_if(all, [](const auto& child) { return !child->is_alive(); });
  return all;
}

void end_children() noexcept {
  std::vector<std::shared_ptr<Child>> left;
  {
    Children& mine = children();
    const std::scoped_lock lock(mine.mutex);
    left = std::exchange(mine.running, {});
  }
  for (const std::shared_ptr<Child>& child : left) {
    if (child->daemon()) child->ask_to_end();
  }
  for (const std::shared_ptr<Child>& child : left) child->end();
}

void forget_children() noexcept { ::new (&children()) Children; }

}  // namespace engine

engine::Child& ProcessHandle::child() const {
  if (child_) return *child_;
  throw std::logic_error("a Process that was moved from is none any more");
}

void ProcessHandle::terminate() const { child().send_signal(SIGTERM, "terminate()"); }
void ProcessHandle::kill() const { child().send_signal(SIGKILL, "kill()"); }

std::vector<ProcessHandle> active_children() {
  std::vector<ProcessHandle> all;
  for (std::shared_ptr<engine::Child>& child : engine::running_children()) {
    all.emplace_back(std::move(child));
  }
  return all;
}

}  // namespace procyon
