// Contract: the tasks of a pool are recorded while a Trace lives.
#pragma once

#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "support.hpp"

namespace contract {

using nlohmann::json;

/// The file that a trace of `body` writes, read again.
template <class Body>
json traced(Body body) {
  const auto path = std::filesystem::temp_directory_path() / "trace.json";
  {
    const procyon::Trace trace(path);
    body();
  }
  json written;
  std::ifstream(path) >> written;
  std::filesystem::remove(path);
  return written;
}

inline std::vector<json> tasks_of(const json& trace, const std::string& pool = {}) {
  std::vector<json> tasks;
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] != "M" && (pool.empty() || event["cat"] == pool)) tasks.push_back(event);
  }
  return tasks;
}

inline std::uint64_t count_items(const std::vector<json>& tasks) {
  return std::accumulate(tasks.begin(), tasks.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const json& task) {
                           return sum + task["args"]["items"].template get<std::uint64_t>();
                         });
}

/// The rows that have a name, and those that have tasks.
inline std::set<std::pair<int, int>> rows_of(const json& trace, const char* phase) {
  std::set<std::pair<int, int>> rows;
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] == phase) rows.emplace(event["pid"], event["tid"]);
  }
  return rows;
}

}  // namespace contract

TEMPLATE_TEST_CASE("a trace holds every task, with its worker and its time", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  using namespace std::chrono;
  auto pool = contract::make_pool<TestType>(2);
  const auto work = [](int i) {
    const auto begin = steady_clock::now();
    const auto end = begin + microseconds(200 + 100 * (i % 3));
    while (steady_clock::now() < end) {
    }
    const auto taken = duration<double, std::micro>(steady_clock::now() - begin).count();
    return std::pair(getpid(), taken);
  };
  std::vector<std::pair<pid_t, double>> results;
  const auto begin = steady_clock::now();
  const contract::json trace =
      contract::traced([&] { results = pool.map(work, contract::count_from(0, 40)); });
  const double wall = duration<double, std::micro>(steady_clock::now() - begin).count();
  const auto tasks = contract::tasks_of(trace);
  REQUIRE(tasks.size() == 40);
  std::set<int> items;
  double inside = 0;
  double recorded = 0;
  for (const contract::json& task : tasks) {
    const int item = task["args"]["item"];
    const auto& [pid, taken] = results[static_cast<std::size_t>(item)];
    items.insert(item);
    CHECK(task["pid"] == pid);
    CHECK(task["ph"] == "X");
    CHECK(task["args"]["attempt"] == 1);
    CHECK(task["ts"].get<double>() >= 0);
    CHECK(task["dur"].get<double>() >= taken - 0.01);
    inside += taken;
    recorded += task["dur"].get<double>();
  }
  CHECK(items.size() == 40);
  CHECK(recorded >= inside - 1);
  CHECK(recorded <= wall * static_cast<double>(pool.size()));
  CHECK(contract::rows_of(trace, "M") == contract::rows_of(trace, "X"));
  CHECK(contract::rows_of(trace, "X").size() <= pool.size());
  CHECK(trace["otherData"]["dropped"] == 0);
}

TEMPLATE_TEST_CASE("the tasks of one row of a trace do not overlap", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(3);
  const contract::json trace = contract::traced([&] {
    for (int round = 0; round < 20; ++round) {
      pool.map([](int x) { return x + 1; }, contract::count_from(0, 100));
      pool.apply([] { return 1; });
    }
  });
  std::map<std::pair<int, int>, std::vector<std::pair<double, double>>> rows;
  const auto tasks = contract::tasks_of(trace);
  CHECK(contract::count_items(tasks) == 20 * 101);
  for (const contract::json& task : tasks) {
    const double begin = task["ts"];
    rows[{task["pid"], task["tid"]}].emplace_back(begin, begin + task["dur"].get<double>());
  }
  for (auto& [row, spans] : rows) {
    std::ranges::sort(spans);
    for (std::size_t i = 1; i < spans.size(); ++i) {
      CHECK(spans[i - 1].second <= spans[i].first + 0.0011);  // printed in thousandths
    }
  }
}

TEMPLATE_TEST_CASE("cheap items are all recorded, alone or in batches", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(2);
  constexpr std::size_t count = 30000;  // one worker's ring holds them, should it run all
  const auto xs = contract::count_from(0, count);
  const contract::json trace =
      contract::traced([&] { pool.map([](int x) { return x; }, xs, {.chunk_size = 3000}); });
  const auto tasks = contract::tasks_of(trace);
  CHECK(contract::count_items(tasks) == count);
}

TEMPLATE_TEST_CASE("what does not fit into a trace is counted", CONTRACT_TAGS, CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(2);
  constexpr std::size_t count = 70000;
  const contract::json trace =
      contract::traced([&] { pool.for_index(count, [](std::size_t) {}, {.chunk_size = 1}); });
  const std::uint64_t dropped = trace["otherData"]["dropped"];
  CHECK(dropped > 0);
  CHECK(contract::count_items(contract::tasks_of(trace)) + dropped == count);
}

TEMPLATE_TEST_CASE("a trace tells pools by their names, and holds those that came and went",
                   CONTRACT_TAGS, CONTRACT_POOLS) {
  const contract::json trace = contract::traced([&] {
    const auto run = [](auto&& pool, std::size_t n) { pool.for_index(n, [](std::size_t) {}); };
    run(TestType(procyon::PoolOptions{.processes = 1, .name = "first \"one\""}), 3);
    run(TestType(procyon::PoolOptions{.processes = 1}), 4);
  });
  CHECK(contract::count_items(contract::tasks_of(trace, "first \"one\"")) == 3);
  CHECK(contract::count_items(contract::tasks_of(trace, "pool 1")) == 4);
  std::set<std::string> names;
  for (const contract::json& event : trace["traceEvents"]) {
    if (event["name"] == "thread_name") names.insert(event["args"]["name"]);
  }
  CHECK(names.contains("first \"one\" worker 0"));
}

TEMPLATE_TEST_CASE("one trace after the other records its own tasks only", CONTRACT_TAGS,
                   CONTRACT_POOLS) {
  auto pool = contract::make_pool<TestType>(2);
  for (std::size_t n = 1; n < 20; ++n) {
    pool.for_index(5, [](std::size_t) {});
    const contract::json trace = contract::traced([&] { pool.for_index(n, [](std::size_t) {}); });
    CHECK(contract::count_items(contract::tasks_of(trace)) == n);
  }
  const contract::json nothing = contract::traced([] {});
  CHECK(contract::tasks_of(nothing).empty());
}
