// What surrounds a Process: signals, descriptors, output, and the deaths of its relatives.
#include <fcntl.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "program.hpp"

using processes::count;
using processes::Program;
using processes::Streams;
using processes::Variable;
using procyon::Array;
using procyon::Process;
using procyon::ProcessOptions;
using procyon::StartMethod;
using namespace std::chrono_literals;

namespace {

#define EACH_METHOD GENERATE(StartMethod::fork, StartMethod::forkserver, StartMethod::spawn)

const char* name_of(StartMethod method) {
  return method == StartMethod::fork         ? "fork"
         : method == StartMethod::forkserver ? "forkserver"
                                             : "spawn";
}

template <class F, class... Args>
int run(StartMethod method, F f, Args... args) {
  Process process(ProcessOptions{.start_method = method}, std::move(f), std::move(args)...);
  process.start();
  process.join();
  return process.exit_code().value();
}

/// A signal's disposition for a scope.
class Disposition {
 public:
  Disposition(int signal, void (*handler)(int))
      : signal_(signal), before_(std::signal(signal, handler)) {}
  ~Disposition() { std::signal(signal_, before_); }
  Disposition(const Disposition&) = delete;
  Disposition& operator=(const Disposition&) = delete;

 private:
  int signal_;
  void (*before_)(int);
};

bool is_ignored(int signal) {
  struct sigaction action = {};
  sigaction(signal, nullptr, &action);
  return action.sa_handler == SIG_IGN;
}

bool is_default(int signal) {
  struct sigaction action = {};
  sigaction(signal, nullptr, &action);
  return action.sa_handler == SIG_DFL;
}

}  // namespace

TEST_CASE("a Process ignores what its parent ignores, and has no handlers", "[process]") {
  const StartMethod method = EACH_METHOD;
  const Disposition ignored(SIGUSR2, SIG_IGN);
  const Disposition handled(SIGTERM, [](int) {});
  const auto look = [] {
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, nullptr, &blocked);
    return (is_ignored(SIGUSR2) ? 1 : 0) + (is_default(SIGTERM) ? 2 : 0) +
           (is_default(SIGINT) ? 4 : 0) + (is_default(SIGPIPE) ? 8 : 0) +
           (sigismember(&blocked, SIGTERM) == 0 ? 16 : 0);
  };
  CHECK(run(method, look) == 31);
}

TEST_CASE("a Process begins where its parent is, with its environment if started afresh",
          "[process]") {
  const StartMethod method = EACH_METHOD;
  const auto before = std::filesystem::current_path();
  const auto place = std::filesystem::canonical(std::filesystem::temp_directory_path());
  std::filesystem::current_path(place);
  const Variable variable("PROCYON_TEST_VALUE", "it is here");
  const auto look = [](const std::string& expected) {
    const char* value = std::getenv("PROCYON_TEST_VALUE");
    return (std::filesystem::current_path() == expected ? 1 : 0) +
           (value != nullptr && std::string_view(value) == "it is here" ? 2 : 0);
  };
  const int seen = run(method, look, place.string());
  std::filesystem::current_path(before);
  CHECK(seen == (method == StartMethod::forkserver ? 1 : 3));
}

TEST_CASE("a Process that is not forked has only the descriptors that it needs", "[process]") {
  const StartMethod method = GENERATE(StartMethod::forkserver, StartMethod::spawn);
  std::vector<int> open_here;
  for (int i = 0; i < 50; ++i) open_here.push_back(open(".", O_RDONLY));  // not closed on exec
  // The standard ones, the heap, the guardian's bell, and what lists them.
  const auto look = [] { return static_cast<int>(processes::count_descriptors()); };
  CHECK(run(method, look) == 6);
  for (const int each : open_here) close(each);
}

TEST_CASE("Processes in Processes, and a Pool in one, two deep", "[process]") {
  const StartMethod method = EACH_METHOD;
  const Array<int> seen(3);
  const auto inner = [seen](int x) {
    procyon::Pool pool(2);
    seen[2] = pool.apply([x] { return x + 1; });
    return 3;
  };
  const auto outer = [seen, inner, method](int x) {
    seen[0] = x;
    seen[1] = run(method, inner, x + 1);
    return 4;
  };
  CHECK(run(method, outer, 10) == 4);
  CHECK(seen[0] == 10);
  CHECK(seen[1] == 3);
  CHECK(seen[2] == 12);
}

TEST_CASE("a Process in a task of a pool ends with its worker", "[process]") {
  const StartMethod method = EACH_METHOD;
  const Array<int> pid(1);
  procyon::Pool pool(1);
  const auto start = [pid, method] {
    Process process(ProcessOptions{.start_method = method}, [] {
      for (;;) pause();
    });
    process.start();
    pid[0] = process.pid();
    raise(SIGKILL);
  };
  CHECK_THROWS_AS(pool.apply(start), procyon::WorkerCrashed);
  CHECK(processes::eventually([pid] { return !processes::is_running(pid[0]); }));
  CHECK(pool.apply([method] { return run(method, [] { return 6; }); }) == 6);
}

