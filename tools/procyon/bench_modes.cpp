#include "procyon/bench_modes.hpp"

#include <procyon/blas/thread_limit.hpp>

#include <cblas.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "procyon/every_worker.hpp"

namespace procyon::tool {

namespace {

constexpr std::size_t part = std::size_t{1} << 16;  // elements that one item of a sweep covers

// splitmix64 (Steele, Lea, Flood 2014): the index-th number of the stream `seed`.
std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

template <class T>
void fill(const Array<T>& array, std::uint64_t seed, ThreadPool& threads) {
  const std::size_t size = array.size();
  T* const data = array.data();
  threads.for_index((size + part - 1) / part, [=](std::size_t index) {
    for (std::size_t i = index * part; i < std::min(size, (index + 1) * part); ++i) {
      data[i] = static_cast<T>(static_cast<double>(random_bits(seed, i) >> 11) * 0x1p-53 - 0.5);
    }
  });
}

// Four lanes, so that the multiplications overlap; every word changes all that follow in its lane.
std::uint64_t hash(const unsigned char* bytes, std::size_t size) {
  std::uint64_t lanes[4] = {1, 2, 3, 4};
  std::size_t at = 0;
  for (; at + 32 <= size; at += 32) {
    std::uint64_t words[4];
    std::memcpy(words, bytes + at, 32);
    for (int i = 0; i < 4; ++i) {
      lanes[i] = (lanes[i] ^ words[i]) * 0x9e3779b97f4a7c15;
      lanes[i] ^= lanes[i] >> 29;
    }
  }
  std::uint64_t result = size;
  for (; at < size; ++at) result = random_bits(result, bytes[at]);
  for (const std::uint64_t lane : lanes) result = random_bits(result, lane);
  return result;
}

void gemm(int n, const float* a, const float* b, float* c) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
}
void gemm(int n, const double* a, const double* b, double* c) {
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
}

// The pages that lie wholly in the array; 1 where the kernel cannot (before 5.14).
template <class T>
int enter_pages_of(T* data, std::size_t size) {
  constexpr std::uintptr_t page = 4096;
  const auto begin = (reinterpret_cast<std::uintptr_t>(data) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(data + size) / page * page;
  if (begin >= end) return 0;
  return ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_WRITE) == 0 ? 0 : 1;
}

std::size_t elements(const Workload& workload, bool shared) {
  return workload.size * workload.size * (shared ? 1 : workload.count);
}

}  // namespace

std::string mode_name(Mode mode, std::size_t workers) {
  switch (mode) {
    case Mode::one_caller:
      return fmt::format("one caller, {} BLAS threads", workers);
    case Mode::oversubscribed:
      return fmt::format("{} threads x {} BLAS threads", workers, workers);
    default:
      return mode_key(mode);
  }
}

const char* mode_key(Mode mode) {
  constexpr std::array keys{"serial", "thread", "process", "one_caller", "oversubscribed"};
  return keys[index_of(mode)];
}

template <class T>
BenchBatch<T>::BenchBatch(const Workload& workload, std::uint64_t seed, ThreadPool& filler)
    : workload_(workload),
      a_(elements(workload, workload.shared == Shared::left)),
      b_(elements(workload, workload.shared == Shared::right)),
      c_(elements(workload, false)) {
  fill(a_, 3 * seed, filler);
  fill(b_, 3 * seed + 1, filler);
}

template <class T>
MatrixBatch<const T> BenchBatch<T>::left() const {
  const std::size_t n = workload_.size;
  return {a_.data(), workload_.count, n, n, n, workload_.shared == Shared::left ? 0 : n * n};
}

template <class T>
MatrixBatch<const T> BenchBatch<T>::right() const {
  const std::size_t n = workload_.size;
  return {b_.data(), workload_.count, n, n, n, workload_.shared == Shared::right ? 0 : n * n};
}

template <class T>
MatrixBatch<T> BenchBatch<T>::result() const {
  return {c_.data(), workload_.count, workload_.size, workload_.size};
}

template <class T>
void BenchBatch<T>::multiply(Mode mode, Pools& pools) const {
  const auto one = [a = left(), b = right(), c = result()](std::size_t i) {
    gemm(static_cast<int>(c.rows), a.data + i * a.stride, b.data + i * b.stride,
         c.data + i * c.stride);
  };
  switch (mode) {
    case Mode::serial:
      return gemm_batch(pools.serial, {}, left(), right(), result());
    case Mode::thread:
      return gemm_batch(pools.threads, {}, left(), right(), result());
    case Mode::process:
      return gemm_batch(pools.processes, {}, left(), right(), result());
    case Mode::one_caller: {
      const ThreadLimit limit(pools.threads.size(), "blas");
      for (std::size_t i = 0; i < workload_.count; ++i) one(i);
      return;
    }
    case Mode::oversubscribed: {
      const ThreadLimit limit(pools.threads.size(), "blas");
      return pools.threads.for_index(workload_.count, one);
    }
  }
}

template <class T>
void BenchBatch<T>::multiply_first() const {
  gemm(static_cast<int>(workload_.size), a_.data(), b_.data(), c_.data());
}

template <class T>
void BenchBatch<T>::enter_pages(Pool& processes) const {
  in_every_worker(processes, [a = a_, b = b_, c = c_] {
    int failed = 0;
    for (const Array<T>& array : {a, b, c}) failed += enter_pages_of(array.data(), array.size());
    return failed;
  });
}

template <class T>
void BenchBatch<T>::spoil(ThreadPool& threads) const {
  const std::size_t size = c_.size();
  T* const data = c_.data();
  threads.for_index((size + part - 1) / part, [=](std::size_t index) {
    std::fill(data + index * part, data + std::min(size, (index + 1) * part),
              std::numeric_limits<T>::quiet_NaN());
  });
}

template <class T>
std::uint64_t BenchBatch<T>::fingerprint(ThreadPool& threads) const {
  const std::size_t size = c_.size();
  const auto* const bytes = reinterpret_cast<const unsigned char*>(c_.data());
  const auto parts = threads.map(
      [=](std::size_t begin) {
        return hash(bytes + begin * sizeof(T), std::min(part, size - begin) * sizeof(T));
      },
      [&] {
        std::vector<std::size_t> begins;
        for (std::size_t begin = 0; begin < size; begin += part) begins.push_back(begin);
        return begins;
      }());
  return hash(reinterpret_cast<const unsigned char*>(parts.data()),
              parts.size() * sizeof(parts[0]));
}

template <class T>
GemmCheck BenchBatch<T>::check() const {
  constexpr double budget = 5e6;
  return verify_gemm({}, left(), right(), MatrixBatch<const T>{}, result(), budget);
}

template <class T>
std::size_t BenchBatch<T>::bytes() const {
  return (a_.size() + b_.size() + c_.size()) * sizeof(T);
}

template class BenchBatch<float>;
template class BenchBatch<double>;

}  // namespace procyon::tool
