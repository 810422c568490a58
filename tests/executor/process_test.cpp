// A Process, by every start method: its end, its arguments, its relatives.
#include <poll.h>
#include <sys/resource.h>

#include <array>
#include <csignal>
#include <functional>
#include <map>
#include <stdexcept>
#include <utility>

#include "processes.hpp"

using Catch::Matchers::Contains;
using procyon::active_children;
using procyon::Array;
using procyon::current_process;
using procyon::NotShareable;
using procyon::parent_process;
using procyon::Process;
using procyon::ProcessHandle;
using procyon::ProcessOptions;
using procyon::StartError;
using procyon::StartMethod;
using namespace std::chrono_literals;

namespace {

#define EACH_METHOD GENERATE(StartMethod::fork, StartMethod::forkserver, StartMethod::spawn)

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t many = 20;  // instrumented, a start afresh takes long
#else
constexpr std::size_t many = 100;
#endif

/// The exit code of f, in a process of its own.
template <class F, class... Args>
int run(StartMethod method, F&& f, Args&&... args) {
  Process process(ProcessOptions{.start_method = method}, std::forward<F>(f),
                  std::forward<Args>(args)...);
  process.start();
  process.join();
  return process.exit_code().value();
}

void run_for_ever() {
  for (;;) pause();
}

/// One that runs until it is made to end.
Process endless(StartMethod method, bool daemon = false) {
  Process process(ProcessOptions{.daemon = daemon, .start_method = method}, &run_for_ever);
  process.start();
  return process;
}

/// Whether poll() finds the descriptor readable now.
bool is_readable(int descriptor) {
  pollfd event{descriptor, POLLIN, 0};
  return poll(&event, 1, 0) == 1;
}

struct Adder {
  int base;
  int add(int x) const { return base + x; }
};

int add(int a, int b) { return a + b; }

/// A type that cereal is told of.
struct Named {
  std::string name;
  std::map<std::string, int> numbers;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, numbers);
  }
};

}  // namespace

TEST_CASE("a Process's exit code is what f returns, or exit() is given", "[process]") {
  const StartMethod method = EACH_METHOD;
  CHECK(run(method, [] {}) == 0);
  CHECK(run(method, [] { return 7; }) == 7);
  CHECK(run(method, [] { return static_cast<unsigned short>(9); }) == 9);
  CHECK(run(method, [] { return std::string("dropped"); }) == 0);
  CHECK(run(method, [] { return 256 + 3; }) == 3);
  CHECK(run(method, [] { std::exit(5); }) == 5);
  CHECK(run(method, [] { std::_Exit(6); }) == 6);
  CHECK(run(method, [] { std::abort(); }) == -SIGABRT);
  CHECK(run(method, [] { throw std::runtime_error("expected by the test"); }) == 1);
}

TEST_CASE("each of many Processes that are terminated at once has the exact code", "[process]") {
  const StartMethod method = EACH_METHOD;
  std::vector<Process> all;
  for (std::size_t i = 0; i < many; ++i) {
    all.push_back(endless(method));
    all.back().terminate();
  }
  for (const Process& each : all) {
    each.join();
    CHECK(each.exit_code() == -SIGTERM);
  }
  CHECK(active_children().empty());
}

TEST_CASE("a Process that runs, is killed, and has ended", "[process]") {
  const StartMethod method = EACH_METHOD;
  Process process(ProcessOptions{.name = "one", .start_method = method}, &run_for_ever);
  CHECK(process.name() == "one");
  CHECK(process.pid() == 0);
  CHECK(!process.is_alive());
  CHECK(!process.exit_code());
  process.start();
  const pid_t pid = process.pid();
  CHECK(processes::is_running(pid));
  CHECK(process.is_alive());
  CHECK(!process.exit_code());
  CHECK(!process.join(0ns));
  CHECK(!process.join(-1s));
  CHECK(!process.join(20ms));
  CHECK(!is_readable(process.sentinel()));
  process.kill();
  process.join();
  CHECK(is_readable(process.sentinel()));
  CHECK(process.join(0ns));
  CHECK(process.exit_code() == -SIGKILL);
  CHECK(!process.is_alive());
  CHECK(process.pid() == pid);
  CHECK(processes::status_of(std::to_string(pid)).state == 'X');
  process.terminate();
  process.kill();
  process.join();
}

