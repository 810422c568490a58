// What a Trace does beside recording, and what a death leaves of it.
#include <csignal>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "processes.hpp"

using nlohmann::json;
using procyon::Pool;
using procyon::Trace;

namespace {

std::filesystem::path trace_path() { return std::filesystem::temp_directory_path() / "trace.json"; }

json read_trace() {
  json written;
  std::ifstream(trace_path()) >> written;
  std::filesystem::remove(trace_path());
  return written;
}

}  // namespace

TEST_CASE("a trace that cannot be written is refused at once") {
  CHECK_THROWS_AS(Trace("/nowhere/at/all/run.json"), std::system_error);
  procyon::SerialPool pool;
  CHECK(pool.apply([] { return 1; }) == 1);
}

TEST_CASE("a second trace is refused while the first lives, and keeps nothing") {
  {
    const Trace first(trace_path());
    const auto second = std::filesystem::temp_directory_path() / "second.json";
    CHECK_THROWS_AS(Trace(second), procyon::Error);
    CHECK_FALSE(std::filesystem::exists(second));
    CHECK_FALSE(std::filesystem::exists(trace_path()));
  }
  CHECK(read_trace()["traceEvents"].empty());
}

TEST_CASE("a worker that dies leaves the events of its tasks", "[process]") {
  {
    const Trace trace(trace_path());
    Pool pool(1);
    pool.for_index(10, [](std::size_t) {});
    CHECK_THROWS_AS(pool.apply([] { std::raise(SIGKILL); }), procyon::WorkerCrashed);
    pool.for_index(10, [](std::size_t) {});
  }
  const json trace = read_trace();
  std::map<std::string, int> phases;
  std::set<int> workers;
  for (const json& event : trace["traceEvents"]) {
    ++phases[event["ph"]];
    if (event["ph"] == "X") workers.insert(event["pid"].get<int>());
  }
  CHECK(phases["X"] == 20);
  CHECK(phases["B"] == 1);
  CHECK(workers.size() == 2);
}

TEST_CASE("a fork beside a trace leaves its file alone", "[process]") {
  {
    const Trace trace(trace_path());
    procyon::SerialPool pool;
    pool.for_index(3, [](std::size_t) {});
    const int code = processes::in_child([&] {
      procyon::SerialPool own;
      own.for_index(5, [](std::size_t) {});
      return 7;
    });
    CHECK(code == 7);
  }
  const json trace = read_trace();
  CHECK(std::ranges::count_if(trace["traceEvents"], [](const json& e) { return e["ph"] == "X"; }) ==
        3);
}

TEST_CASE("pools of many threads are recorded into one trace", "[process]") {
  {
    const Trace trace(trace_path());
    procyon::SerialPool serial;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        procyon::ThreadPool own(2);
        own.for_index(100, [](std::size_t) {});
        serial.for_index(100, [](std::size_t) {});
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const json trace = read_trace();
  CHECK(std::ranges::count_if(trace["traceEvents"], [](const json& e) { return e["ph"] == "X"; }) ==
        800);
}
