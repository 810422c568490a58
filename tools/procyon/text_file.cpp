#include "procyon/text_file.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace procyon::tool {

namespace {

[[noreturn]] void fail(const std::string& path) {
  throw std::system_error(errno, std::generic_category(), "cannot write '" + path + "'");
}

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

void write_in_place(const std::string& path, std::string_view text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) fail(path);
  const bool written = write_all(file, text);
  ::close(file);
  if (!written) fail(path);
}

}  // namespace

void write_text(const std::string& path, std::string_view text) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    return write_in_place(path, text);
  }
  const auto target = std::filesystem::weakly_canonical(path, error);
  std::string temporary = (error ? path : target.string()) + ".XXXXXX";
  const int file = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (file < 0) fail(path);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  const bool written =
      write_all(file, text) && ::fchmod(file, 0666 & ~mask) == 0 && ::fsync(file) == 0;
  const bool closed = ::close(file) == 0;
  if (written && closed &&
      std::rename(temporary.c_str(), (error ? path : target.string()).c_str()) == 0) {
    return;
  }
  const int reason = errno;
  ::unlink(temporary.c_str());
  errno = reason;
  fail(path);
}

}  // namespace procyon::tool
