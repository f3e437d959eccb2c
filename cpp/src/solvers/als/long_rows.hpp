#pragma once

#include <algorithm>
#include <vector>

#include "core/aligned.hpp"
#include "core/parallel.hpp"
#include "kernels/kernels.hpp"

namespace matfac::als {

/// A row with more ratings than this is cut into parts, at most kMaxParts of them.
inline constexpr Index kLongRow = 1 << 16;
inline constexpr Index kPart = 1 << 14;
inline constexpr Index kMaxParts = 32;

/// Accumulates a row's system in parts of a size that its length alone decides, and adds the parts up pairwise: the
/// same bits at any number of threads. Returns the sum of the targets; the system is left in `first`.
template <class T>
double accumulate_in_parts(const RowProblem<T>& problem, T* first, int n_threads) {
  const auto& k = kernels<T>();
  const Index part = std::max(kPart, (problem.n + kMaxParts - 1) / kMaxParts);
  const Index n_parts = (problem.n + part - 1) / part;
  std::vector<AlignedBuffer<T>> others(static_cast<std::size_t>(n_parts - 1));
  for (auto& system : others) system = AlignedBuffer<T>(k.row_system_size(problem.n_factors));
  std::vector<AlignedBuffer<T>> panels(static_cast<std::size_t>(resolve_threads(n_threads)));
  std::vector<double> totals(static_cast<std::size_t>(n_parts));
  const auto system = [&](Index j) { return j == 0 ? first : others[static_cast<std::size_t>(j - 1)].data(); };
  parallel_for(n_parts, n_threads, [&](Index j, int thread) {
    auto& own_panels = panels[static_cast<std::size_t>(thread)];
    if (own_panels.size() == 0) own_panels = AlignedBuffer<T>(k.row_panels_size(problem.n_factors));
    const Index start = j * part;
    const Code* fetched = nullptr;
    RowProblem<T> own = problem;
    own.fetched = &fetched;
    totals[static_cast<std::size_t>(j)] = k.accumulate_row(own, start, std::min(part, problem.n - start), true,
                                                           system(j), own_panels.data());
  });
  for (Index distance = 1; distance < n_parts; distance *= 2) {
    for (Index j = 0; j + distance < n_parts; j += 2 * distance) {
      k.add_system(problem.n_factors, system(j + distance), system(j));
      totals[static_cast<std::size_t>(j)] += totals[static_cast<std::size_t>(j + distance)];
    }
  }
  return totals[0];
}

/// The same for a row of any length; `panels` are the thread's.
template <class T>
double accumulate(const RowProblem<T>& problem, T* system, T* panels, int n_threads) {
  if (problem.n <= kLongRow) return kernels<T>().accumulate_row(problem, 0, problem.n, true, system, panels);
  return accumulate_in_parts(problem, system, n_threads);
}

}  // namespace matfac::als
