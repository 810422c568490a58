#include "procyon/gnuplot.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "procyon/text_file.hpp"

namespace procyon::tool {

namespace {

namespace fs = std::filesystem;

// A directory of our own: names in it need no quoting in gnuplot's language.
class WorkDirectory {
 public:
  WorkDirectory() : path_((fs::temp_directory_path() / "procyon-plot-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), "no directory for the plot");
    }
  }
  ~WorkDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;
  std::string file(const char* name) const { return (fs::path(path_) / name).string(); }

 private:
  std::string path_;
};

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The exit status of gnuplot in `directory`; what it says goes to the file `messages` there.
int run_gnuplot(const WorkDirectory& directory) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  const std::string folder = fs::path(directory.file("x")).parent_path().string();
  const std::string messages = directory.file("messages");
  ::posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, messages.c_str(), O_WRONLY | O_CREAT, 0600);
  ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  std::string program = "gnuplot";
  std::string script = "script";
  char* const arguments[] = {program.data(), script.data(), nullptr};
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error(error, std::generic_category(), "cannot run gnuplot");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

bool has_gnuplot() {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (::access((fs::path(folder) / "gnuplot").c_str(), X_OK) == 0) return true;
  }
  return false;
}

std::string plot_text(std::string_view text) {
  std::string kept;
  std::copy_if(text.begin(), text.end(), std::back_inserter(kept), [](char c) {
    return std::string_view("'\\_^{}@&~\n").find(c) == std::string::npos;
  });
  return kept;
}

std::string draw_plot(const std::string& script, const std::string& data) {
  const WorkDirectory directory;
  write_text(directory.file("data"), data);
  write_text(directory.file("script"), script);
  const int status = run_gnuplot(directory);
  std::string picture = contents(directory.file("plot.svg"));
  if (status != 0 || picture.empty()) {
    throw std::runtime_error("gnuplot failed: " + contents(directory.file("messages")));
  }
  return picture;
}

}  // namespace procyon::tool
