// `procyon bench start`: what it is asked, what it tells, and a run of it beside a Python that is
// there, is not, or does not work.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "child.hpp"
#include "procyon/bench_start_report.hpp"

using Catch::Contains;
using procyon::StartMethod;
using procyon::test::Finished;
using procyon::test::run;
using namespace procyon::tool;
namespace fs = std::filesystem;

namespace {

class Folder {
 public:
  Folder() { fs::create_directory(path_); }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const char* name) const { return (path_ / name).string(); }
  std::string contents(const char* name) const {
    std::ifstream stream(path_ / name);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

 private:
  fs::path path_ = fs::temp_directory_path() / "bench-start";
};

Finished bench_start(
    std::vector<std::string> more, const std::function<void()>& prepare = [] {}) {
  std::vector<std::string> arguments{"bench", "start", "-r", "1", "--memory", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run(arguments, prepare);
}

std::string refusal(const StartText& text) {
  try {
    check_options(text);
  } catch (const CLI::ValidationError& error) {
    return error.what();
  }
  return "";
}

/// A program of that name and text, first in PATH of the command.
std::function<void()> with_python(const Folder& folder, const std::string& text) {
  std::ofstream(folder.file("python3")) << "#!/bin/sh\n" << text;
  ::chmod(folder.file("python3").c_str(), 0755);
  return [path = fs::path(folder.file("x")).parent_path().string()] {
    ::setenv("PATH", (path + ":" + std::getenv("PATH")).c_str(), 1);
  };
}

}  // namespace

TEST_CASE("verdicts are of medians: met, missed, and how Python does") {
  StartRun told;
  told.python = "Python 3.11.2";
  const StartRow met{.method = StartMethod::fork,
                     .target = 3e-3,
                     .seconds = {2e-3, 3e-3, 9e-3},
                     .python_seconds = {5e-3, 6e-3, 70e-3}};
  CHECK(verdict(told, met) ==
        "fork: 3.00 ms; Python takes 2.0 times as long; the target of 3 ms is met.");
  told.python = "python3 is not installed";
  const StartRow missed{.method = StartMethod::forkserver,
                        .memory = std::size_t{1} << 30,
                        .target = 3e-3,
                        .seconds = {4e-3}};
  CHECK(verdict(told, missed) ==
        "forkserver, 1024 MiB: 4.00 ms; Python beside it: python3 is not installed; the target of "
        "3 ms is MISSED.");
  told.rows = {met, missed};
  CHECK_THAT(to_csv(told), Contains("fork,0,3,0.003000000") && Contains(",0.003,1,3,0.006") &&
                               Contains("\nforkserver,1073741824,1,") &&
                               Contains(",0.003,0,0,,\n"));
  CHECK(to_json(told)["rows"][1]["met"] == false);
  CHECK_FALSE(to_json(told)["rows"][1].contains("python_samples"));
  const std::string table = table_text(told);
  CHECK(table.find("3.00", table.find("forkserver")) != std::string::npos);
}

TEST_CASE("wrong options of bench start are refused with the nearest right form") {
  CHECK_THAT(refusal({.repetitions = "0"}), Contains("--repetitions") && Contains("try -r 20"));
  CHECK_THAT(refusal({.seconds = "nan"}), Contains("try --time 30"));
  CHECK_THAT(refusal({.memory = "1G"}), Contains("'1G' is not a whole number; try --memory "));
  CHECK_THAT(refusal({.memory = "99999999"}), Contains("--memory") && Contains("out of range"));
  CHECK_THAT(refusal({.json = "/nowhere/x"}), Contains("no directory '/nowhere'"));
  CHECK(check_options(StartText{.memory = "3"}).memory == 3 << 20);
  CHECK(check_options(StartText{}).memory >= 1 << 20);
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"bench", "start", "-r", ""},
        {"bench", "start", "--rep"},
        {"bench", "start", "now"},
        {"bench", "strat"},
        {"bench", "start", "--no-python=1"}}) {
    const Finished finished = run(arguments);
    CHECK(finished.code == 2);
    CHECK_THAT(finished.err, Contains("procyon bench start") || Contains("'now'"));
  }
}

TEST_CASE("a run tells every start method, with a verdict, and writes its files", "[process]") {
  const Folder folder;
  const Finished finished =
      bench_start({"--json", folder.file("x.json"), "--csv", folder.file("x.csv")});
  INFO(finished.err);
  REQUIRE(finished.code == 0);
  CHECK(finished.err.empty());
  for (const char* row : {"fork: ", "forkserver: ", "forkserver, 1 MiB: ", "spawn: "}) {
    CHECK_THAT(finished.out, Contains(std::string("\n") + row));
  }
  CHECK_THAT(finished.out,
             Contains("commit ") && Contains("SHA-256 ") && Contains("the target of"));
  const auto json = nlohmann::json::parse(folder.contents("x.json"));
  REQUIRE(json["rows"].size() == 4);
  for (const auto& row : json["rows"]) {
    CHECK(row["samples"].size() == 1);
    CHECK(row["seconds"]["median"] > 0);
  }
  CHECK(json["rows"][2]["memory_bytes"] == 1 << 20);
  const std::string csv = folder.contents("x.csv");
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 5);
}

TEST_CASE("without a Python, or with one that does not work, the rest is measured", "[process]") {
  const Folder folder;
  const Finished without = bench_start({}, [] { ::setenv("PATH", "/nowhere", 1); });
  CHECK(without.code == 0);
  CHECK_THAT(without.out, Contains("python3 is not installed") && Contains("\nspawn: "));
  const Finished unwanted = bench_start({"--no-python"});
  CHECK(unwanted.code == 0);
  CHECK_THAT(unwanted.out, Contains("no Python, as was asked for"));
  const Finished broken = bench_start({}, with_python(folder, "exit 3\n"));
  CHECK(broken.code == 0);
  CHECK_THAT(broken.out, Contains("python3 does not work") && Contains("\nspawn: "));
  const Finished strange = bench_start({}, with_python(folder, "echo 3; read x; echo what\n"));
  CHECK(strange.code == 0);
  CHECK_THAT(strange.out, Contains("no answer from python3 by ") && Contains("\nspawn: "));
}

TEST_CASE("a picture of the medians is drawn where there is a gnuplot", "[process]") {
  const Folder folder;
  const Finished finished = bench_start({"--no-python", "--plot", folder.file("x.svg")});
  if (finished.code == 0) {
    CHECK_THAT(folder.contents("x.svg"), Contains("<svg") && Contains("spawn"));
  } else {
    CHECK_THAT(finished.err, Contains("gnuplot is not installed"));
  }
}
