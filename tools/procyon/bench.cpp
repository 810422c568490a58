#include "procyon/bench.hpp"

#include <memory>

#include "procyon/bench_gemm.hpp"
#include "procyon/bench_options.hpp"
#include "procyon/bench_start.hpp"
#include "procyon/parse.hpp"

namespace procyon::tool {

namespace {

constexpr const char* gemm_description =
    "Batched matrix products in serial, thread and process mode";

constexpr const char* gemm_details =
    "All modes have the same data and the same kernels, and are interleaved in random order.\n"
    "Beside them what people do by default: one caller with multi-threaded BLAS, and N threads\n"
    "that each call N-threaded BLAS.\n\n"
    "Examples:\n"
    "  procyon bench gemm\n"
    "  procyon bench gemm --sizes 256 --batch 256 --shared right\n"
    "  procyon bench gemm --sizes 8,16,32 --dtype float --operands hot\n"
    "  procyon bench gemm -j 4 --json run.json --csv run.csv --plot run.svg\n";

void add_files(CLI::App& command, std::string& json, std::string& csv, std::string& plot,
               const char* picture) {
  command.add_option("--json", json, "Everything, raw samples included")->type_name("FILE");
  command.add_option("--csv", csv, "The table")->type_name("FILE");
  command.add_option("--plot", plot, picture)->type_name("FILE.svg");
}

void add_gemm(CLI::App& bench) {
  auto text = std::make_shared<BenchText>();
  CLI::App* const gemm = bench.add_subcommand("gemm", gemm_description);
  gemm->footer(gemm_details);
  gemm->add_option("--sizes", text->sizes, "Rows and columns of the square matrices, by commas")
      ->type_name("LIST");
  gemm->add_option("--batch", text->batch,
                   "Products a batch: one number, or one for each size (default: by size)")
      ->type_name("LIST");
  gemm->add_option("--dtype", text->dtype, "Elements: double or float")->type_name("TYPE");
  gemm->add_option("-j,--workers", text->workers, "Threads and processes (default: CPUs)")
      ->type_name("N");
  gemm->add_option(
          "--operands", text->operands,
          "streaming: each product's own, from memory; hot: few, in cache, again and again")
      ->type_name("WHICH");
  gemm->add_option("--shared", text->shared,
                   "One matrix for all products: none, left, right, or auto (right for 256)")
      ->type_name("WHICH");
  gemm->add_option("-r,--repetitions", text->repetitions,
                   "Samples of each mode (default: 9, fewer of large sizes to keep to --time)")
      ->type_name("N");
  gemm->add_option("--time", text->seconds, "Seconds that the samples should take together")
      ->type_name("SECONDS");
  gemm->add_option("--seed", text->seed, "Of the data and the order of samples")->type_name("N");
  add_files(*gemm, text->json, text->csv, text->plot,
            "GFLOP/s and ratios over size (needs gnuplot)");
  gemm->add_flag("--pin", text->pin,
                 "Keep each thread and process of the pools on one CPU (default: they may move)");
  gemm->add_flag("--no-blas-fix", text->no_blas_fix,
                 "Keep the kernels that OpenBLAS chose, right or wrong for this CPU");
  gemm->callback([text, gemm] {
    refuse_empty_values(*gemm);
    bench_gemm(check_options(*text));
  });
}

constexpr const char* start_description = "From making a pool of two to its first result";

constexpr const char* start_details =
    "Every start method in turn, and forkserver also in a program with much private memory, each\n"
    "beside Python's multiprocessing.Pool(2) with the same method where python3 is installed.\n"
    "Samples of all are interleaved in random order. Not counted: the end of the pool, and what\n"
    "a program starts once (init() here, the fork server of either).\n\n"
    "Examples:\n"
    "  procyon bench start\n"
    "  procyon bench start -r 50 --no-python\n"
    "  procyon bench start --memory 4096 --json run.json --csv run.csv --plot run.svg\n";

void add_start(CLI::App& bench) {
  auto text = std::make_shared<StartText>();
  CLI::App* const start = bench.add_subcommand("start", start_description);
  start->footer(start_details);
  start
      ->add_option("-r,--repetitions", text->repetitions,
                   "Samples of each (default: as many as --time allows, five at least)")
      ->type_name("N");
  start->add_option("--time", text->seconds, "Seconds that the samples should take together")
      ->type_name("SECONDS");
  start
      ->add_option("--memory", text->memory,
                   "Private memory of the large program, in MiB (default: 1024, if it fits)")
      ->type_name("MIB");
  start->add_option("--seed", text->seed, "Of the order of samples")->type_name("N");
  add_files(*start, text->json, text->csv, text->plot, "The medians (needs gnuplot)");
  start->add_flag("--no-python", text->no_python, "Leave Python out");
  start->callback([text, start] {
    refuse_empty_values(*start);
    bench_start(check_options(*text));
  });
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* const bench = app.add_subcommand("bench", "Measure this machine");
  bench->require_subcommand(1);
  bench->footer(
      "Examples:\n  procyon bench gemm\n  procyon bench start\n  procyon bench gemm --help\n");
  add_gemm(*bench);
  add_start(*bench);
}

}  // namespace procyon::tool
