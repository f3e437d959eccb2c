#pragma once

#include <vector>

#include "core/parallel.hpp"

namespace matfac {

/// The sum of `partial(begin, end)` over [0, n) cut into chunks of fixed size: in parallel, and always the same bits.
template <class Partial>
double chunked_sum(Index n, Index chunk, int n_threads, const Partial& partial) {
  const Index n_chunks = (n + chunk - 1) / chunk;
  std::vector<double> sums(static_cast<std::size_t>(n_chunks));
  parallel_chunks(n, chunk, n_threads, [&](Index begin, Index end, int) {
    sums[static_cast<std::size_t>(begin / chunk)] = partial(begin, end);
  });
  double total = 0;
  for (const double s : sums) total += s;
  return total;
}

}  // namespace matfac
