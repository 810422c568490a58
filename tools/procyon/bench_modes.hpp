// The ways to compute one batch, and the batch.
#pragma once

#include <procyon/executor/pool.hpp>
#include <procyon/executor/serial_pool.hpp>
#include <procyon/executor/thread_pool.hpp>
#include <procyon/linalg.hpp>
#include <procyon/shm/array.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "procyon/bench_options.hpp"

namespace procyon::tool {

/// The first three hold BLAS at one thread; the others are what people do by default.
enum class Mode { serial, thread, process, one_caller, oversubscribed };
inline constexpr std::array pinned_modes{Mode::serial, Mode::thread, Mode::process};
inline constexpr std::array default_modes{Mode::one_caller, Mode::oversubscribed};
inline constexpr std::array all_modes{Mode::serial, Mode::thread, Mode::process, Mode::one_caller,
                                      Mode::oversubscribed};
constexpr std::size_t index_of(Mode mode) { return static_cast<std::size_t>(mode); }

/// "process", or "2 threads x 2 BLAS threads".
std::string mode_name(Mode mode, std::size_t workers);
/// For files: "process", "oversubscribed".
const char* mode_key(Mode mode);

/// The pools of a whole run. The processes are started first, while there are no threads.
struct Pools {
  Pools(std::size_t workers, bool pin)
      : processes(PoolOptions{.processes = workers, .pin_cpus = pin}),
        threads(PoolOptions{.processes = workers, .pin_cpus = pin}) {}
  Pool processes;
  ThreadPool threads;
  SerialPool serial;
};

/// The operands of one workload, in shared memory, and the ways to multiply them.
template <class T>
class BenchBatch {
 public:
  BenchBatch(const Workload& workload, std::uint64_t seed, ThreadPool& filler);

  /// C = A B once, all products.
  void multiply(Mode mode, Pools& pools) const;
  /// The first product alone, by a direct call of BLAS in the calling thread.
  void multiply_first() const;
  /// Enters the operands into the page tables of every worker: touching a page for the first time
  /// costs more than a small product, and is not what is measured.
  void enter_pages(Pool& processes) const;
  /// Makes C something that no product is.
  void spoil(ThreadPool& threads) const;
  /// A number that two results share when all their bits are equal, and else with 2^-64.
  std::uint64_t fingerprint(ThreadPool& threads) const;
  /// The error of C as it is, in units of the componentwise bound.
  GemmCheck check() const;
  std::size_t bytes() const;

 private:
  MatrixBatch<const T> left() const;
  MatrixBatch<const T> right() const;
  MatrixBatch<T> result() const;

  Workload workload_;
  Array<T> a_, b_, c_;
};

extern template class BenchBatch<float>;
extern template class BenchBatch<double>;

}  // namespace procyon::tool
