// What a program with a Pool leaves behind, and what it prints, seen from outside.
#include <csignal>
#include <string>

#include "program.hpp"

using processes::count;

TEST_CASE("nothing is left of a program that is killed while its tasks run", "[process]") {
  for (int round = 0; round < 5; ++round) {
    processes::Program program(PROCYON_POOL_PROGRAM, "work");
    REQUIRE(program.read_until("ready") == "ready\n");
    ::kill(program.pid(), SIGKILL);
    const int status = program.wait_for_all();
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGKILL);
  }
}

TEST_CASE("nothing is left of a program that is killed after its guardian", "[process]") {
  processes::Program program(PROCYON_POOL_PROGRAM, "work");
  REQUIRE(program.read_until("ready") == "ready\n");
  for (const pid_t guardian : processes::children(program.pid(), "procyon-guard")) {
    ::kill(guardian, SIGKILL);
  }
  ::kill(program.pid(), SIGKILL);
  CHECK(program.wait_for_all() != -1);
}

TEST_CASE("nothing is left of a program that is interrupted or asked to end", "[process]") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    processes::Program program(PROCYON_POOL_PROGRAM, "work");
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
    processes::Program program(PROCYON_POOL_PROGRAM, mode);
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
      processes::Program program(PROCYON_POOL_PROGRAM, "print");
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
  processes::Program program(PROCYON_POOL_PROGRAM, "server");
  CHECK(program.read_all() == "0 7 7\n");
  CHECK(program.wait_for_all() == 0);
}

TEST_CASE("a handle that a static initialiser made in a worker started afresh is refused there",
          "[process]") {
  processes::Program program(PROCYON_POOL_PROGRAM, "static");
  CHECK(program.read_all() == "7 7\n7 7\nrefused 7\n");
  CHECK(program.wait_for_all() == 0);
}

TEST_CASE("a program that makes its Pool before init() is told so, and forks no bomb",
          "[process]") {
  for (const char* mode : {"without", "late"}) {
    processes::Program program(PROCYON_POOL_PROGRAM, mode);
    const std::string text = program.read_all();
    INFO(text);
    CHECK(program.wait_for_all() == 0);
    CHECK(count(text, "procyon::init(argc, argv);") == 1);
    CHECK(count(text, "first statement of main") == 1);
  }
}

TEST_CASE("a worker multiplies with one thread when the program does with several", "[process]") {
  processes::Program program(PROCYON_POOL_PROGRAM, "blas");
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
  processes::Program program(PROCYON_POOL_PROGRAM, mode, processes::Streams::output, input.c_str());
  CHECK(program.read_all() == "one 0 0 0 0 0 0 0 0 two " + more + "\n");
  CHECK(program.wait_for_all() == 0);
  std::filesystem::remove(input);
}
