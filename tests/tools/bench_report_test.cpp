// What the report says of results: good ones, and ones that must not pass.
#include <catch.hpp>
#include <string>

#include "procyon/bench_report.hpp"

using Catch::Contains;
using namespace procyon::tool;

namespace {

// Serial mode takes 2 s, thread mode 1.1 s and process mode 1 s, nine times alike.
BenchRun good_run() {
  BenchRow row;
  row.workload = {.size = 1000, .count = 50, .shared = Shared::right};
  for (const Mode mode : all_modes) {
    const double seconds = mode == Mode::serial ? 2 : mode == Mode::thread ? 1.1 : 1;
    row.modes[index_of(mode)] = {.seconds = std::vector<double>(9, seconds), .fingerprint = 5};
  }
  BenchRun run;
  run.options.workers = 2;
  run.peak_one = 100;
  run.peak_all = 200;
  run.rows = {row};
  run.threads = {{.mode = Mode::serial, .processes = {{.tasks = 4, .active = 1}}},
                 {.mode = Mode::process, .processes = {{.tasks = 1}, {.tasks = 1}}}};
  return run;
}

}  // namespace

TEST_CASE("speeds, ratios and shares of the peak are of medians") {
  const BenchRun run = good_run();
  CHECK(run.gflops(run.rows[0], Mode::serial) == Approx(50));
  CHECK(run.gflops(run.rows[0], Mode::process) == Approx(100));
  CHECK(run.percent_of_peak(run.rows[0], Mode::serial) == Approx(50));
  CHECK(run.percent_of_peak(run.rows[0], Mode::process) == Approx(50));
  CHECK_THAT(verdict(run.rows[0]), Contains("n = 1000: process mode is 2.00 x serial and 1.10 x "
                                            "thread mode; the bits of the three are equal."));
  CHECK(failures(run).empty());
}

TEST_CASE("a difference that the samples do not show is called none") {
  BenchRun run = good_run();
  run.rows[0].modes[index_of(Mode::process)].seconds = {1, 1.2, 1, 1.2, 1, 1.2, 1, 1.2, 1};
  CHECK_THAT(verdict(run.rows[0]), Contains("(no difference that these samples show)"));
}

TEST_CASE("other bits, a large error and threads too many are failures") {
  BenchRun bits = good_run();
  bits.rows[0].modes[index_of(Mode::process)].fingerprint = 6;
  CHECK_THAT(verdict(bits.rows[0]), Contains("NOT EQUAL"));
  CHECK_THAT(failures(bits), Contains("n = 1000: process mode gave other bits"));
  CHECK_THAT(table_text(bits), Contains("differ"));
  BenchRun wrong = good_run();
  wrong.rows[0].error = 1.5;
  CHECK_THAT(failures(wrong), Contains("1.5 times the bound"));
  BenchRun many = good_run();
  many.threads[1].processes[1].tasks = 2;
  CHECK_THAT(failures(many), Contains("process mode: BLAS had more threads"));
  many = good_run();
  many.threads[0].processes[0].strangers = 1;
  CHECK_THAT(failures(many), Contains("serial mode: BLAS had more threads"));
}

TEST_CASE("other bits where BLAS has many threads are told, and no failure") {
  BenchRun run = good_run();
  run.rows[0].modes[index_of(Mode::one_caller)].fingerprint = 6;
  CHECK(failures(run).empty());
  CHECK_THAT(table_text(run), Contains("differ"));
}
