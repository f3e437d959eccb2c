#include "solvers/als/solve_rows.hpp"

#include <algorithm>

#include "core/parallel.hpp"
#include "regularizers/l2.hpp"
#include "solvers/als/least_norm.hpp"

namespace matfac::als {
namespace {

/// A row with more ratings than this is cut into parts, at most kMaxParts of them.
constexpr Index kLongRow = 1 << 16;
constexpr Index kPart = 1 << 14;
constexpr Index kMaxParts = 32;

/// Accumulates a row's system in parts of a size that its length alone decides, and adds the parts up pairwise: the
/// same bits at any number of threads. Returns the sum of the targets; the system is left in `workspace`.
template <class T>
double accumulate_in_parts(const RowProblem<T>& problem, T* workspace, Index workspace_size, int n_threads) {
  const auto& k = kernels<T>();
  const Index part = std::max(kPart, (problem.n + kMaxParts - 1) / kMaxParts);
  const Index n_parts = (problem.n + part - 1) / part;
  std::vector<AlignedBuffer<T>> buffers(static_cast<std::size_t>(n_parts - 1));
  std::vector<double> totals(static_cast<std::size_t>(n_parts));
  const auto system = [&](Index j) { return j == 0 ? workspace : buffers[static_cast<std::size_t>(j - 1)].data(); };
  parallel_for(n_parts, n_threads, [&](Index j, int) {
    if (j > 0) buffers[static_cast<std::size_t>(j - 1)] = AlignedBuffer<T>(workspace_size);
    const Index start = j * part;
    const Code* fetched = nullptr;
    RowProblem<T> own = problem;
    own.fetched = &fetched;
    totals[static_cast<std::size_t>(j)] = k.accumulate_row(own, start, std::min(part, problem.n - start), true,
                                                           system(j));
  });
  for (Index distance = 1; distance < n_parts; distance *= 2) {
    for (Index j = 0; j + distance < n_parts; j += 2 * distance) {
      k.add_system(problem.n_factors, system(j + distance), system(j));
      totals[static_cast<std::size_t>(j)] += totals[static_cast<std::size_t>(j + distance)];
    }
  }
  return totals[0];
}

/// One row by its least-norm solution, in double. Only for rows that Cholesky cannot solve.
template <class T>
void solve_least_norm(const Fixed<T>& fixed, const RowProblem<T>& problem, double regularization,
                      double bias_regularization, T* solution, T* bias) {
  const Index n = problem.n, n_factors = problem.n_factors;
  const Index size = n_factors + (bias != nullptr ? 1 : 0);
  std::vector<double> a(static_cast<std::size_t>(n * size), 1.0), r(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) {
    std::copy_n(fixed.factors + problem.codes[i] * fixed.stride, n_factors, a.data() + i * size);
    const T offset = fixed.biases != nullptr ? fixed.biases[problem.codes[i]] : T(0);
    r[static_cast<std::size_t>(i)] = static_cast<double>(problem.values[i] - fixed.mean - offset);
  }
  std::vector<double> penalties(static_cast<std::size_t>(size), regularization);
  if (bias != nullptr) penalties.back() = bias_regularization;
  const std::vector<double> x = least_norm(a, r, penalties);
  std::transform(x.begin(), x.begin() + n_factors, solution, [](double value) { return static_cast<T>(value); });
  if (bias != nullptr) *bias = static_cast<T>(x.back());
}

}  // namespace

template <class T>
void solve_rows(const RatingsView<T>& ratings, Index begin, Index end, const Fixed<T>& fixed, const Target<T>& target,
                int n_threads) {
  const auto& k = kernels<T>();
  const Index n_factors = target.n_factors, last = ratings.offsets[end];
  const Index workspace_size = k.solve_row_workspace(n_factors);
  const auto solve = [&](Index i, T* workspace, const Code*& fetched, int row_threads) {
    const Index start = ratings.offsets[i], n = ratings.offsets[i + 1] - start;
    T* const row = target.factors + i * target.stride;
    T* const bias = target.biases != nullptr ? target.biases + i : nullptr;
    if (n == 0) {
      std::fill_n(row, n_factors, T(0));
      if (bias != nullptr) *bias = T(0);
      return;
    }
    const double weight = count_weight(n, target.regularization_exponent);
    const double l = weight * target.regularization, b = weight * target.bias_regularization;
    // Fewer ratings than unknowns and no penalty: singular for certain, whatever rounding makes of the pivots.
    const Index unknowns = n_factors + (bias != nullptr && b == 0 ? 1 : 0);
    const RowProblem<T> problem{.fixed = fixed.factors,
                                .fixed_stride = fixed.stride,
                                .n_factors = n_factors,
                                .codes = ratings.items + start,
                                .values = ratings.values + start,
                                .n = n,
                                .n_ahead = last - start - n,
                                .fetched = &fetched,
                                .offsets = fixed.biases,
                                .mean = fixed.mean,
                                .regularization = static_cast<T>(l),
                                .bias_regularization = static_cast<T>(b)};
    const bool is_singular = l == 0 && n < unknowns;
    Index failed = 0;
    if (!is_singular && n <= kLongRow) {
      failed = k.solve_row(problem, workspace, row, bias);
    } else if (!is_singular) {
      const double total = accumulate_in_parts(problem, workspace, workspace_size, row_threads);
      failed = k.finish_row(problem, total, workspace, row, bias);
    }
    if (failed >= 0) solve_least_norm(fixed, problem, l, b, row, bias);
  };

  std::vector<AlignedBuffer<T>> workspaces(static_cast<std::size_t>(resolve_threads(n_threads)));
  const auto workspace_of = [&](int thread) {
    auto& workspace = workspaces[static_cast<std::size_t>(thread)];
    if (workspace.size() == 0) workspace = AlignedBuffer<T>(workspace_size);
    return workspace.data();
  };
  // Long rows first, one by one with all threads, then the others, many at once.
  const auto is_long = [&](Index i) { return ratings.offsets[i + 1] - ratings.offsets[i] > kLongRow; };
  const Code* fetched = nullptr;
  for (Index i = begin; i < end; ++i) {
    if (is_long(i)) solve(i, workspace_of(0), fetched, n_threads);
  }
  parallel_chunks(end - begin, 16, n_threads, [&](Index first, Index stop, int thread) {
    const Code* fetched_here = nullptr;
    for (Index i = begin + first; i < begin + stop; ++i) {
      if (!is_long(i)) solve(i, workspace_of(thread), fetched_here, 1);
    }
  });
}

template void solve_rows(const RatingsView<float>&, Index, Index, const Fixed<float>&, const Target<float>&, int);
template void solve_rows(const RatingsView<double>&, Index, Index, const Fixed<double>&, const Target<double>&, int);

}  // namespace matfac::als
