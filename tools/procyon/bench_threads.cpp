#include "procyon/bench_threads.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "procyon/every_worker.hpp"

namespace procyon::tool {

namespace {

// Nanoseconds on a processor of each task of this process; -1 where the kernel does not tell.
std::map<long, long long> task_times() {
  std::map<long, long long> times;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", error)) {
    const std::string name = entry.path().filename().string();
    long id = 0;
    std::from_chars(name.data(), name.data() + name.size(), id);
    long long nanoseconds = -1;
    std::ifstream(entry.path() / "schedstat") >> nanoseconds;
    times[id] = nanoseconds;
  }
  return times;
}

ThreadCount difference(const std::map<long, long long>& before,
                       const std::map<long, long long>& after, const std::set<long>& own) {
  constexpr long long noticeable = 200'000;  // more than waking up and going to sleep again
  ThreadCount count{.tasks = after.size()};
  for (const auto& [id, time] : after) {
    const auto known = before.find(id);
    const long long start = known == before.end() ? 0 : known->second;
    if (time >= 0 && time - start <= noticeable) continue;
    ++count.active;
    if (!own.contains(id)) ++count.strangers;
  }
  return count;
}

// Whether any task but the caller's is running or ready to run.
bool others_run() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", error)) {
    if (entry.path().filename() == std::to_string(::gettid())) continue;
    std::string stat;
    std::getline(std::ifstream(entry.path() / "stat"), stat);
    const std::size_t name_end = stat.rfind(')');
    if (name_end != std::string::npos && stat.substr(name_end + 2, 1) == "R") return true;
  }
  return false;
}

// The threads that are not BLAS's: the caller, and in thread modes those of the pool.
std::set<long> own_threads(Mode mode, Pools& pools) {
  std::set<long> own = {::gettid()};
  if (mode != Mode::thread && mode != Mode::oversubscribed) return own;
  for (int attempt = 0; attempt < 50 && own.size() <= pools.threads.size(); ++attempt) {
    const std::vector<std::size_t> turns(4 * pools.threads.size());
    const auto ids = pools.threads.map(
        [](std::size_t) {
          std::this_thread::sleep_for(std::chrono::microseconds(200));
          return static_cast<long>(::gettid());
        },
        turns, MapOptions{.chunk_size = 1});
    own.insert(ids.begin(), ids.end());
  }
  return own;
}

ThreadCheck check_here(Mode mode, Pools& pools, const BenchBatch<double>& batch) {
  const std::set<long> own = own_threads(mode, pools);
  batch.multiply(mode, pools);
  wait_until_idle();
  const auto before = task_times();
  batch.multiply(mode, pools);
  return {.mode = mode, .processes = {difference(before, task_times(), own)}};
}

// Every worker counts itself.
ThreadCheck check_workers(Pools& pools, const BenchBatch<double>& batch) {
  batch.multiply(Mode::process, pools);
  const auto counts = in_every_worker(pools.processes, [batch] {
    const auto before = task_times();
    batch.multiply_first();
    return difference(before, task_times(), {::gettid()});
  });
  ThreadCheck check{.mode = Mode::process};
  for (const auto& [pid, count] : counts) check.processes.push_back(count);
  return check;
}

}  // namespace

void wait_until_idle() {
  using namespace std::chrono_literals;
  const auto limit = std::chrono::steady_clock::now() + 1s;
  while (others_run() && std::chrono::steady_clock::now() < limit) {
    std::this_thread::sleep_for(2ms);
  }
}

bool ThreadCheck::passed() const {
  if (mode == Mode::one_caller || mode == Mode::oversubscribed) return true;
  return !processes.empty() &&
         std::all_of(processes.begin(), processes.end(), [&](const ThreadCount& count) {
           return mode == Mode::process ? count.tasks == 1 : count.strangers == 0;
         });
}

std::vector<ThreadCheck> check_threads(Pools& pools) {
  const BenchBatch<double> batch({.size = 256, .count = 8 * pools.threads.size()}, 1,
                                 pools.threads);
  std::vector<ThreadCheck> checks;
  for (const Mode mode : all_modes) {
    checks.push_back(mode == Mode::process ? check_workers(pools, batch)
                                           : check_here(mode, pools, batch));
  }
  wait_until_idle();
  return checks;
}

}  // namespace procyon::tool
