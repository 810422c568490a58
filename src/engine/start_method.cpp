#include "engine/start_method.hpp"

#include "engine/launch.hpp"
#include "engine/threads.hpp"
#include "shm/members.hpp"

#include <procyon/base/errors.hpp>

#include <fmt/format.h>

#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

namespace procyon::engine {
namespace {

// A fork of a process with more than this takes longer than starting from a small image.
constexpr std::size_t much_private_memory = std::size_t{256} << 20;

StartMethod method_of_environment() {
  const char* value = std::getenv("PROCYON_START_METHOD");
  const std::string_view name = value == nullptr ? "automatic" : value;
  if (name == "automatic" || name.empty()) return StartMethod::automatic;
  if (name == "fork") return StartMethod::fork;
  if (name == "forkserver") return StartMethod::forkserver;
  if (name == "spawn") return StartMethod::spawn;
  throw std::invalid_argument(fmt::format(
      "PROCYON_START_METHOD = \"{}\": must be automatic, fork, forkserver or spawn", name));
}

// Without init() there is only `fork`: much memory makes it slow, not wrong.
StartMethod choose_method() {
  const bool threads = foreign_threads() != 0;
  const bool large = is_initialised() && private_memory() > much_private_memory;
  return large || threads ? StartMethod::forkserver : StartMethod::fork;
}

}  // namespace

void refuse_strangers() {
  if (!shm::heap_is_open() || shm::self() != shm::MemberId{}) return;
  throw StartError("fork", 0,
                   "this process was forked from a program with pools, and shares nothing but a "
                   "view of them; start it with a Pool or Process, or use ThreadPool here");
}

StartMethod resolve_method(StartMethod method, Started what) {
  require_init_first();
  const bool chosen_here = method == StartMethod::automatic;
  if (chosen_here) method = method_of_environment();
  if (method == StartMethod::automatic) method = choose_method();
  if (method == StartMethod::fork || is_initialised()) return method;
  if (chosen_here && foreign_threads() != 0) {
    throw StartError("fork", 0, refusal_of_threads(foreign_threads(), what));
  }
  throw StartError(method == StartMethod::spawn ? "spawn" : "forkserver", 0,
                   "this start method needs the line `procyon::init(argc, argv);` as the first "
                   "statement of main");
}

void throw_never_ready(int status, Started what) {
  std::string end;
  if (status != -1 && WIFSIGNALED(status)) end = fmt::format(" by signal {}", WTERMSIG(status));
  if (status != -1 && WIFEXITED(status)) end = fmt::format(" by exit code {}", WEXITSTATUS(status));
  throw StartError(
      what == Started::pool ? "worker" : "spawn", ECHILD,
      fmt::format("a {} that was started afresh ended{} before it was ready: "
                  "procyon::init(argc, argv); must be the first statement of main, and static "
                  "initialisers must not need what only the program has",
                  what == Started::pool ? "worker" : "process", end));
}

std::string refusal_of_threads(std::size_t threads, Started what) {
  const bool is_pool = what == Started::pool;
  return fmt::format(
      "this process has {} other thread{}, whose locks a forked {} would find locked for ever; "
      "{} before threads are started, {}use StartMethod::forkserver or spawn with "
      "procyon::init(argc, argv); as the first statement of main{}",
      threads, threads == 1 ? "" : "s", is_pool ? "worker" : "Process",
      is_pool ? "make the Pool" : "start the Process", is_pool ? "" : "or ",
      is_pool ? ", or use ThreadPool" : "");
}

}  // namespace procyon::engine
