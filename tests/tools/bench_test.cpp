// `procyon bench gemm` as a user runs it.
#include <procyon/blas/core_type.hpp>

#include <stdlib.h>
#include <sys/resource.h>

#include <catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "child.hpp"
#include "procyon/text_file.hpp"

using Catch::Contains;
using procyon::test::Finished;
using procyon::test::run;

namespace {

// One product of each kind, so that it is over at once.
Finished bench(
    std::vector<std::string> more, const std::function<void()>& prepare = [] {}) {
  std::vector<std::string> arguments{"bench", "gemm", "--sizes", "8,33", "--batch",
                                     "5",     "-r",   "1",       "-j",   "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run(arguments, prepare);
}

std::string contents(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Files in a directory of this test's own.
struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / "bench";
  Folder() { std::filesystem::create_directory(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file(const char* name) const { return (path / name).string(); }
};

void preload_lesser_core() {
  ::setenv("LD_PRELOAD", PROCYON_LESSER_CORE, 1);
  ::setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
  ::unsetenv("OPENBLAS_CORETYPE");
}

// What the command should choose on this CPU.
std::string right_core() {
  return procyon::blas::better_core_type("Prescott", procyon::blas::cpu_features(), "")
      .value_or("");
}

}  // namespace

TEST_CASE("a measurement ends with a table, equal bits and a verdict for each size", "[process]") {
  const Finished finished = bench({"--dtype", GENERATE("double", "float")});
  INFO(finished.err);
  CHECK(finished.code == 0);
  CHECK(finished.err.empty());
  CHECK_THAT(finished.out, Contains("one caller, 2 BLAS threads"));
  CHECK_THAT(finished.out, Contains("2 threads x 2 BLAS threads"));
  CHECK_THAT(finished.out, Contains("process 1 and 1 in the workers"));
  CHECK_THAT(finished.out, Contains("n = 8: process mode is") && Contains("n = 33: process mode"));
  CHECK_THAT(finished.out, !Contains("differ") && !Contains("NOT EQUAL"));
}

TEST_CASE("what was measured is in the JSON and the CSV", "[process]") {
  const Folder folder;
  const Finished finished = bench({"--json", folder.file("x.json"), "--csv", folder.file("x.csv"),
                                   "--operands", "hot", "--shared", "left"});
  INFO(finished.err);
  REQUIRE(finished.code == 0);
  const auto json = nlohmann::json::parse(contents(folder.file("x.json")));
  CHECK(json["rows"].size() == 2);
  CHECK(json["rows"][1]["modes"].size() == 5);
  CHECK(json["rows"][1]["modes"][2]["samples"].size() == 1);
  CHECK(json["rows"][0]["error_over_bound"] < 1);
  CHECK(json["environment"]["blas"]["core"].is_string());
  CHECK_FALSE(json["environment"]["blas"]["build_id"].get<std::string>().empty());
  CHECK(json["environment"]["blas"]["sha256"].get<std::string>().size() == 64);
  for (const char* const name : {"commit", "compiler", "compiler_flags", "kernel", "affinity"}) {
    CHECK(json["environment"][name].is_string());
  }
  CHECK(json["worker_affinity"].size() == 2);
  CHECK(json["peak_gflops"]["all_cores"] > 0);
  CHECK(json["failures"] == "");
  const std::string csv = contents(folder.file("x.csv"));
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 11);
  CHECK_THAT(csv, Contains("\n33,5,one A,process,1,"));
}

TEST_CASE("a picture is drawn where there is a gnuplot, and else refused at once", "[process]") {
  const Folder folder;
  const Finished finished = bench({"--plot", folder.file("x.svg")});
  if (finished.code == 0) {
    CHECK_THAT(contents(folder.file("x.svg")), Contains("<svg") && Contains("peak, all cores"));
  }
  const Finished without =
      bench({"--plot", folder.file("y.svg")}, [] { ::setenv("PATH", "/nowhere", 1); });
  CHECK(without.code == 2);
  CHECK(without.out.empty());
  CHECK_THAT(without.err, Contains("gnuplot is not installed"));
}

TEST_CASE("a report that cannot be written fails the command after the table", "[process]") {
  const Finished finished = bench({"--csv", "/dev/full"});
  CHECK(finished.code == 1);
  CHECK_THAT(finished.out, Contains("n = 33"));
  CHECK_THAT(finished.err, Contains("cannot write '/dev/full'"));
}

TEST_CASE("a full disk leaves the old file as it was, and nothing beside it") {
  const Folder folder;
  const std::string file = folder.file("x.json");
  std::ofstream(file) << "old";
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{10, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  CHECK_THROWS_WITH(procyon::tool::write_text(file, std::string(100, 'x')),
                    Contains("cannot write") && Contains("x.json"));
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(contents(file) == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path),
                      std::filesystem::directory_iterator()) == 1);
  procyon::tool::write_text(file, "new");
  CHECK(contents(file) == "new");
}

TEST_CASE("wrong usage of bench ends with 2, the reason and the nearest right form") {
  const auto refused = [](const std::vector<std::string>& arguments) {
    const Finished finished = run(arguments);
    CHECK(finished.code == 2);
    CHECK(finished.out.empty());
    return finished.err;
  };
  CHECK_THAT(refused({"bench", "gemm", "-j", "0"}), Contains("--workers") && Contains("try -j"));
  CHECK_THAT(refused({"bench", "gemm", "-j", "100000"}), Contains("try -j"));
  CHECK_THAT(refused({"bench", "gemm", "--batch", "0"}), Contains("try --batch 256"));
  CHECK_THAT(refused({"bench", "gemm", "--time", "nan"}), Contains("try --time"));
  CHECK_THAT(refused({"bench", "gem"}), Contains("gemm"));
  CHECK_THAT(refused({"bench", "gemm", "--size", "8"}), Contains("--sizes"));
  CHECK_THAT(refused({"bench", "gemm", "--csv", "/nowhere/x"}), Contains("/nowhere"));
}

TEST_CASE("variables that limit BLAS threads do not keep a mode from having them", "[process]") {
  const Finished finished = bench({}, [] {
    ::setenv("OPENBLAS_NUM_THREADS", "1", 1);
    ::setenv("OMP_NUM_THREADS", "1", 1);
  });
  CHECK(finished.code == 0);
  CHECK_THAT(finished.out, Contains("one caller, 2 BLAS threads 2;"));
}

TEST_CASE("kernels for a lesser CPU make the command start again with the right ones, once",
          "[process]") {
  if (right_core().empty()) return;  // this CPU has nothing better than SSE
  const Finished fixed = bench({}, preload_lesser_core);
  INFO(fixed.err);
  CHECK(fixed.code == 0);
  CHECK_THAT(fixed.out, Contains("OpenBLAS took its Prescott kernels") &&
                            Contains("OPENBLAS_CORETYPE=" + right_core() + ":") &&
                            Contains("GFLOP/s") && Contains("core " + right_core()));
  const Finished stubborn = bench({}, [] {
    preload_lesser_core();
    ::setenv("LESSER_CORE_ALWAYS", "1", 1);
  });
  CHECK(stubborn.code == 0);
  CHECK_THAT(stubborn.out, Contains("core Prescott") && Contains("started again"));
}

TEST_CASE("the kernels that the user wants are kept", "[process]") {
  const Finished kept = bench({"--no-blas-fix"}, preload_lesser_core);
  CHECK(kept.code == 0);
  CHECK_THAT(kept.out, Contains("core Prescott") && !Contains("started again"));
  const Finished asked = bench({}, [] {
    preload_lesser_core();
    ::setenv("OPENBLAS_CORETYPE", "Prescott", 1);
    ::setenv("LESSER_CORE_ALWAYS", "1", 1);
  });
  CHECK(asked.code == 0);
  CHECK_THAT(asked.out, Contains("core Prescott") && !Contains("started again"));
}
