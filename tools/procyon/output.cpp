#include "procyon/output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace procyon::tool {

void open_standard_streams() noexcept {
  // The lowest free descriptor is taken: the first closed one.
  for (int file = 0; file <= STDERR_FILENO; ++file) {
    if (::fcntl(file, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != file) return;
  }
}

void print(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return;
  throw std::system_error(errno, std::generic_category(), "cannot write to the standard output");
}

void complain(std::string_view text) noexcept {
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
}

}  // namespace procyon::tool
