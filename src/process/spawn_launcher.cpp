#include "process/spawn_launcher.hpp"

#include "base/start_channel.hpp"
#include "process/process.hpp"

#include <procyon/base/errors.hpp>

#include <boost/optional.hpp>

#define BOOST_PROCESS_USE_STD_FS 1
#include <boost/asio/io_context.hpp>
#include <boost/process/v2/posix/default_launcher.hpp>
#include <boost/process/v2/process.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace procyon::process {
namespace {

namespace v2 = boost::process::v2;

// A step of the launcher in the child: everything of ours is closed on exec, but for this one.
// (posix::bind_fd of Boost 1.81 returns nothing where a value is expected.)
struct KeepOpen {
  int fd;
  template <class Launcher>
  v2::error_code on_setup(Launcher& launcher, const v2::filesystem::path&,
                          const char* const*(&)) const {
    launcher.fd_whitelist.push_back(fd);
    return {};
  }
  template <class Launcher>
  v2::error_code on_exec_setup(Launcher&, const v2::filesystem::path&,
                               const char* const*(&)) const {
    if (fcntl(fd, F_SETFD, 0) == 0) return {};
    return {errno, boost::system::system_category()};
  }
};

// The launcher loses descriptors, and children, where it runs out of descriptors half-way.
constexpr std::size_t launcher_descriptors = 12;

void require_descriptors(const std::string& name) {
  std::vector<Descriptor> spare;
  while (spare.size() < launcher_descriptors) {
    spare.emplace_back(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
    if (!spare.back() && errno != EBADF) {
      throw StartError("exec", errno, "no descriptors to start " + name + " with (see ulimit -n)");
    }
  }
}

// The file that this process runs, also where it has been replaced on disk meanwhile. Under
// valgrind only the link is right: what it leads to is valgrind's.
std::string own_executable() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  constexpr std::string_view replaced = " (deleted)";
  if (error || path.native().ends_with(replaced) || access(path.c_str(), X_OK) != 0) {
    return "/proc/self/exe";
  }
  return path.native();
}

}  // namespace

pid_t start_afresh(const Descriptor& channel, const std::string& name,
                   std::vector<std::string> environment) {
  environment.push_back(std::string(base::start_channel_variable) + "=" +
                        std::to_string(channel.get()));
  std::vector<const char*> pointers;
  pointers.reserve(environment.size() + 1);
  for (const std::string& entry : environment) pointers.push_back(entry.c_str());
  pointers.push_back(nullptr);
  require_descriptors(name);
  v2::posix::default_launcher launcher;
  try {
    boost::asio::io_context context;  // of its own: its locks are held by nobody at the fork
    launcher.env = pointers.data();
    const std::vector<std::string> no_arguments;
    auto process = launcher(context, own_executable(), no_arguments, KeepOpen{channel.get()});
    const pid_t pid = process.id();
    process.detach();
    return pid;
  } catch (const boost::system::system_error& error) {
    if (launcher.pid > 0 && kill(launcher.pid, SIGKILL) == 0) reap(launcher.pid);
    throw StartError("exec", error.code().value(),
                     "the executable of " + name + " cannot be started afresh");
  }
}

std::vector<std::string> current_environment() {
  std::vector<std::string> all;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    all.emplace_back(*entry);
  }
  return all;
}

Descriptor write_environment() {
  Descriptor file(memfd_create("environment", MFD_CLOEXEC));
  std::string text;
  for (const std::string& entry : current_environment()) text.append(entry).push_back('\0');
  std::size_t done = 0;
  while (file && done < text.size()) {
    const ssize_t count = write(file.get(), text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) file.reset();
    done += static_cast<std::size_t>(std::max<ssize_t>(count, 0));
  }
  if (!file) throw StartError("exec", errno, "no memory for a copy of the environment");
  return file;
}

std::vector<std::string> read_environment(const Descriptor& file) {
  std::string text;
  std::array<char, 4096> part{};
  ssize_t count = 0;
  while ((count = pread(file.get(), part.data(), part.size(), static_cast<off_t>(text.size()))) >
         0) {
    text.append(part.data(), static_cast<std::size_t>(count));
  }
  std::vector<std::string> all;
  for (std::size_t at = 0; at < text.size(); at += all.back().size() + 1) {
    all.emplace_back(text.c_str() + at);
  }
  return all;
}

}  // namespace procyon::process
