// Order statistics of few samples.
#pragma once

#include <vector>

namespace procyon::tool {

/// Of samples in any order; all 0 where there are none.
struct Summary {
  double median = 0;
  double min = 0, max = 0;
  double p95 = 0;            ///< by the nearest rank
  double low = 0, high = 0;  ///< 95 % confidence interval of the median, by order statistics
};

Summary summarise(std::vector<double> samples);

}  // namespace procyon::tool
