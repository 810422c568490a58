#include "procyon/gemm.hpp"

#include <procyon/linalg.hpp>
#include <procyon/procyon.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include "procyon/blas_fix.hpp"
#include "procyon/gemm_plan.hpp"
#include "procyon/output.hpp"
#include "procyon/parse.hpp"
#include "procyon/progress.hpp"
#include "procyon/suggest.hpp"

namespace procyon::tool {
namespace {

constexpr const char* description = "Multiply stacks of matrices in .npy files";

constexpr const char* details =
    "The rules are those of numpy.matmul: the last two lengths of a shape are a matrix, those\n"
    "before them are broadcast, so a 2-D operand is the same for all products. Operands are\n"
    "mapped, not read; float32 and float64. Each product is computed by one worker. The result\n"
    "is written whole or not at all, under another name first: C.npy may be A.npy or B.npy,\n"
    "which it replaces when it is done.\n"
    "Exit code: 0 done, 1 the work failed, 2 wrong usage.\n\n"
    "Examples:\n"
    "  procyon gemm A.npy B.npy -o C.npy\n"
    "  procyon gemm images.npy dct.npy -o spectra.npy --verify\n"
    "  procyon gemm A.npy B.npy -o C.npy --mode thread -j 4\n";

enum class Mode { process, thread, serial };
const std::vector<std::string> mode_names = {"process", "thread", "serial"};

/// The options as written.
struct Text {
  std::string a, b, output, mode = "process", workers;
  bool verify = false, no_blas_fix = false;
};

struct Request {
  std::string a, b, output;
  Mode mode = Mode::process;
  std::size_t workers = 1;
  bool verify = false;
};

Request check(const Text& text) {
  Request request{.a = text.a, .b = text.b, .output = text.output, .verify = text.verify};
  request.mode = static_cast<Mode>(parse_word("--mode", text.mode, mode_names));
  if (request.mode == Mode::serial && !text.workers.empty() && text.workers != "1") {
    throw CLI::ValidationError(
        "--workers", fmt::format("{} with --mode serial, which has one worker; leave -j out, or "
                                 "try --mode process -j {}",
                                 text.workers, cpu_count()));
  }
  const std::size_t most[] = {engine::max_workers, max_blas_callers, 1};
  request.workers = parse_workers(text.workers, most[static_cast<std::size_t>(request.mode)]);
  return request;
}

/// "float32", "float64", "int64", "complex128": as numpy calls it.
std::string dtype_name(const NpyFile& file) {
  const char* word = "uint";
  if (file.kind() == 'f') word = "float";
  if (file.kind() == 'c') word = "complex";
  if (file.kind() == 'i') word = "int";
  return fmt::format("{}{}", word, 8 * file.element_size());
}

void check_types(const Request& request, const NpyFile& a, const NpyFile& b) {
  for (const auto& [path, file] : {std::pair{&request.a, &a}, std::pair{&request.b, &b}}) {
    if (file->kind() == 'f') continue;
    const bool complex = file->kind() == 'c';
    throw CLI::ValidationError(
        *path, fmt::format("its elements are {}; float32 and float64 can be multiplied; {} in "
                           "numpy: numpy.save('{}', array{}.astype('float64'))",
                           dtype_name(*file), complex ? "keep the real part alone" : "convert them",
                           *path, complex ? ".real" : ""));
  }
  if (a.element_size() == b.element_size()) return;
  const std::string& narrow = a.element_size() < b.element_size() ? request.a : request.b;
  throw CLI::ValidationError(
      request.a + " and " + request.b,
      fmt::format("{} and {} cannot be multiplied without a copy; make them the same in numpy: "
                  "numpy.save('{}', array.astype('float64'))",
                  dtype_name(a), dtype_name(b), narrow));
}

GemmPlan plan_for(const NpyFile& a, const NpyFile& b) {
  try {
    return plan_gemm(a.shape(), b.shape());
  } catch (const std::invalid_argument& error) {
    throw CLI::ValidationError(error.what());
  }
}

/// The three operands of the whole call, and the part of them that one `gemm_batch` takes.
template <class T>
struct Operands {
  const GemmPlan& plan;
  const T* a;
  const T* b;
  T* c;

