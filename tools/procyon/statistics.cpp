#include "procyon/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace procyon::tool {

namespace {

// The largest r for which the r-th smallest and the r-th largest of n samples enclose the median
// of the distribution with 95 % probability: P(X < r) <= 2.5 % for X binomial(n, 1/2). Below six
// samples there is none, and the range of all is taken.
std::size_t confidence_rank(std::size_t n) {
  double term = std::pow(0.5, static_cast<double>(n));
  double below = 0;
  std::size_t rank = 0;
  while (rank < n && below + term <= 0.025) {
    below += term;
    term *= static_cast<double>(n - rank) / static_cast<double>(rank + 1);
    ++rank;
  }
  return std::max<std::size_t>(rank, 1);
}

}  // namespace

Summary summarise(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const std::size_t n = samples.size();
  const auto rank95 = static_cast<std::size_t>(std::ceil(0.95 * static_cast<double>(n)));
  const std::size_t rank = std::min(confidence_rank(n), (n + 1) / 2);
  return {.median = (samples[(n - 1) / 2] + samples[n / 2]) / 2,
          .min = samples.front(),
          .max = samples.back(),
          .p95 = samples[rank95 - 1],
          .low = samples[rank - 1],
          .high = samples[n - rank]};
}

}  // namespace procyon::tool
