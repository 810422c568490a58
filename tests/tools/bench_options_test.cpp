// What `procyon bench gemm` makes of its options, and of its samples.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <catch.hpp>
#include <cmath>
#include <string>

#include "procyon/bench_options.hpp"
#include "procyon/statistics.hpp"

using Catch::Contains;
using procyon::tool::BenchText;
using procyon::tool::check_options;
using procyon::tool::Shared;
using procyon::tool::summarise;

namespace {

// What the options are refused with.
std::string refusal(const BenchText& text) {
  try {
    check_options(text);
  } catch (const CLI::ValidationError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("options that are not given have values that suit the machine") {
  const auto options = check_options({});
  CHECK(options.workers >= 1);
  CHECK(options.workloads.size() == 8);
  CHECK_FALSE(options.single_precision);
  CHECK(options.blas_fix);
  for (const auto& workload : options.workloads) {
    CHECK((workload.size > 32 || workload.count >= 100'000));
    CHECK((workload.shared == Shared::right) == (workload.size == 256));
    CHECK((workload.size != 256 || workload.count == 256));
  }
}

TEST_CASE("sizes, batches and words are taken as given") {
  const auto options = check_options({.sizes = "7,9",
                                      .batch = "3,4",
                                      .dtype = "float",
                                      .workers = "3",
                                      .operands = "hot",
                                      .shared = "left",
                                      .repetitions = "5",
                                      .seconds = "1.5",
                                      .seed = "8"});
  REQUIRE(options.workloads.size() == 2);
  CHECK(options.workloads[1].size == 9);
  CHECK(options.workloads[1].count == 4);
  CHECK(options.workloads[1].shared == Shared::left);
  CHECK(options.single_precision);
  CHECK(options.hot);
  CHECK(options.workers == 3);
  CHECK(options.repetitions == 5);
  CHECK(options.seconds == 1.5);
  CHECK(options.seed == 8);
}

TEST_CASE("a wrong option is refused with the reason and the nearest right form") {
  CHECK_THAT(refusal({.sizes = "8,x"}),
             Contains("--sizes") && Contains("'x'") && Contains("try --sizes"));
  CHECK_THAT(refusal({.sizes = "0"}), Contains("out of range"));
  CHECK_THAT(refusal({.sizes = "8,,9"}), Contains("--sizes"));
  CHECK_THAT(refusal({.batch = "0"}), Contains("--batch") && Contains("try --batch 256"));
  CHECK_THAT(refusal({.batch = "1,2"}), Contains("2 numbers for 8 sizes"));
  CHECK_THAT(refusal({.dtype = "doulbe"}), Contains("--dtype double"));
  CHECK_THAT(refusal({.workers = "0"}), Contains("--workers") && Contains("try -j"));
  CHECK_THAT(refusal({.workers = "100000"}), Contains("1 to 96"));
  CHECK_THAT(refusal({.workers = "nan"}), Contains("'nan' is not a whole number"));
  CHECK_THAT(refusal({.operands = "warm"}), Contains("streaming, hot"));
  CHECK_THAT(refusal({.repetitions = "-3"}), Contains("--repetitions"));
  for (const char* const seconds : {"nan", "inf", "0", "-1", "1s", "1e99"}) {
    CHECK_THAT(refusal({.seconds = seconds}), Contains("--time"));
  }
}

TEST_CASE("a file that cannot be written is refused before the measurement") {
  CHECK_THAT(refusal({.json = "/nowhere/x.json"}), Contains("no directory '/nowhere'"));
  CHECK_THAT(refusal({.csv = "/tmp"}), Contains("is a directory"));
  CHECK_THAT(refusal({.plot = "x.png"}), Contains("try --plot x.svg"));
}

TEST_CASE("medians and their confidence intervals are order statistics") {
  const auto nine = summarise({9, 1, 8, 2, 7, 3, 6, 4, 5});
  CHECK(nine.median == 5);
  CHECK(nine.min == 1);
  CHECK(nine.max == 9);
  CHECK(nine.p95 == 9);
  // P(at most one of nine below the median) = 10 / 512 <= 2.5 %.
  CHECK(nine.low == 2);
  CHECK(nine.high == 8);
  CHECK(summarise({4, 1}).median == 2.5);
  CHECK(summarise({4, 1}).low == 1);
  CHECK(summarise({}).median == 0);
}