  MatrixBatch<const T> part_of_a(const Batch& at, std::size_t first, std::size_t count) const {
    return {a + at.a + first * plan.a_step, count, plan.rows, plan.inner, plan.inner, plan.a_step};
  }
  MatrixBatch<const T> part_of_b(const Batch& at, std::size_t first, std::size_t count) const {
    return {b + at.b + first * plan.b_step, count, plan.inner, plan.cols, plan.cols, plan.b_step};
  }
  MatrixBatch<T> part_of_c(const Batch& at, std::size_t first, std::size_t count) const {
    return {c + at.c + first * plan.c_step, count, plan.rows, plan.cols, plan.cols, plan.c_step};
  }
};

/// All products in one go, or where somebody watches in pieces of some tenths of a second.
template <class T, class E>
void multiply(E& executor, const Operands<T>& operands) {
  using Clock = std::chrono::steady_clock;
  const GemmPlan& plan = operands.plan;
  Progress progress("multiplying");
  const double all = static_cast<double>(plan.batches.size()) * static_cast<double>(plan.count);
  std::size_t piece = progress.active() ? 4 * executor.size() : plan.count;
  std::size_t done = 0;
  for (const Batch& batch : plan.batches) {
    for (std::size_t first = 0; first < plan.count;) {
      const std::size_t count = std::min(piece, plan.count - first);
      const auto begun = Clock::now();
      gemm_batch(executor, GemmOptions{}, operands.part_of_a(batch, first, count),
                 operands.part_of_b(batch, first, count), operands.part_of_c(batch, first, count));
      first += count;
      done += count;
      progress.show(static_cast<double>(done) / all);
      if (Clock::now() - begun < std::chrono::milliseconds(200)) {
        piece = std::min(2 * piece, plan.count);
      }
    }
  }
}

/// Runs `f` with the executor that was asked for.
template <class F>
void with_executor(const Request& request, F f) {
  if (request.mode == Mode::process) {
    Pool pool(request.workers);
    f(pool);
  } else if (request.mode == Mode::thread) {
    ThreadPool pool(request.workers);
    f(pool);
  } else {
    SerialPool pool;
    f(pool);
  }
}

struct Verdict {
  GemmCheck worst;
  std::size_t worst_product = 0;  // counted through all of C
  std::size_t checked = 0;
};

template <class T>
Verdict verify(const Operands<T>& operands) {
  const GemmPlan& plan = operands.plan;
  Verdict verdict;
  Progress progress("verifying");
  const auto batches = static_cast<double>(plan.batches.size());
  const double budget = 2e8 / std::max(batches, 1.0);
  double done = 0;
  for (const Batch& batch : plan.batches) {
    const auto c = operands.part_of_c(batch, 0, plan.count);
    const GemmCheck check = verify_gemm(GemmOptions{}, operands.part_of_a(batch, 0, plan.count),
                                        operands.part_of_b(batch, 0, plan.count), c, c, budget);
    verdict.checked += check.checked;
    if (!(check.worst_ratio <= verdict.worst.worst_ratio)) {
      verdict.worst = check;
      verdict.worst_product =
          (batch.c + check.product * plan.c_step) / std::max<std::size_t>(plan.rows * plan.cols, 1);
    }
    progress.show(++done / batches);
  }
  return verdict;
}

std::string describe(const Verdict& verdict, const GemmPlan& plan) {
  const GemmCheck& worst = verdict.worst;
  const std::string where =
      fmt::format("product {}, row {}, column {}", verdict.worst_product, worst.row, worst.col);
  if (!worst.passed()) {
    return fmt::format(
        "wrong result: {} is {:.17g} and should be {:.17g} within {:.2g} (error {} "
        "times the bound)",
        where, worst.computed, worst.reference, worst.bound, worst.worst_ratio);
  }
  return fmt::format(
      "verified: largest error {:.3g} of the bound, at {} ({} of {} elements "
      "compared)",
      worst.worst_ratio, where, verdict.checked, plan.c_size);
}

template <class T>
std::string compute(const Request& request, const Operands<T>& operands) {
  using Clock = std::chrono::steady_clock;
  const GemmPlan& plan = operands.plan;
  double seconds = 0;
  with_executor(request, [&](auto& executor) {
    const auto begun = Clock::now();
    multiply(executor, operands);
    seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  });
  std::string report = fmt::format(
      "{} products of {}x{} by {}x{}, {}; {} mode, {} worker{}: {:.3g} s, {:.3g} GFLOP/s\n",
      plan.batches.size() * plan.count, plan.rows, plan.inner, plan.inner, plan.cols,
      sizeof(T) == 4 ? "float32" : "float64", mode_names[static_cast<std::size_t>(request.mode)],
      request.workers, request.workers == 1 ? "" : "s", seconds,
      seconds > 0 ? plan.flops() / seconds * 1e-9 : 0);
  if (request.verify) {
    const Verdict verdict = verify(operands);
    if (!verdict.worst.passed()) throw std::runtime_error(describe(verdict, plan));
    report += describe(verdict, plan) + "\n";
  }
  return report;
}

template <class T>
void run(const Request& request, const NpyFile& a_file, const NpyFile& b_file) {
  const GemmPlan plan = plan_for(a_file, b_file);
  NpyWriter<T> writer(request.output, plan.c_shape);
  const auto a = a_file.load<const T>();
  const auto b = b_file.load<const T>();
  const Array<T> c(plan.c_size);
  std::string report;
  try {
    report = compute(request, Operands<T>{plan, a.data.data(), b.data.data(), c.data()});
  } catch (const std::exception& error) {
    throw std::runtime_error(fmt::format("{}; {} was not written", error.what(), request.output));
  }
  writer.write(c);
  const std::string done =
      fmt::format("{} {} x {} {} -> {} {}\n{}", request.a, shape_text(a.shape), request.b,
                  shape_text(b.shape), request.output, shape_text(plan.c_shape), report);
  request.output == "/dev/stdout" ? complain(done) : print(done);
}

/// The .npy file in the same folder whose name is nearest to that of one that is not there.
std::string meant_instead_of(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(path).parent_path();
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, error)) {
    if (entry.path().extension() == ".npy") names.push_back(entry.path().filename().string());
  }
  const auto meant = nearest(fs::path(path).filename().string(), names);
  return meant ? fmt::format("; did you mean {}?", (folder / *meant).string()) : "";
}

