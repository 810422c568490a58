#include "procyon/subprocess.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>

namespace procyon::tool {

namespace {

[[noreturn]] void fail(int code, const std::string& program) {
  throw std::system_error(code, std::generic_category(), "cannot run " + program);
}

}  // namespace

Subprocess::Subprocess(const std::vector<std::string>& arguments) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail(errno, arguments[0]);
  socket_ = ends[0];
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::vector<std::string> copies = arguments;
  std::vector<char*> pointers;
  for (std::string& argument : copies) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const int error = ::posix_spawnp(&pid_, pointers[0], &actions, nullptr, pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (error == 0) return;
  ::close(socket_);
  fail(error, arguments[0]);
}

// By itself, so that it takes away what it has made.
bool Subprocess::ends_by_itself() const noexcept {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  while (std::chrono::steady_clock::now() < end) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

Subprocess::~Subprocess() {
  ::close(socket_);
  if (ends_by_itself()) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool Subprocess::send(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::optional<std::string> Subprocess::read_line(std::chrono::milliseconds limit) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + limit;
  for (;;) {
    if (const std::size_t length = read_ahead_.find('\n'); length != std::string::npos) {
      std::string line = read_ahead_.substr(0, length);
      read_ahead_.erase(0, length + 1);
      return line;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    pollfd event{socket_, POLLIN, 0};
    const int ready = ::poll(&event, 1, static_cast<int>(std::max<long>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    char bytes[4096];
    const ssize_t got = ready > 0 ? ::read(socket_, bytes, sizeof bytes) : 0;
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    read_ahead_.append(bytes, static_cast<std::size_t>(got));
  }
}

std::string sha256_of(const std::string& path) {
  constexpr std::size_t digits = 64;
  try {
    const auto line = Subprocess({"sha256sum", "--", path}).read_line(std::chrono::seconds(30));
    std::string sum = line.value_or("").substr(0, digits);
    const bool whole = sum.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (whole && sum.size() == digits) return sum;
  } catch (const std::system_error&) {
    // There is no sha256sum.
  }
  return "unknown";
}

}  // namespace procyon::tool