TEST_CASE("with a Process that is killed its descendants end", "[process]") {
  const StartMethod method = EACH_METHOD;
  const Array<int> owner(2);
  int* const pids = owner.data();  // no handle: what is killed never gives back its own
  const auto run_for_ever = [] {
    for (;;) pause();
  };
  Process process(ProcessOptions{.start_method = method}, [pids, run_for_ever, method] {
    Process inner(ProcessOptions{.start_method = method}, [pids, run_for_ever, method] {
      Process innermost(ProcessOptions{.start_method = method}, run_for_ever);
      innermost.start();
      pids[1] = innermost.pid();
      innermost.join();
    });
    inner.start();
    pids[0] = inner.pid();
    inner.join();
  });
  process.start();
  REQUIRE(processes::eventually([pids] { return pids[1] != 0; }));
  process.kill();
  process.join();
  CHECK(process.exit_code() == -SIGKILL);
  CHECK(processes::eventually([pids] { return !processes::is_running(pids[0]); }));
  CHECK(processes::eventually([pids] { return !processes::is_running(pids[1]); }));
}

TEST_CASE("the loss of the guardian costs no Process its end", "[process]") {
  const StartMethod method = EACH_METHOD;
  const Array<int> end(1);
  Process process(ProcessOptions{.start_method = method}, [end] {
    while (end[0] == 0) std::this_thread::sleep_for(1ms);
    return 3;
  });
  process.start();
  ::kill(processes::guardian(), SIGKILL);
  end[0] = 1;
  process.join();
  CHECK(process.exit_code() == 3);
  CHECK(run(method, [] { return 4; }) == 4);
}

TEST_CASE("an exit code is known where somebody else has reaped the process", "[process]") {
  Process process(ProcessOptions{.start_method = StartMethod::fork}, [] { return 21; });
  process.start();
  int status = 0;
  REQUIRE(waitpid(process.pid(), &status, 0) == process.pid());
  process.join();
  CHECK(process.exit_code() == 21);
  const Disposition ignored(SIGCHLD, SIG_IGN);
  CHECK(run(StartMethod::fork, [] { return 22; }) == 22);
}

TEST_CASE("nothing is left of a program that is killed while its Processes run", "[process]") {
  const StartMethod method = EACH_METHOD;
  const Variable variable("PROCYON_START_METHOD", name_of(method));
  const bool loses_guardian = GENERATE(false, true);
  Program program(PROCYON_PROCESS_PROGRAM, "family");
  REQUIRE(program.read_until("ready") == "ready\n");
  std::vector<pid_t> parents = processes::children(program.pid(), "procyon-server");
  parents.push_back(program.pid());
  const auto kill_guardian = [&parents] {
    bool found = false;
    for (const pid_t parent : parents) {
      for (const pid_t guardian : processes::children(parent, "procyon-guard")) {
        found = ::kill(guardian, SIGKILL) == 0;
      }
    }
    return found;
  };
  if (loses_guardian) REQUIRE(processes::eventually(kill_guardian));
  ::kill(program.pid(), SIGKILL);
  const int status = program.wait_for_all();
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGKILL);
}

TEST_CASE("what escapes from a Process is told as std::terminate would", "[process]") {
  const StartMethod method = EACH_METHOD;
  const Variable variable("PROCYON_START_METHOD", name_of(method));
  Program program(PROCYON_PROCESS_PROGRAM, "raise", Streams::output_and_errors);
  CHECK(program.read_all() ==
        "Process P0: terminate called after throwing an instance of 'std::runtime_error'\n"
        "  what():  what it says\n"
        "Process P1: terminate called after throwing an instance of 'int'\n"
        "Process P2: terminate called after throwing an instance of 'std::out_of_range'\n"
        "  what():  far\n"
        "codes 111\n");
  CHECK(program.wait_for_all() == 0);
}

TEST_CASE("exit() in a Process and beside one runs each handler where it was registered",
          "[process]") {
  const StartMethod method = EACH_METHOD;
  const Variable variable("PROCYON_START_METHOD", name_of(method));
  Program program(PROCYON_PROCESS_PROGRAM, "leave");
  CHECK(program.read_all() ==
        "<child's handler>\n<printed><streamed>code 7\n<joined>\n<joined>\n<program's handler>\n"
        "<static destructor>\n");
  const int status = program.wait_for_all();
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 4);
}

TEST_CASE("what a Process and its parent print appears once", "[process]") {
  const StartMethod method = EACH_METHOD;
  const Variable variable("PROCYON_START_METHOD", name_of(method));
  Program program(PROCYON_PROCESS_PROGRAM, "print");
  const std::string text = program.read_all();
  INFO(text);
  CHECK(program.wait_for_all() == 0);
  for (const char* part :
       {"<before>", "<before, by cout>", "<beside>", "<no stdin>", "<in it, by cout>"}) {
    CHECK(count(text, part) == 1);
  }
}

TEST_CASE("a Process goes on when its fork server dies; its signal is unknown then", "[process]") {
  const Variable variable("PROCYON_START_METHOD", "forkserver");
  Program program(PROCYON_PROCESS_PROGRAM, "server");
  CHECK(program.read_all() == "6 255 5\n");
  CHECK(program.wait_for_all() == 0);
}
