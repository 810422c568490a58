#include "tools/child.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace procyon::test {
namespace {

namespace fs = std::filesystem;

std::string contents(int fd) {
  std::string text, piece(4096, '\0');
  ::lseek(fd, 0, SEEK_SET);
  for (ssize_t got = 0; (got = ::read(fd, piece.data(), piece.size())) > 0;) {
    text.append(piece, 0, static_cast<std::size_t>(got));
  }
  return text;
}

struct Identity {
  std::string name;
  pid_t parent = 0;
};

Identity identity_of(const fs::path& process) {
  std::ifstream file(process / "stat");
  const std::string stat{std::istreambuf_iterator<char>(file), {}};
  const auto open = stat.find('('), close = stat.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 4 > stat.size()) return {};
  return {stat.substr(open + 1, close - open - 1), std::atoi(stat.c_str() + close + 4)};
}

}  // namespace

Child::Child(const std::vector<std::string>& arguments, const std::function<void()>& prepare)
    : out_(::memfd_create("stdout", MFD_CLOEXEC)), err_(::memfd_create("stderr", MFD_CLOEXEC)) {
  std::string program = PROCYON_COMMAND;
  std::vector<std::string> copies = arguments;
  std::vector<char*> pointers = {program.data()};
  for (std::string& argument : copies) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ != 0) return;
  ::dup2(out_, STDOUT_FILENO);
  ::dup2(err_, STDERR_FILENO);
  prepare();
  ::execv(program.c_str(), pointers.data());
  ::_exit(127);
}

Child::~Child() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    wait();
  }
  ::close(out_);
  ::close(err_);
}

Finished Child::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  const int code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  return {code, contents(out_), contents(err_)};
}

Finished run(const std::vector<std::string>& arguments, const std::function<void()>& prepare) {
  return Child(arguments, prepare).wait();
}

std::vector<pid_t> workers_of(pid_t program) {
  std::set<pid_t> zygotes;
  std::vector<std::pair<pid_t, pid_t>> workers;  // and their parents
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid == 0) continue;
    const Identity identity = identity_of(entry.path());
    if (identity.name == "procyon-zygote" && identity.parent == program) zygotes.insert(pid);
    if (identity.name == "procyon-worker") workers.emplace_back(pid, identity.parent);
  }
  std::vector<pid_t> found;
  for (const auto& [pid, parent] : workers) {
    if (zygotes.contains(parent)) found.push_back(pid);
  }
  return found;
}

}  // namespace procyon::test
