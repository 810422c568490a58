// The main of every test executable.
#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#include <procyon/engine/init.hpp>

#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

/// Files of test cases that run at the same time in other processes are out of sight: each test
/// process has its own directory for temporary files, and finds it where everybody looks.
class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(std::filesystem::temp_directory_path() / "procyon-test-XXXXXX") {
    if (::mkdtemp(path_.data()) != nullptr) ::setenv("TMPDIR", path_.c_str(), 1);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

 private:
  std::string path_;
};

namespace {
const pid_t test_process = ::getpid();
}

/// LeakSanitizer asks it at exit. A worker that a task ends by exit() has a copy of everything that
/// the program has, and refers to little of it.
extern "C" int __lsan_is_turned_off();                                                // NOLINT
extern "C" int __lsan_is_turned_off() { return ::getpid() != test_process ? 1 : 0; }  // NOLINT

int main(int argc, char** argv) {
  procyon::init(argc, argv);
  const TemporaryDirectory directory;
  return Catch::Session().run(argc, argv);
}