NpyFile open_operand(const std::string& path) {
  try {
    return NpyFile(path);
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::no_such_file_or_directory) throw;
    throw std::runtime_error(error.what() + meant_instead_of(path));
  }
}

void gemm(const Text& text) {
  const Request request = check(text);
  if (!text.no_blas_fix) {
    if (const std::string fixed = fix_blas_kernels(); !fixed.empty()) {
      complain(fixed + "\n");
    }
  }
  const NpyFile a = open_operand(request.a), b = open_operand(request.b);
  check_types(request, a, b);
  if (a.element_size() == sizeof(float)) {
    run<float>(request, a, b);
  } else {
    run<double>(request, a, b);
  }
}

}  // namespace

void add_gemm(CLI::App& app) {
  auto text = std::make_shared<Text>();
  CLI::App* const command = app.add_subcommand("gemm", description);
  command->footer(details);
  command->add_option("A", text->a, "Left operand, a .npy file")->required()->type_name("A.npy");
  command->add_option("B", text->b, "Right operand, a .npy file")->required()->type_name("B.npy");
  command->add_option("-o,--output", text->output, "The product")->required()->type_name("C.npy");
  command->add_option("--mode", text->mode, "Where products are computed: process, thread, serial")
      ->type_name("MODE")
      ->capture_default_str();
  command->add_option("-j,--workers", text->workers, "Processes or threads (default: CPUs)")
      ->type_name("N");
  command->add_flag("--verify", text->verify,
                    "Compare with a reference of higher precision, and fail past the error bound");
  command->add_flag("--no-blas-fix", text->no_blas_fix,
                    "Keep the kernels that OpenBLAS chose, right or wrong for this CPU");
  command->callback([text, command] {
    refuse_empty_values(*command);
    gemm(*text);
  });
}

}  // namespace procyon::tool
