// Other programs: what they answer, and what becomes of them.
#include "procyon/subprocess.hpp"

#include <catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "procyon/build_info.hpp"

using procyon::tool::sha256_of;
using procyon::tool::Subprocess;
using namespace std::chrono_literals;

TEST_CASE("a program answers line by line until it ends") {
  Subprocess echo({"cat"});
  CHECK(echo.send("one\ntwo\nthr"));
  CHECK(echo.read_line(20s) == "one");
  CHECK(echo.read_line(20s) == "two");
  CHECK(echo.read_line(1ms) == std::nullopt);
  CHECK(echo.send("ee\n"));
  CHECK(echo.read_line(20s) == "three");
}

TEST_CASE("a program that there is not, or that does not read, is an error and no signal") {
  CHECK_THROWS_AS(Subprocess({"no-such-program-anywhere"}), std::system_error);
  Subprocess ended({"true"});
  CHECK(ended.read_line(20s) == std::nullopt);
  while (ended.send("more\n")) {
  }
}

TEST_CASE("the SHA-256 of a file is that of its bytes, and unknown where there is none") {
  const auto path = std::filesystem::temp_directory_path() / "sha256 'of' abc";
  std::ofstream(path) << "abc";  // an example of FIPS 180-2
  CHECK(sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  std::filesystem::remove(path);
  CHECK(sha256_of(path) == "unknown");
}

TEST_CASE("the command knows what it was built from") {
  const std::string commit = procyon::tool::build_commit;
  CAPTURE(commit);
  const std::string name = commit.substr(0, commit.find("-dirty"));
  CHECK((name == "unknown" ||
         (name.size() == 40 && name.find_first_not_of("0123456789abcdef") == std::string::npos)));
}