TEST_CASE("the sentinel tells of an end that nobody waits for", "[process]") {
  const StartMethod method = EACH_METHOD;
  const std::array processes{endless(method), endless(method)};
  ::kill(processes[1].pid(), SIGUSR1);
  std::array<pollfd, 2> events{
      {{processes[0].sentinel(), POLLIN, 0}, {processes[1].sentinel(), POLLIN, 0}}};
  REQUIRE(poll(events.data(), events.size(), 20000) == 1);
  CHECK(events[1].revents != 0);
  CHECK(processes[1].exit_code() == -SIGUSR1);
  processes[0].kill();
}

TEST_CASE("active_children() lists those that run, and can end them", "[process]") {
  const StartMethod method = EACH_METHOD;
  CHECK(active_children().empty());
  const Process first = endless(method);
  Process second = endless(method, true);
  const Process third(ProcessOptions{.start_method = method}, [] {});  // not started
  std::vector<ProcessHandle> children = active_children();
  REQUIRE(children.size() == 2);
  CHECK(children[0].name() == first.name());
  CHECK(children[0].pid() == first.pid());
  CHECK(!children[0].daemon());
  CHECK(children[1].daemon());
  children[0].terminate();
  children[0].join();
  CHECK(first.exit_code() == -SIGTERM);
  CHECK(active_children().size() == 1);
  const ProcessHandle kept = second;
  second = Process(ProcessOptions{.start_method = method}, [] {});
  CHECK(kept.exit_code() == -SIGTERM);
  CHECK(active_children().empty());
}

TEST_CASE("a Process that is destroyed is joined, a daemonic one terminated", "[process]") {
  const StartMethod method = EACH_METHOD;
  const Array<int> end(2);
  {
    Process process(ProcessOptions{.start_method = method}, [end] {
      while (end[0] == 0) std::this_thread::sleep_for(1ms);
      end[1] = 5;
    });
    process.start();
    end[0] = 1;
  }
  CHECK(end[1] == 5);
  const ProcessHandle daemon = endless(method, true);
  CHECK(daemon.exit_code() == -SIGTERM);
}

TEST_CASE("a daemonic Process that ignores SIGTERM is killed", "[process]") {
  const Array<int> ready(1);
  Process process(ProcessOptions{.daemon = true, .start_method = StartMethod::fork}, [ready] {
    std::signal(SIGTERM, SIG_IGN);
    ready[0] = 1;
    run_for_ever();
  });
  process.start();
  REQUIRE(processes::eventually([ready] { return ready[0] == 1; }));
  const ProcessHandle handle = process;
  { const Process ended = std::move(process); }
  CHECK(handle.exit_code() == -SIGKILL);
}

TEST_CASE("join() with a limit says whether it has ended", "[process]") {
  const StartMethod method = EACH_METHOD;
  const Array<int> end(1);
  Process process(ProcessOptions{.start_method = method}, [end] {
    while (end[0] == 0) std::this_thread::sleep_for(1ms);
    return 3;
  });
  process.start();
  CHECK(!process.join(50ms));
  end[0] = 1;
  CHECK(process.join(std::chrono::hours{24 * 365 * 200}));
  CHECK(process.exit_code() == 3);
}

