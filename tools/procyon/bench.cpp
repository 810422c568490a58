#include "procyon/bench.hpp"

#include <memory>

#include "procyon/bench_gemm.hpp"
#include "procyon/bench_options.hpp"
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
  gemm->add_option("--json", text->json, "Everything, raw samples included")->type_name("FILE");
  gemm->add_option("--csv", text->csv, "The table")->type_name("FILE");
  gemm->add_option("--plot", text->plot, "GFLOP/s and ratios over size (needs gnuplot)")
      ->type_name("FILE.svg");
  gemm->add_flag("--pin", text->pin,
                 "Keep each thread and process of the pools on one CPU (default: they may move)");
  gemm->add_flag("--no-blas-fix", text->no_blas_fix,
                 "Keep the kernels that OpenBLAS chose, right or wrong for this CPU");
  gemm->callback([text, gemm] {
    refuse_empty_values(*gemm);
    bench_gemm(check_options(*text));
  });
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* const bench = app.add_subcommand("bench", "Measure this machine");
  bench->require_subcommand(1);
  bench->footer("Examples:\n  procyon bench gemm\n  procyon bench gemm --help\n");
  add_gemm(*bench);
}

}  // namespace procyon::tool
