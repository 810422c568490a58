// What a program with a Pool leaves behind, and what it prints, seen from outside.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>

#include <csignal>
#include <string>

#include "processes.hpp"

namespace {

/// A run of the fixture program. Its orphans become children of this process, so that their end
/// can be waited for.
class Program {
 public:
  explicit Program(const char* mode, const char* input = nullptr) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    output_ = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (input != nullptr) {
      posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input, O_RDONLY, 0);
    }
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    std::string name = PROCYON_POOL_PROGRAM;
    std::string argument = mode;
    char* const arguments[] = {name.data(), argument.data(), nullptr};
    REQUIRE(posix_spawn(&pid_, name.c_str(), &actions, nullptr, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
  }
  ~Program() {
    close(output_);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }

  /// What it has printed when `enough` is in it, or when all its processes have gone.
  const std::string& read_until(const std::string& enough) {
    while (text_.find(enough) == std::string::npos) {
      pollfd event{output_, POLLIN, 0};
      char buffer[4096];
      if (poll(&event, 1, 30000) <= 0) break;
      const ssize_t count = read(output_, buffer, sizeof buffer);
      if (count <= 0) break;
      text_.append(buffer, static_cast<std::size_t>(count));
    }
    return text_;
  }
  const std::string& read_all() { return read_until(std::string(1, '\0')); }

  /// Its status, once it and every process that it has started are gone; -1: some stay.
  int wait_for_all() {
    int own = -1;
    const bool gone = processes::eventually([&own, this] {
      // This process's own fork server stays. Looked at first: who dies after that is reaped below.
      const bool only_server = processes::children(getpid(), {}) == before_;
      int status = 0;
      pid_t pid = 0;
      while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == pid_) own = status;
      }
      return pid < 0 || only_server;
    });
    return gone ? own : -1;
  }

 private:
  std::vector<pid_t> before_ = processes::children(getpid(), {});
  pid_t pid_ = 0;
  int output_ = -1;
  std::string text_;
};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("nothing is left of a program that is killed while its tasks run", "[process]") {
  for (int round = 0; round < 5; ++round) {
    Program program("work");
    REQUIRE(program.read_until("ready") == "ready\n");
    ::kill(program.pid(), SIGKILL);
    const int status = program.wait_for_all();
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGKILL);
  }
}

TEST_CASE("nothing is left of a program that is killed after its guardian", "[process]") {
  Program program("work");
  REQUIRE(program.read_until("ready") == "ready\n");
  for (const pid_t guardian : processes::children(program.pid(), "procyon-guard")) {
    ::kill(guardian, SIGKILL);
  }
  ::kill(program.pid(), SIGKILL);
  CHECK(program.wait_for_all() != -1);
}

TEST_CASE("nothing is left of a program that is interrupted or asked to end", "[process]") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    Program program("work");
    REQUIRE(program.read_until("ready") == "ready\n");
    ::kill(program.pid(), signal);
    const int status = program.wait_for_all();
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == signal);
  }
}

TEST_CASE("nothing is left of a program that ends without ending its pool", "[process]") {
  for (const char* mode : {"leave", "exit"}) {
    INFO(mode);
    Program program(mode);
    CHECK(program.read_until("ready") == "ready\n");
    const int status = program.wait_for_all();
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 4);
  }
}

TEST_CASE("what the program and its tasks print appears once, by every start method", "[process]") {
  for (const char* method : {"fork", "forkserver", "spawn"}) {
    const processes::Variable variable("PROCYON_START_METHOD", method);
    for (int round = 0; round < 5; ++round) {
      Program program("print");
      const std::string text = program.read_all();
      CHECK(program.wait_for_all() == 0);
      INFO(method << ": " << text);
      for (const char* part :
           {"<before the pool>", "<before, by cout>", "<beside the pool>", "<in a task>",
            "<in a task, by cout>", "<after the pool>", "<item 0>", "<item 7>"}) {
        INFO(part);
        CHECK(count(text, part) == 1);
      }
      CHECK(count(text, "<item") == 8);
    }
  }
}

TEST_CASE("a fork server that dies is replaced by one that is started afresh", "[process]") {
  Program program("server");
  CHECK(program.read_all() == "0 7 7\n");
  CHECK(program.wait_for_all() == 0);
}

TEST_CASE("a handle that a static initialiser made in a worker started afresh is refused there",
          "[process]") {
  Program program("static");
  CHECK(program.read_all() == "7 7\n7 7\nrefused 7\n");
  CHECK(program.wait_for_all() == 0);
}

TEST_CASE("a program that makes its Pool before init() is told so, and forks no bomb",
          "[process]") {
  for (const char* mode : {"without", "late"}) {
    Program program(mode);
    const std::string text = program.read_all();
    INFO(text);
    CHECK(program.wait_for_all() == 0);
    CHECK(count(text, "procyon::init(argc, argv);") == 1);
    CHECK(count(text, "first statement of main") == 1);
  }
}

TEST_CASE("a worker multiplies with one thread when the program does with several", "[process]") {
  Program program("blas");
  const int status = program.wait_for_all();
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) {
    WARN("skipped: there is no libopenblas.so.0 with cblas_dgemm");
    return;
  }
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("tasks that read the standard input are at its end, and the program loses none of it",
          "[process]") {
  const std::string input =
      std::filesystem::temp_directory_path() / ("input-" + std::to_string(getpid()));
  const std::string more(100'000, 'x');  // than anybody reads ahead
  std::ofstream(input) << "one\ntwo\n" << more << "\n";
  const char* const mode = GENERATE("input", "input-apart");
  const char* const method = GENERATE("fork", "forkserver", "spawn");
  CAPTURE(mode, method);
  const processes::Variable variable("PROCYON_START_METHOD", method);
  Program program(mode, input.c_str());
  CHECK(program.read_all() == "one 0 0 0 0 0 0 0 0 two " + more + "\n");
  CHECK(program.wait_for_all() == 0);
  std::filesystem::remove(input);
}
