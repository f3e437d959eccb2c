#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/aligned.hpp"
#include "kernels/kernels.hpp"
#include "solvers/als/least_norm.hpp"

namespace matfac::als {

/// One row by its least-norm solution, in double. Only for rows that Cholesky cannot solve.
template <class T>
void solve_least_norm(const RowProblem<T>& problem, T* solution, T* bias) {
  const Index n = problem.n, n_factors = problem.n_factors;
  const Index size = n_factors + (bias != nullptr ? 1 : 0);
  std::vector<double> a(static_cast<std::size_t>(n * size), 1.0), r(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) {
    double* const row = a.data() + i * size;
    std::copy_n(problem.fixed + problem.codes[i] * problem.fixed_stride, n_factors, row);
    const T offset = problem.offsets != nullptr ? problem.offsets[problem.codes[i]] : T(0);
    r[static_cast<std::size_t>(i)] = static_cast<double>(problem.values[i] - problem.mean - offset);
    if (problem.weights == nullptr) continue;
    const double root = std::sqrt(static_cast<double>(problem.weights[i]));
    for (Index f = 0; f < size; ++f) row[f] *= root;
    r[static_cast<std::size_t>(i)] = root > 0 ? static_cast<double>(problem.values[i]) / root : 0.0;
  }
  std::vector<double> penalties(static_cast<std::size_t>(size), static_cast<double>(problem.regularization));
  if (bias != nullptr) penalties.back() = static_cast<double>(problem.bias_regularization);
  const std::vector<double> x = least_norm(a, r, penalties);
  std::transform(x.begin(), x.begin() + n_factors, solution, [](double value) { return static_cast<T>(value); });
  if (bias != nullptr) *bias = static_cast<T>(x.back());
}

/// The same for a system that is more than its ratings, without a bias: (V^T D V + B + lambda I)^+ (h + linear).
template <class T>
void solve_least_norm_with_base(const RowProblem<T>& problem, T* solution) {
  const Index n_factors = problem.n_factors, lda = padded<T>(n_factors) + kLanes<T>;
  std::vector<double> a(static_cast<std::size_t>(n_factors * n_factors)), h(static_cast<std::size_t>(n_factors));
  for (Index f = 0; f < n_factors; ++f) {
    if (problem.linear != nullptr) h[static_cast<std::size_t>(f)] = static_cast<double>(problem.linear[f]);
    for (Index g = 0; g < n_factors; ++g) {
      a[static_cast<std::size_t>(f * n_factors + g)] = static_cast<double>(problem.base[f * lda + g]);
    }
    a[static_cast<std::size_t>(f * n_factors + f)] += static_cast<double>(problem.regularization);
  }
  for (Index i = 0; i < problem.n; ++i) {
    const T* const v = problem.fixed + problem.codes[i] * problem.fixed_stride;
    const double weight = static_cast<double>(problem.weights[i]), value = static_cast<double>(problem.values[i]);
    for (Index f = 0; f < n_factors; ++f) {
      h[static_cast<std::size_t>(f)] += value * static_cast<double>(v[f]);
      const double scaled = weight * static_cast<double>(v[f]);
      for (Index g = 0; g < n_factors; ++g) {
        a[static_cast<std::size_t>(f * n_factors + g)] += scaled * static_cast<double>(v[g]);
      }
    }
  }
  const std::vector<double> x = least_norm_of_system(a, h);
  std::transform(x.begin(), x.end(), solution, [](double value) { return static_cast<T>(value); });
}

}  // namespace matfac::als