TEST_CASE("processes know their names and their parents", "[process]") {
  const StartMethod method = EACH_METHOD;
  CHECK(current_process().name() == "MainProcess");
  CHECK(current_process().pid() == getpid());
  CHECK(!parent_process());
  const std::string name = Process([] {}).name();
  REQUIRE(name.starts_with("Process-"));
  const std::string next = "Process-" + std::to_string(std::stoi(name.substr(8)) + 1);
  const auto inner = [](const std::string& outer, pid_t parent) {
    const auto self = current_process();
    const auto above = parent_process();
    const bool right = self.name() == outer + ":2" && self.pid() == getpid() && !self.daemon() &&
                       above && above->name() == outer && above->pid() == parent && above->daemon();
    return right ? 0 : 1;
  };
  const auto outer = [inner, method](const std::string& expected, pid_t program) {
    const auto self = current_process();
    if (self.name() != expected || parent_process()->pid() != program) return 2;
    if (parent_process()->name() != "MainProcess" || !active_children().empty()) return 3;
    if (Process([] {}).name() != expected + ":1") return 4;
    return run(method, inner, expected, getpid());
  };
  Process process(ProcessOptions{.daemon = true, .start_method = method}, outer, next, getpid());
  CHECK(process.name() == next);
  process.start();
  process.join();
  CHECK(process.exit_code() == 0);
}

TEST_CASE("a worker of a pool knows its name and its program", "[process]") {
  procyon::Pool pool(1);
  CHECK(pool.apply([] { return current_process().name(); }) == "PoolWorker-1");
  CHECK(pool.apply([] { return parent_process()->pid(); }) == getpid());
  CHECK(pool.apply([] {
    return run(StartMethod::fork,
               [] { return parent_process()->name() == "PoolWorker-1" ? 8 : 9; });
  }) == 8);
}

TEST_CASE("f and its arguments may be what tasks and theirs may be", "[process]") {
  const StartMethod method = EACH_METHOD;
  CHECK(run(method, &add, 40, 2) == 42);
  CHECK(run(method, &Adder::add, Adder{3}, 4) == 7);
  const auto measure = [](const std::string& text, std::vector<std::string> parts, Named named) {
    return static_cast<int>(text.size() + parts.size()) + named.numbers.at(named.name);
  };
  CHECK(run(method, measure, std::string(100, 'x'), std::vector<std::string>{"a", "b"},
            Named{"n", {{"n", 20}}}) == 122);
  CHECK(run(
            method, [count = 1](int x) mutable { return x + ++count; }, 5) == 7);
  const Array<int> values(std::vector{1, 2, 3});
  const auto sum = [values](Array<int> more) {
    values[2] = 30;
    more[0] = 9;
    return values[0] + values[1] + values[2];
  };
  const Array<int> more(1);
  CHECK(run(method, sum, more) == 33);
  CHECK(values[2] == 30);
  CHECK(more[0] == 9);
}

TEST_CASE("by fork f may be any callable", "[process]") {
  int here = 1;
  CHECK(run(StartMethod::fork, [&here] { return here += 2; }) == 3);
  CHECK(here == 1);
  CHECK(run(
            StartMethod::fork, [](int& x) { return x; }, std::ref(here)) == 1);
  const auto take = [](std::unique_ptr<int> p) { return *p; };
  CHECK(run(StartMethod::fork, take, std::make_unique<int>(4)) == 4);
  CHECK(run(StartMethod::fork, [p = std::make_unique<int>(5)]() mutable { return ++*p; }) == 6);
  const std::string text(100, 'x');
  CHECK(run(StartMethod::fork, [text] { return static_cast<int>(text.size()); }) == 100);
}

