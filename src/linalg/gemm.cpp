#include <procyon/linalg/gemm.hpp>

#include <procyon/base/errors.hpp>
#include <procyon/shm/heap.hpp>

#include <cblas.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <list>
#include <optional>

#include "blas/worker.hpp"
#include "linalg/arguments.hpp"
#include "linalg/callers.hpp"
#include "linalg/shared_copy.hpp"

namespace procyon::linalg {

namespace {

// The time that one product takes on a core that is neither fast nor slow, from memory.
double estimate_seconds(const GemmShape& shape, std::size_t element_size) {
  constexpr double flops_per_second = 40e9;
  constexpr double bytes_per_second = 20e9;
  constexpr double call_seconds = 20e-9;
  const auto m = static_cast<double>(shape.m);
  const auto n = static_cast<double>(shape.n);
  const auto k = static_cast<double>(shape.k);
  const double bytes = static_cast<double>(element_size) * (m * k + k * n + 2 * m * n);
  return 2 * m * n * k / flops_per_second + bytes / bytes_per_second + call_seconds;
}

// How many products make a chunk. Between two chunks the core waits until its stores have reached
// memory, some microseconds of streaming: hence the upper aim. Near the end workers wait for the
// last chunk: hence many chunks a worker, unless they would be too small to be worth it.
std::size_t chunk_for(const GemmShape& shape, std::size_t element_size, std::size_t workers) {
  const double seconds = estimate_seconds(shape, element_size);
  const auto products_in = [seconds](double time) {
    return std::max<std::size_t>(1, static_cast<std::size_t>(time / seconds));
  };
  workers = std::max<std::size_t>(workers, 1);
  const std::size_t fair = shape.count / (32 * workers);
  const std::size_t chunk = std::min(products_in(400e-6), std::max(fair, products_in(20e-6)));
  return std::min(chunk, (shape.count + workers - 1) / workers);
}

template <class T>
void scale(T* c, std::size_t rows, std::size_t cols, std::size_t ld, T beta) {
  for (std::size_t row = 0; row < rows; ++row) {
    T* const begin = c + row * ld;
    if (beta == T{0}) {
      std::fill(begin, begin + cols, T{0});
    } else {
      std::transform(begin, begin + cols, begin, [beta](T value) { return beta * value; });
    }
  }
}

std::string not_shared(const char* name, const Operand& operand) {
  return fmt::format(
      "gemm_batch: {}, in private memory at {}, which worker processes do not see. Keep it in a "
      "procyon::Array, load it with procyon::load_npy, or let the call copy it: "
      "GemmOptions{{.copy = true}}",
      describe(name, operand), operand.data);
}

}  // namespace

void GemmJob::run(std::size_t chunk) const {
  const blas::PinnedScope pinned;
  const std::size_t end = std::min(count_, (chunk + 1) * chunk_);
  for (std::size_t product = chunk * chunk_; product < end; ++product) multiply(product);
}

// What BLAS leaves open or does not do for k = 0 is done here.
void GemmJob::multiply(std::size_t product) const {
  void* const a = a_ + product * a_step_;
  void* const b = b_ + product * b_step_;
  void* const c = c_ + product * c_step_;
  const auto dimension = [](std::size_t value) { return static_cast<blasint>(value); };
  const CBLAS_TRANSPOSE op_a = transpose_a_ != 0 ? CblasTrans : CblasNoTrans;
  const CBLAS_TRANSPOSE op_b = transpose_b_ != 0 ? CblasTrans : CblasNoTrans;
  const auto call = [&]<class T>(auto gemm, T*) {
    const T alpha = static_cast<T>(alpha_);
    const T beta = static_cast<T>(beta_);
    if (k_ == 0) return scale(static_cast<T*>(c), m_, n_, ldc_, beta);
    gemm(CblasRowMajor, op_a, op_b, dimension(m_), dimension(n_), dimension(k_), alpha,
         static_cast<const T*>(a), dimension(lda_), static_cast<const T*>(b), dimension(ldb_), beta,
         static_cast<T*>(c), dimension(ldc_));
  };
  if (element_ == static_cast<std::size_t>(Element::f32)) {
    call(cblas_sgemm, static_cast<float*>(nullptr));
  } else {
    call(cblas_dgemm, static_cast<double*>(nullptr));
  }
}

struct GemmCall::State {
  std::list<SharedCopy> inputs;
  std::optional<SharedCopy> output;
  std::optional<CallerReservation> callers;  // in this process
  std::optional<blas::PinnedScope> pinned;   // in this process
};

GemmCall::GemmCall(const GemmOptions& options, Element element, const Operand& a, const Operand& b,
                   const Operand& c, std::size_t workers, bool isolated)
    : state_(std::make_unique<State>()) {
  const GemmShape shape = check_arguments(options, element, a, b, c);
  check_aliasing(element, a, b, c, shape);
  check_writable(element, c);
  if (shape.count == 0 || shape.m == 0 || shape.n == 0) return;
  const std::size_t size = size_of(element);
  std::array<Operand, 3> operands{a, b, c};
  if (isolated) {
    place(options, element, operands, shape.count);
  } else {
    state_->callers.emplace(workers);
    state_->pinned.emplace();
  }
  const auto [in_a, in_b, in_c] = operands;
  job_.a_ = static_cast<unsigned char*>(in_a.data);
  job_.b_ = static_cast<unsigned char*>(in_b.data);
  job_.c_ = static_cast<unsigned char*>(in_c.data);
  job_.a_step_ = a.stride * size;
  job_.b_step_ = b.stride * size;
  job_.c_step_ = c.stride * size;
  job_.lda_ = a.ld;
  job_.ldb_ = b.ld;
  job_.ldc_ = c.ld;
  job_.m_ = shape.m;
  job_.n_ = shape.n;
  job_.k_ = shape.k;
  job_.alpha_ = options.alpha;
  job_.beta_ = options.beta;
  job_.element_ = static_cast<std::size_t>(element);
  job_.transpose_a_ = options.op_a != Op::none;
  job_.transpose_b_ = options.op_b != Op::none;
  job_.count_ = shape.count;
  job_.chunk_ = chunk_for(shape, size, workers);
}

GemmCall::~GemmCall() = default;

// All are looked at before any is copied.
void GemmCall::place(const GemmOptions& options, Element element, std::array<Operand, 3>& operands,
                     std::size_t count) {
  constexpr std::array names{"A", "B", "C"};
  std::array<bool, 3> foreign{};
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const std::size_t bytes = extent(operands[i], count) * size_of(element);
    foreign[i] = bytes > 0 && !shm::contains(operands[i].data, bytes);
    if (foreign[i] && !options.copy) throw NotShareable(not_shared(names[i], operands[i]));
  }
  for (const std::size_t i : {0U, 1U}) {
    if (!foreign[i]) continue;
    state_->inputs.emplace_back(operands[i], count, element).copy_in();
    operands[i] = state_->inputs.back().shared();
  }
  if (foreign[2]) {
    state_->output.emplace(operands[2], count, element);
    if (options.beta != 0) state_->output->copy_in();
    operands[2] = state_->output->shared();
  }
}

void GemmCall::finish() {
  if (state_->output) state_->output->copy_out();
}

}  // namespace procyon::linalg
