#include "procyon/bench_peak.hpp"

#include <procyon/blas/core_type.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <vector>

#include "procyon/bench_output.hpp"

namespace procyon::tool {

namespace {

using Clock = std::chrono::steady_clock;

template <class Vector>
[[gnu::always_inline]] inline void step(Vector& sum, const Vector& factor, const Vector& addend) {
  sum = sum * factor + addend;
}

constexpr int accumulators = 12;

// Twelve accumulators hide the latency of the fused multiply-add on every CPU with two units for
// it, and leave registers for the other two operands; compilers keep an array of them in memory,
// so each has its name. The factor is below 1 and the addend small, so the values stay normal. The
// compiler's vector types let one text serve all widths; without FMA it is two instructions.
template <class T, std::size_t bytes>
[[gnu::always_inline]] inline double burst_of(std::size_t rounds) {
  using Vector [[gnu::vector_size(bytes)]] = T;
  const Vector factor = Vector{} + static_cast<T>(0.5);
  const Vector addend = Vector{} + static_cast<T>(1);
  Vector a = addend, b = a + addend, c = b + addend, d = c + addend, e = d + addend;
  Vector f = e + addend, g = f + addend, h = g + addend, i = h + addend, j = i + addend;
  Vector k = j + addend, l = k + addend;
  for (std::size_t round = 0; round < rounds; ++round) {
    step(a, factor, addend);
    step(b, factor, addend);
    step(c, factor, addend);
    step(d, factor, addend);
    step(e, factor, addend);
    step(f, factor, addend);
    step(g, factor, addend);
    step(h, factor, addend);
    step(i, factor, addend);
    step(j, factor, addend);
    step(k, factor, addend);
    step(l, factor, addend);
  }
  const Vector total = a + b + c + d + e + f + g + h + i + j + k + l;
  return static_cast<double>(total[0]);
}

template <class T>
double plain(std::size_t rounds) {
  return burst_of<T, 16>(rounds);
}

#if defined(__x86_64__)
template <class T>
[[gnu::target("avx2,fma")]] double avx2(std::size_t rounds) {
  return burst_of<T, 32>(rounds);
}

template <class T>
[[gnu::target("avx512f")]] double avx512(std::size_t rounds) {
  return burst_of<T, 64>(rounds);
}
#endif

struct Burst {
  double (*run)(std::size_t rounds);
  std::size_t bytes;
  const char* name;
};

template <class T>
Burst widest() {
#if defined(__x86_64__)
  const blas::CpuFeatures cpu = blas::cpu_features();
  if (cpu.avx512) return {avx512<T>, 64, "AVX-512"};
  if (cpu.avx2_fma) return {avx2<T>, 32, "AVX2 and FMA"};
#endif
  return {plain<T>, 16, "128 bits, no FMA"};
}

Burst widest(bool single_precision) {
  return single_precision ? widest<float>() : widest<double>();
}

// Keeps results from being optimised away.
std::atomic<double> sink = 0;

}  // namespace

// A burst of one core, then the same on all at once: each takes its own time from when all have
// begun, so that a late start does not count as slowness.
void Peak::burst(ThreadPool& threads) {
  constexpr std::size_t rounds = 30'000;
  const Burst burst = widest(single_precision_);
  const std::size_t lanes = burst.bytes / (single_precision_ ? sizeof(float) : sizeof(double));
  const double flops = 2.0 * accumulators * static_cast<double>(rounds * lanes);
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto start = Clock::now();
    sink.store(burst.run(rounds), std::memory_order_relaxed);
    one_core_ = std::max(one_core_, flops / seconds_since(start) * 1e-9);
  }
  const std::size_t workers = threads.size();
  std::atomic<std::size_t> ready = 0;
  std::vector<double> rates(workers);
  threads.for_index(workers, [&](std::size_t worker) {
    ++ready;
    // A pool that gives one thread two of the items must not wait for ever.
    const auto limit = Clock::now() + std::chrono::milliseconds(20);
    while (ready.load() < workers && Clock::now() < limit) {
    }
    const auto start = Clock::now();
    for (int repeat = 0; repeat < 3; ++repeat) sink.store(burst.run(rounds));
    rates[worker] = 3 * flops / seconds_since(start) * 1e-9;
  });
  double total = 0;
  for (const double rate : rates) total += rate;
  const double possible = static_cast<double>(workers) * one_core_;
  all_cores_ = std::max(all_cores_, std::min(total, possible));
}

std::string Peak::vectors() const { return widest(single_precision_).name; }

Triad measure_triad(ThreadPool& threads) {
  constexpr std::size_t length = std::size_t{1} << 23;  // 64 MiB an array
  constexpr std::size_t parts = 64;
  std::vector<double> a(length), b(length, 1), c(length, 2);
  const auto part = [&](std::size_t index) {
    const std::size_t begin = index * (length / parts);
    for (std::size_t i = begin; i < begin + length / parts; ++i) a[i] = b[i] + 3 * c[i];
  };
  const double gigabytes = 3 * sizeof(double) * static_cast<double>(length) * 1e-9;
  Triad triad;
  for (int repeat = 0; repeat < 4; ++repeat) {
    auto start = Clock::now();
    for (std::size_t index = 0; index < parts; ++index) part(index);
    triad.one_core = std::max(triad.one_core, gigabytes / seconds_since(start));
    start = Clock::now();
    threads.for_index(parts, part);
    triad.all_cores = std::max(triad.all_cores, gigabytes / seconds_since(start));
  }
  sink.store(a[length / 2], std::memory_order_relaxed);
  return triad;
}

}  // namespace procyon::tool
