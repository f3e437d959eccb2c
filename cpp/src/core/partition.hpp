#pragma once

#include <vector>

#include "matfac/types.hpp"

namespace matfac {

/// Cuts rows [0, n) into at most `n_parts` runs of about equal weight, given the running sums `offsets` (n + 1
/// entries): part p is [result[p], result[p + 1]). The cut depends on the data alone. O(n_parts log n).
std::vector<Index> balanced_partition(const Index* offsets, Index n, Index n_parts);

}  // namespace matfac
