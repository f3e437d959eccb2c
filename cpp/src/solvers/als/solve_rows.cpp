#include "solvers/als/solve_rows.hpp"

#include <algorithm>

#include "core/parallel.hpp"
#include "regularizers/l2.hpp"
#include "solvers/als/least_norm.hpp"

namespace matfac::als {
namespace {

/// One row by its least-norm solution, in double. Only for rows that Cholesky cannot solve.
template <class T>
void solve_least_norm(const Fixed<T>& fixed, const Code* codes, const T* values, Index n, double regularization,
                      double bias_regularization, Index n_factors, T* solution, T* bias) {
  const Index size = n_factors + (bias != nullptr ? 1 : 0);
  std::vector<double> a(static_cast<std::size_t>(n * size), 1.0), r(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) {
    std::copy_n(fixed.factors.row(codes[i]), n_factors, a.data() + i * size);
    const T offset = fixed.biases != nullptr ? fixed.biases[codes[i]] : T(0);
    r[static_cast<std::size_t>(i)] = static_cast<double>(values[i] - fixed.mean - offset);
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
  const Index stride = fixed.factors.stride();
  std::vector<AlignedBuffer<T>> workspaces(static_cast<std::size_t>(resolve_threads(n_threads)));
  parallel_chunks(end - begin, 16, n_threads, [&](Index first, Index last, int thread) {
    auto& workspace = workspaces[static_cast<std::size_t>(thread)];
    if (workspace.size() == 0) workspace = AlignedBuffer<T>(k.solve_row_workspace(stride));
    for (Index i = begin + first; i < begin + last; ++i) {
      const Index start = ratings.offsets[i], n = ratings.offsets[i + 1] - start;
      T* const row = target.factors + i * target.stride;
      T* const bias = target.biases != nullptr ? target.biases + i : nullptr;
      if (n == 0) {
        std::fill_n(row, target.n_factors, T(0));
        if (bias != nullptr) *bias = T(0);
        continue;
      }
      const double weight = count_weight(n, target.regularization_exponent);
      const double l = weight * target.regularization, b = weight * target.bias_regularization;
      // Fewer ratings than unknowns and no penalty: singular for certain, whatever rounding makes of the pivots.
      const Index unknowns = target.n_factors + (bias != nullptr && b == 0 ? 1 : 0);
      const bool is_singular = l == 0 && n < unknowns;
      const Index failed = is_singular
                               ? 0
                               : k.solve_row(fixed.factors.data(), stride, target.n_factors, ratings.items + start,
                                             ratings.values + start, fixed.biases, fixed.mean, n, static_cast<T>(l),
                                             static_cast<T>(b), row, bias, workspace.data());
      if (failed >= 0) {
        solve_least_norm(fixed, ratings.items + start, ratings.values + start, n, l, b, target.n_factors, row, bias);
      }
    }
  });
}

template void solve_rows(const RatingsView<float>&, Index, Index, const Fixed<float>&, const Target<float>&, int);
template void solve_rows(const RatingsView<double>&, Index, Index, const Fixed<double>&, const Target<double>&, int);

}  // namespace matfac::als
