// Wrong usage: exit code 2, the reason, the nearest right form, and no work.
#include <procyon/base/cpus.hpp>

#include "catch.hpp"
#include "tools/child.hpp"

using Catch::Matchers::Contains;
using procyon::test::Finished;
using procyon::test::run;

namespace {

using Arguments = std::vector<std::string>;
const std::string digits = PROCYON_TEST_DATA "/digits.npy";
const std::string dct = PROCYON_TEST_DATA "/dct8.npy";

void check_usage(const Arguments& arguments, const std::string& first, const std::string& second) {
  const Finished finished = run(arguments);
  CAPTURE(arguments);
  CHECK(finished.code == 2);
  CHECK(finished.out.empty());
  CHECK_THAT(finished.err, Contains(first) && Contains(second) && Contains("--help"));
}

/// `procyon gemm digits.npy dct8.npy -o /nowhere/C.npy` and more: usage is judged before files.
void check_gemm(const Arguments& more, const std::string& first, const std::string& second) {
  Arguments arguments = {"gemm", digits, dct, "-o", "/nowhere/C.npy"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  check_usage(arguments, first, second);
}

}  // namespace

TEST_CASE("a missing or unknown subcommand is answered with the right ones", "[process]") {
  check_usage({}, "subcommands gemm and bench", "procyon gemm A.npy B.npy -o C.npy");
  check_usage({"gem"}, "no subcommand 'gem'", "did you mean procyon gemm?");
  check_usage({"bnech", "gemm"}, "no subcommand 'bnech'", "did you mean procyon bench?");
  check_usage({"bench", "gem"}, "procyon bench has no subcommand 'gem'",
              "did you mean procyon bench gemm?");
  check_usage({"xyzzy"}, "no subcommand 'xyzzy'; it has gemm and bench", "For example");
}

TEST_CASE("missing arguments are named beside a right form", "[process]") {
  check_usage({"gemm"}, "A is required", "procyon gemm A.npy B.npy -o C.npy");
  check_usage({"gemm", digits}, "B is required", "procyon gemm A.npy B.npy -o C.npy");
  check_usage({"gemm", digits, dct}, "--output is required", "-o C.npy");
  check_usage({"gemm", digits, dct, "-o"}, "--output: its value is missing", "--output C.npy");
  check_gemm({"--mode="}, "--mode: its value is missing", "--mode MODE");
  check_usage({"bench", "gemm", "--json"}, "--json: its value is missing", "--json FILE");
}

TEST_CASE("unknown options and arguments too many are named, with the nearest", "[process]") {
  check_usage({"gemm", digits, dct, "--out", "C.npy"}, "no option '--out'",
              "did you mean --output?");
  check_gemm({"--verfy"}, "no option '--verfy'", "did you mean --verify?");
  check_gemm({"--mod=thread"}, "no option '--mod'", "did you mean --mode?");
  check_gemm({"extra.npy"}, "'extra.npy'", "one argument too many");
  check_gemm({"-o", "D.npy"}, "--output: given more than once", "give it once");
}

TEST_CASE("a mode that there is not is answered with the one that was meant", "[process]") {
  check_gemm({"--mode", "proces"}, "'proces'", "did you mean --mode process?");
  check_gemm({"--mode", "threads"}, "'threads'", "did you mean --mode thread?");
  check_gemm({"--mode", "gpu"}, "'gpu'", "process, thread, serial");
}

TEST_CASE("an empty value is not the default, and no name of a file", "[process]") {
  check_gemm({"--mode", ""}, "--mode: '' is an empty value", "leave the option out");
  check_gemm({"-j", ""}, "--workers: '' is an empty value", "give --workers N");
  check_usage({"gemm", digits, dct, "-o", ""}, "--output: '' is an empty value", "C.npy");
  check_usage({"gemm", "", dct, "-o", "C.npy"}, "A: '' is an empty value", "give A.npy");
  for (const char* option : {"-r", "--time", "--memory", "--seed", "--json", "--csv", "--plot"}) {
    check_usage({"bench", "start", option, ""}, "'' is an empty value", "leave the option out");
  }
  for (const char* option : {"--sizes", "--batch", "--dtype", "-j", "--operands", "--shared", "-r",
                             "--time", "--seed", "--json", "--csv", "--plot"}) {
    check_usage({"bench", "gemm", option, ""}, "'' is an empty value", "leave the option out");
  }
}

TEST_CASE("a flag with a value is refused, whatever the value", "[process]") {
  check_gemm({"--verify=yes"}, "--verify: it takes no value", "give --verify alone");
  check_gemm({"--no-blas-fix=0"}, "--no-blas-fix: it takes no value", "--no-blas-fix alone");
  check_usage({"bench", "gemm", "--pin=maybe"}, "--pin: it takes no value", "--pin alone");
}

TEST_CASE("numbers of workers that cannot be are refused with the range", "[process]") {
  check_gemm({"-j", "0"}, "0 is out of range, 1 to 1000", "--workers");
  check_gemm({"-j", "100000"}, "100000 is out of range, 1 to 1000", "--workers");
  check_gemm({"-j", "97", "--mode", "thread"}, "97 is out of range, 1 to 96", "--workers");
  check_gemm({"-j", "nan"}, "'nan' is not a whole number", "--workers");
  check_gemm({"-j", "2.5"}, "'2.5' is not a whole number", "--workers");
  check_gemm({"-j", "-1"}, "-1", "--workers");
  check_gemm({"-j", "4", "--mode", "serial"}, "one worker", "--mode process -j");
}

TEST_CASE("help and version are no errors, and help has examples", "[process]") {
  for (const Arguments& arguments :
       {Arguments{"--help"}, Arguments{"gemm", "--help"}, Arguments{"bench", "--help"},
        Arguments{"bench", "gemm", "--help"}, Arguments{"bench", "start", "--help"}}) {
    CAPTURE(arguments);
    const Finished finished = run(arguments);
    CHECK(finished.code == 0);
    CHECK(finished.err.empty());
    CHECK_THAT(finished.out, Contains("Examples:\n  procyon "));
  }
  const Finished version = run({"--version"});
  CHECK(version.code == 0);
  CHECK_THAT(version.out, Catch::Matchers::Matches("procyon [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}
