// Standard streams that are closed, or cannot be written to: the work goes on, and exit codes hold.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "catch.hpp"
#include "tools/child.hpp"

using Catch::Matchers::Contains;
using procyon::test::Finished;
using procyon::test::run;
namespace fs = std::filesystem;

namespace {

const std::string digits = PROCYON_TEST_DATA "/digits.npy";
const std::string dct = PROCYON_TEST_DATA "/dct8.npy";

/// What a child does before it becomes the command: closes a stream, or makes it one for reading.
auto closed(int stream) {
  return [stream] { ::close(stream); };
}
auto unwritable(int stream) {
  return [stream] {
    const int file = ::open(digits.c_str(), O_RDONLY);
    ::dup2(file, stream);
    ::close(file);
  };
}

class Output {
 public:
  Output() { fs::create_directory(folder_); }
  ~Output() { fs::remove_all(folder_); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  std::string path() const { return (folder_ / "C.npy").string(); }
  std::string bytes() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  fs::path folder_ = fs::temp_directory_path() / "streams-test";
};

Finished multiply(const std::string& a, const Output& output,
                  const std::function<void()>& prepare) {
  return run({"gemm", a, dct, "-o", output.path(), "--no-blas-fix", "--mode", "serial"}, prepare);
}

}  // namespace

TEST_CASE("an error that cannot be told is still an exit code", "[process]") {
  const Output output;
  CHECK(multiply("nosuch.npy", output, closed(STDERR_FILENO)).code == 1);
  CHECK(multiply("nosuch.npy", output, unwritable(STDERR_FILENO)).code == 1);
  CHECK(run({"gem"}, closed(STDERR_FILENO)).code == 2);
  CHECK(run({"gem"}, unwritable(STDERR_FILENO)).code == 2);
}

TEST_CASE("streams that are closed are written into no other file", "[process]") {
  const Output output;
  CHECK(multiply(digits, output, [] {}).code == 0);
  const std::string right = output.bytes();
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    CAPTURE(stream);
    CHECK(multiply(digits, output, closed(stream)).code == 0);
    CHECK((output.bytes() == right));
  }
  const auto all = [] {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(stream);
  };
  CHECK(multiply(digits, output, all).code == 0);
  CHECK((output.bytes() == right));
}

TEST_CASE("a report that cannot be written is an error, and the product is there", "[process]") {
  const Output output;
  CHECK(multiply(digits, output, [] {}).code == 0);
  const std::string right = output.bytes();
  fs::remove(output.path());
  const Finished finished = multiply(digits, output, unwritable(STDOUT_FILENO));
  CHECK(finished.code == 1);
  CHECK_THAT(finished.err, Contains("procyon: cannot write to the standard output"));
  CHECK((output.bytes() == right));
  for (const char* word : {"--help", "--version"}) {
    const Finished help = run({word}, unwritable(STDOUT_FILENO));
    CHECK(help.code == 1);
    CHECK_THAT(help.err, Contains("cannot write to the standard output"));
  }
}
