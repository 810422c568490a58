// Another program, talked to by lines.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace procyon::tool {

/// A program that was found in PATH and runs: its standard input and output are here, its errors
/// go nowhere. When this is destroyed its input ends; where it does not end then, it is killed.
class Subprocess {
 public:
  /// Throws `std::system_error` where it cannot be started; ENOENT: there is none.
  explicit Subprocess(const std::vector<std::string>& arguments);
  ~Subprocess();
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;

  /// False: it does not read any more.
  bool send(std::string_view text) noexcept;
  /// Without its end. None: the program has ended, or the time is up.
  std::optional<std::string> read_line(std::chrono::milliseconds limit);

 private:
  bool ends_by_itself() const noexcept;

  pid_t pid_ = 0;
  int socket_ = -1;
  std::string read_ahead_;
};

/// The SHA-256 of a file, in hexadecimal, by coreutils' sha256sum: present wherever Debian is, so
/// that the command needs no library for the sake of one line. "unknown" where that fails.
std::string sha256_of(const std::string& path);

}  // namespace procyon::tool
