#include "base/start_channel.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace procyon::base {
namespace {

const char* number() noexcept { return std::getenv(start_channel_variable); }

std::atomic<bool>& waiting() noexcept {
  static std::atomic<bool> state{number() != nullptr};
  return state;
}

}  // namespace

bool awaits_init() noexcept { return waiting().load(std::memory_order_relaxed); }

Descriptor take_start_channel() {
  if (!waiting().exchange(false)) return {};
  const std::string_view text = number();
  int fd = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), fd);
  int type = 0;
  socklen_t size = sizeof type;
  const bool valid = error == std::errc{} && end == text.data() + text.size() &&
                     getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
                     type == SOCK_SEQPACKET;
  unsetenv(start_channel_variable);
  if (!valid) return {};
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  return Descriptor(fd);
}

}  // namespace procyon::base
