#include "shm/replacement_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <system_error>

namespace procyon::shm {
namespace {

namespace fs = std::filesystem;

constexpr mode_t new_file_mode = 0666;  // less the umask, which the kernel takes off

/// The path that opening `path` would reach: the end of a chain of symbolic links, even where
/// nothing is there.
fs::path followed(fs::path path) {
  std::error_code none;
  for (int links = 0; links < 40 && fs::is_symlink(path, none); ++links) {
    path = path.parent_path() / fs::read_symlink(path, none);
  }
  return path;
}

/// Not so for what a link under /proc leads to: a pipe, or a file that has lost its name.
bool is_same_file(const fs::path& path, const struct stat& file) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && found.st_dev == file.st_dev &&
         found.st_ino == file.st_ino;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

std::string unique_name() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) {
    number = static_cast<std::uint64_t>(::getpid()) << 32 | static_cast<std::uint32_t>(::clock());
  }
  return fmt::format(".procyon-{:016x}.tmp", number);
}

/// Means that the file system cannot do it, not that it went wrong.
bool is_unsupported(int code) {
  return code == EOPNOTSUPP || code == EISDIR || code == ENOENT || code == EINVAL || code == ENOSYS;
}

}  // namespace

ReplacementFile::ReplacementFile(const fs::path& path) : path_(path), target_(followed(path)) {}

// Delegates, so that the destructor runs whatever fails below.
ReplacementFile::ReplacementFile(const fs::path& path, std::size_t bytes, Naming naming)
    : ReplacementFile(path) {
  struct stat old {};
  if (path.empty()) fail(ENOENT, "the name is empty");
  const bool exists = ::stat(path.c_str(), &old) == 0;
  if (!exists && errno != ENOENT) fail(errno);
  if (exists && S_ISDIR(old.st_mode)) fail(EISDIR, "name a file in it");
  if (!target_.has_filename()) fail(EISDIR, "name a file in it");
  if (exists && ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) fail(errno);
  if (exists && (!S_ISREG(old.st_mode) || !is_same_file(target_, old))) {
    open_in_place();
    return;
  }
  open_beside(naming);
  take_room(bytes);
  if (!exists) return;
  // The owner first, since a change of owner drops bits of the mode. Who may not give files away
  // keeps the new file.
  if (::fchown(file_.get(), old.st_uid, old.st_gid) != 0 && errno != EPERM) fail(errno);
  if (::fchmod(file_.get(), old.st_mode & 0777) != 0) fail(errno);
}

ReplacementFile::~ReplacementFile() {
  if (!temporary_.empty()) ::unlinkat(folder_.get(), temporary_.c_str(), 0);
}

void ReplacementFile::open_in_place() {
  in_place_ = true;
  file_ = base::Descriptor(::open(path_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY));
  if (!file_) fail(errno);
}

void ReplacementFile::open_beside(Naming naming) {
  const fs::path folder = folder_of(target_);
  folder_ = base::Descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder_ && errno == ENOENT) {
    fail(ENOENT, "the folder " + folder.string() + " does not exist; create it first");
  }
  if (!folder_) fail(errno, "folder " + folder.string());
  if (naming == Naming::nameless_if_possible) {
    file_ = base::Descriptor(
        ::openat(folder_.get(), ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, new_file_mode));
    if (!file_ && !is_unsupported(errno)) fail(errno, "folder " + folder.string());
  }
  if (!file_) create_named();
}

void ReplacementFile::take_room(std::size_t bytes) {
  if (bytes == 0) return;
  int result = 0;
  while ((result = ::fallocate(file_.get(), 0, 0, static_cast<off_t>(bytes))) != 0 &&
         errno == EINTR) {
  }
  if (result == 0 || is_unsupported(errno)) return;
  fail(errno, fmt::format("{} bytes are needed", bytes));
}

void ReplacementFile::create_named() {
  do {
    temporary_ = unique_name();
    file_ = base::Descriptor(::openat(folder_.get(), temporary_.c_str(),
                                      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, new_file_mode));
  } while (!file_ && errno == EEXIST);
  if (file_) return;
  const int code = errno;
  temporary_.clear();
  fail(code, "folder " + folder_of(target_).string());
}

void ReplacementFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t most = std::min(bytes.size(), std::size_t{1} << 30);
    const ssize_t written = ::write(file_.get(), bytes.data(), most);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void ReplacementFile::commit() {
  if (in_place_) return;
  if (::fsync(file_.get()) != 0) fail(errno);
  if (temporary_.empty()) link_under_new_name();
  const std::string name = target_.filename().string();
  if (::renameat(folder_.get(), temporary_.c_str(), folder_.get(), name.c_str()) != 0) fail(errno);
  temporary_.clear();
  if (::fsync(folder_.get()) != 0 && !is_unsupported(errno)) {
    fail(errno, "the file is in place, but may be lost if the machine stops now");
  }
}

void ReplacementFile::link_under_new_name() {
  const std::string nameless = fmt::format("/proc/self/fd/{}", file_.get());
  do {
    temporary_ = unique_name();
    if (::linkat(AT_FDCWD, nameless.c_str(), folder_.get(), temporary_.c_str(),
                 AT_SYMLINK_FOLLOW) == 0) {
      return;
    }
  } while (errno == EEXIST);
  const int code = errno;
  temporary_.clear();
  fail(code);
}

void ReplacementFile::fail(int code, const std::string& detail) const {
  std::string text = "cannot write " + path_.string();
  if (!detail.empty()) text += " (" + detail + ")";
  throw std::system_error(code, std::generic_category(), text);
}

}  // namespace procyon::shm
