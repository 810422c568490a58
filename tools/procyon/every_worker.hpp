// Running something in each worker of a pool of processes.
#pragma once

#include <procyon/executor/pool.hpp>

#include <unistd.h>

#include <chrono>
#include <map>
#include <thread>
#include <tuple>
#include <vector>

namespace procyon::tool {

/// f(), in every worker once or more, by process: items are handed out until each has had one, for
/// which it must not take much longer in one worker than in others. The last result of each.
template <class F>
auto in_every_worker(Pool& pool, const F& f) {
  using R = decltype(f());
  std::map<pid_t, R> results;
  const std::vector<int> turns(2 * pool.size());
  for (int attempt = 0; attempt < 50 && results.size() < pool.size(); ++attempt) {
    const auto one_turn = [f](int) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return std::tuple(::getpid(), f());
    };
    for (const auto& [pid, result] : pool.map(one_turn, turns, MapOptions{.chunk_size = 1})) {
      results.insert_or_assign(pid, result);
    }
  }
  return results;
}

}  // namespace procyon::tool