TEST_CASE("what a process that is not forked cannot have is refused by start()", "[process]") {
  const StartMethod method = GENERATE(StartMethod::forkserver, StartMethod::spawn);
  int here = 1;
  const auto refused = [method](auto f, auto... args) {
    Process process(ProcessOptions{.start_method = method}, std::move(f), std::move(args)...);
    CHECK_THROWS_AS(process.start(), NotShareable);
    std::string text;
    try {
      process.start();  // it has kept everything
    } catch (const NotShareable& error) {
      text = error.what();
    }
    CHECK(!process.is_alive());
    CHECK_THROWS_AS(process.join(), std::logic_error);
    return text;
  };
  CHECK_THAT(refused([&here] { here = 2; }), Contains("by reference") && Contains("by value"));
  CHECK_THAT(refused([p = &here] { *p = 2; }), Contains("offset 0") && Contains("stack"));
  const auto own = std::make_shared<int>(3);
  CHECK_THAT(refused([own] { return *own; }), Contains("heap"));
  CHECK_THAT(refused([p = std::make_unique<int>(3)] { return *p; }), Contains("heap"));
  CHECK_THAT(refused([](int* p) { *p = 1; }, &here), Contains("an argument"));
  CHECK_THAT(refused([](const std::unique_ptr<int>&) {}, std::make_unique<int>(1)),
             Contains("serialise") && Contains("StartMethod::fork"));
  CHECK(procyon::shared_heap().used() == 0);
}

TEST_CASE("wrong use is told with its cure", "[process]") {
  Process process(ProcessOptions{.name = "P"}, [] { return 1; });
  CHECK_THROWS_AS(process.join(), std::logic_error);
  CHECK_THROWS_WITH(process.join(), Contains("join() of P before start()"));
  CHECK_THROWS_WITH(process.join(1s), Contains("call start() first"));
  CHECK_THROWS_WITH(process.terminate(), Contains("terminate() of P before start()"));
  CHECK_THROWS_WITH(process.kill(), Contains("kill() of P before start()"));
  CHECK_THROWS_WITH(process.sentinel(), Contains("sentinel() of P before start()"));
  process.start();
  CHECK_THROWS_WITH(process.start(), Contains("start() of P") && Contains("make another"));
  process.join();
  CHECK_THROWS_AS(process.start(), std::logic_error);
  const int code = processes::in_child([&process] {
    for (const auto& use : std::vector<std::function<void()>>{
             [&] { process.join(); }, [&] { process.start(); }, [&] { process.is_alive(); }}) {
      try {
        use();
        return 1;
      } catch (const std::logic_error& error) {
        if (std::string(error.what()).find("did not make it") == std::string::npos) return 2;
      }
    }
    return process.name() == "P" ? 7 : 3;
  });
  CHECK(code == 7);
  const Process other = std::move(process);
  CHECK_THROWS_WITH(process.join(), Contains("moved from"));  // NOLINT(bugprone-use-after-move)
  CHECK(other.exit_code() == 1);
}

TEST_CASE("fork beside another thread is refused, other ways are not", "[process]") {
  std::atomic_flag over;
  std::thread thread([&over] { over.wait(false); });
  Process forked(ProcessOptions{.start_method = StartMethod::fork}, [] {});
  CHECK_THROWS_AS(forked.start(), StartError);
  CHECK_THROWS_WITH(forked.start(), Contains("start the Process before threads are started"));
  CHECK(run(StartMethod::forkserver, [] { return 2; }) == 2);
  CHECK(run(StartMethod::spawn, [] { return 3; }) == 3);
  CHECK(run(StartMethod::automatic, [] { return 4; }) == 4);
  over.test_and_set();
  over.notify_all();
  thread.join();
  forked.start();
  forked.join();
  CHECK(forked.exit_code() == 0);
}

TEST_CASE("a ThreadPool's threads may start Processes, which outlive them", "[process]") {
  const StartMethod method = EACH_METHOD;
  const Array<int> end(1);
  std::vector<Process> started;
  {
    procyon::ThreadPool threads(2);
    threads.for_index(4, [&](std::size_t i) {
      Process process(ProcessOptions{.start_method = method}, [end, i] {
        while (end[0] == 0) std::this_thread::sleep_for(1ms);
        return static_cast<int>(i);
      });
      process.start();
      static std::mutex mutex;
      const std::scoped_lock lock(mutex);
      started.push_back(std::move(process));
    });
  }
  end[0] = 1;
  int sum = 0;
  for (const Process& each : started) {
    each.join();
    sum += each.exit_code().value();
  }
  CHECK(sum == 6);
}
