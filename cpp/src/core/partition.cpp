#include "core/partition.hpp"

#include <algorithm>

namespace matfac {

std::vector<Index> balanced_partition(const Index* offsets, Index n, Index n_parts) {
  n_parts = std::max<Index>(1, std::min(n_parts, n));
  std::vector<Index> bounds{0};
  const double total = static_cast<double>(offsets[n] - offsets[0]);
  for (Index p = 1; p < n_parts; ++p) {
    const auto target = offsets[0] + static_cast<Index>(total * static_cast<double>(p) / static_cast<double>(n_parts));
    const Index cut = std::lower_bound(offsets, offsets + n, target) - offsets;
    if (cut > bounds.back()) bounds.push_back(cut);
  }
  if (n > bounds.back() || bounds.size() == 1) bounds.push_back(n);
  return bounds;
}

}  // namespace matfac
