// Fails a test case that leaves something behind: a process, a descriptor, a name in /dev/shm or in
// the directory for temporary files, a block of the shared heap, or a mapping of other memory that
// has no file.
//
// What is still going away when a test case ends (a process that exits) has a second to do so.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <new>
#include <sstream>
#include <string>
#include <thread>

#include <procyon/shm/heap.hpp>

#include "shm/members.hpp"

#define CATCH_CONFIG_EXTERNAL_INTERFACES  // version 2: declares what a listener is made of
#include "catch.hpp"

namespace {

#if __has_include(<catch2/catch_all.hpp>)
using ListenerBase = Catch::EventListenerBase;
#else
using ListenerBase = Catch::TestEventListenerBase;
#endif

namespace fs = std::filesystem;

/// What identifies a thing -> what to say of it besides.
using Things = std::map<std::string, std::string>;

/// The lines of /proc/PID/maps for shared memory without a lasting name, by name and inode.
Things nameless_mappings(const std::string& pid) {
  Things found;
  std::ifstream maps("/proc/" + pid + "/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string range, access, offset, device, inode, name;
    words >> range >> access >> offset >> device >> inode >> name;
    if (name.starts_with("/memfd:") || name.starts_with("/dev/shm/") || name == "/dev/zero") {
      found["mapping of " + name + ", inode " + inode];
    }
  }
  return found;
}

/// A shared page that every descendant made by fork inherits, and nobody else has: it tells a
/// descendant whose parent has died from the rest of the machine's processes.
const std::string& descendants_mark() {
  static const std::string mark = [] {
    const Things before = nameless_mappings("self");
    const auto page_size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    if (::mmap(nullptr, page_size, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) {
      throw std::bad_alloc();
    }
    const Things after = nameless_mappings("self");
    const auto is_new = [&](const auto& thing) { return !before.contains(thing.first); };
    const auto found = std::ranges::find_if(after, is_new);
    return found == after.end() ? std::string() : found->first;
  }();
  return mark;
}

/// Adds the process where /proc/PID/stat says that `parent` is its parent, or PID has the mark.
void add_descendant(Things& found, const std::string& pid, pid_t parent) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string stat;
  std::getline(file, stat);
  const auto open = stat.find('('), close = stat.rfind(')');
  if (open == std::string::npos || close == std::string::npos) return;
  std::istringstream fields(stat.substr(close + 1));
  std::string state;
  pid_t ppid = 0;
  fields >> state >> ppid;
  if (ppid == parent || nameless_mappings(pid).contains(descendants_mark())) {
    found["process " + pid] = " " + stat.substr(open, close + 1 - open) + ", state " + state +
                              ", parent " + std::to_string(ppid);
  }
}

Things descendants() {
  Things found;
  const pid_t self = ::getpid();
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const std::string pid = entry.path().filename();
    const bool is_process = pid.find_first_not_of("0123456789") == std::string::npos;
    if (is_process && pid != std::to_string(self)) add_descendant(found, pid, self);
  }
  return found;
}

Things descriptors() {
  Things found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd", ignored)) {
    const fs::path target = fs::read_symlink(entry.path(), ignored);
    const std::string own_listing = "/proc/" + std::to_string(::getpid()) + "/fd";
    if (ignored || target == own_listing) continue;
    found["descriptor " + entry.path().filename().string() + " -> " + target.string()];
  }
  return found;
}

/// Names in `directory` that begin with `prefix`.
Things names(const fs::path& directory, const std::string& prefix = {}) {
  Things found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    if (!entry.path().filename().string().starts_with(prefix)) continue;
    if (entry.path().filename().string().starts_with("procyon-test-")) continue;
    found["file " + entry.path().string()];
  }
  return found;
}

/// The heap's blocks. A heap without any is no leak: the library may keep it for the next block, so
/// it is closed here.
Things heap_blocks() {
  if (!procyon::shm::heap_is_open() || procyon::shm::close_heap_if_unused()) return {};
  return {{"shared heap", ": " + std::to_string(procyon::shared_heap().used()) + " bytes in use"}};
}

Things everything() {
  Things all = heap_blocks();
  all.merge(descendants());
  all.merge(descriptors());
  all.merge(names("/dev/shm"));
  all.merge(names("/tmp", "procyon"));
  all.merge(names(fs::temp_directory_path(), fs::temp_directory_path() == "/tmp" ? "procyon" : ""));
  all.merge(nameless_mappings("self"));
  return all;
}

std::string difference(const Things& more, const Things& less) {
  std::string text;
  for (const auto& [thing, detail] : more) {
    if (!less.contains(thing)) text += "\n  " + thing + detail;
  }
  return text;
}

/// Sections nest: the outermost one is the test case itself, and when it ends all local objects of
/// the test case are gone, yet a failure still counts as the test case's.
class LeakListener : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;

  void sectionStarting(const Catch::SectionInfo& section) override {
    ListenerBase::sectionStarting(section);
    if (depth_++ > 0) return;
    descendants_mark();
    before_ = everything();
    descriptors_before_ = descriptors();
  }

  void sectionEnded(const Catch::SectionStats& section) override {
    if (--depth_ == 0) compare();
    ListenerBase::sectionEnded(section);
  }

 private:
  void compare() const {
    using std::chrono::steady_clock;
    const auto deadline = steady_clock::now() + std::chrono::seconds(1);
    Things after = everything();
    while (!difference(after, before_).empty() && steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      after = everything();
    }
    if (const std::string left = difference(after, before_); !left.empty()) {
      FAIL_CHECK("the test case left behind:" << left);
    }
    const std::string closed = difference(descriptors_before_, descriptors());
    if (!closed.empty()) FAIL_CHECK("the test case closed what it had not opened:" << closed);
  }

  int depth_ = 0;
  Things before_;
  Things descriptors_before_;
};

CATCH_REGISTER_LISTENER(LeakListener)

}  // namespace
