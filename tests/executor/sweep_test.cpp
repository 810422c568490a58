// A worker killed after its k-th instruction of a task, for k over the whole task: the result is
// right or the crash is told, the next task works, and no block is left.
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include <csignal>
#include <string>
#include <vector>

#include "processes.hpp"
#include "sanitized.hpp"

using procyon::Pool;
using procyon::WorkerCrashed;
using std::chrono::steady_clock;

namespace {

constexpr std::size_t points = 251;                // of each sweep; a prime
constexpr std::chrono::seconds longest_sweep{15};  // a slow machine looks at fewer points
constexpr std::size_t most_steps = 2000000;

/// A worker that is stopped, and goes on one instruction at a time.
class Stepped {
 public:
  explicit Stepped(pid_t pid) : pid_(pid) {
    // Asleep, so that each point counts from the same place.
    processes::eventually([pid] { return processes::status_of(std::to_string(pid)).state == 'S'; });
    attached_ = ptrace(PTRACE_ATTACH, pid, nullptr, nullptr) == 0;
    if (attached_) waitpid(pid, nullptr, __WALL);
  }
  ~Stepped() { kill(); }
  Stepped(const Stepped&) = delete;
  Stepped& operator=(const Stepped&) = delete;

  bool attached() const { return attached_; }

  /// False: it sleeps in the kernel, or has ended.
  bool step() const {
    if (ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) return false;
    const auto end = steady_clock::now() + std::chrono::milliseconds(500);
    int status = 0;
    pid_t changed = 0;
    while ((changed = waitpid(pid_, &status, __WALL | WNOHANG)) == 0) {
      if (steady_clock::now() > end) return false;
    }
    return changed == pid_ && WIFSTOPPED(status);
  }

  void kill() {
    if (!attached_) return;
    attached_ = false;
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, __WALL) == pid_ && !WIFSIGNALED(status)) {
    }
  }

 private:
  pid_t pid_;
  bool attached_;
};

/// Steps from the task's submission until the worker sleeps again.
template <class Submit>
std::size_t count_steps(Pool& pool, Submit submit) {
  const pid_t worker = pool.apply(&getpid);
  const Stepped stepped(worker);
  if (!stepped.attached()) return 0;
  const auto result = submit();
  std::size_t steps = 0;
  while (steps < most_steps && stepped.step()) ++steps;
  return steps;
}

/// Kills a worker at points spread over its task. `check` throws WorkerCrashed or says whether the
/// result is right.
template <class Submit, class Check>
void sweep(Submit submit, Check check) {
  if (is_sanitized) {
    WARN("skipped: instrumented code takes too many steps");
    return;
  }
  Pool pool(1);
  const std::size_t steps = count_steps(pool, [&] { return submit(pool); });
  if (steps == 0) {
    WARN("skipped: this process may not trace its descendants");
    return;
  }
  CHECK(pool.apply([] { return 7; }) == 7);
  const std::size_t before = procyon::shared_heap().used();
  const auto end = steady_clock::now() + longest_sweep;
  std::size_t crashed = 0;
  std::size_t right = 0;
  // Not in order: however few they are, they lie all over the task.
  constexpr std::size_t leap = 155;
  for (std::size_t i = 0; i < points && steady_clock::now() < end; ++i) {
    const std::size_t k = i * leap % points * steps / (points - 1);
    INFO("killed after instruction " << k << " of " << steps);
    {
      Stepped stepped(pool.apply(&getpid));
      const auto result = submit(pool);
      for (std::size_t step = 0; step < k && stepped.step(); ++step) {
      }
      stepped.kill();
      REQUIRE(result.wait_for(std::chrono::seconds(20)));
      try {
        const bool is_right = check(result);
        REQUIRE(is_right);
        ++right;
      } catch (const WorkerCrashed& error) {
        REQUIRE(error.signal() == SIGKILL);
        ++crashed;
      }
    }
    const auto next = pool.apply_async([] { return std::string(300, 'n'); });
    REQUIRE(next.wait_for(std::chrono::seconds(20)));
    REQUIRE(next.get() == std::string(300, 'n'));
  }
  CHECK(right > 0);
  CHECK(crashed > 0);
  CHECK(procyon::shared_heap().used() <= before + 4096);
}

}  // namespace

TEST_CASE("a worker killed at any instruction of an apply loses that task at most", "[process]") {
  sweep([](Pool& pool) { return pool.apply_async([](int x) { return 3 * x; }, 5); },
        [](const auto& result) { return result.get() == 15; });
}

TEST_CASE("a worker killed at any instruction of a map of strings loses one item at most",
          "[process]") {
  sweep(
      [](Pool& pool) {
        return pool.map_async([](int x) { return std::string(200, static_cast<char>('a' + x)); },
                              std::vector{0, 1, 2});
      },
      [](const auto& result) {
        const std::vector<std::string> all = result.get();
        return all ==
               std::vector{std::string(200, 'a'), std::string(200, 'b'), std::string(200, 'c')};
      });
}

TEST_CASE("a worker killed at any instruction of a task that throws leaves no block", "[process]") {
  sweep(
      [](Pool& pool) {
        return pool.map_async(
            [](int x) {
              if (x > 0) throw std::runtime_error(std::string(300, 't'));
              return x;
            },
            std::vector{0, 1, 2}, {.chunk_size = 1});
      },
      [](const auto& result) {
        try {
          result.get();
          return false;
        } catch (const std::out_of_range&) {
          return false;
        } catch (const WorkerCrashed&) {
          throw;
        } catch (const std::runtime_error& error) {
          return error.what() == std::string(300, 't') && procyon::where(error)->item() == 1;
        }
      });
}
