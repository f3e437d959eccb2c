#pragma once

#include <cmath>
#include <vector>

#include "core/padded_matrix.hpp"
#include "core/sum.hpp"
#include "matfac/types.hpp"

/// Count weighting and the squared penalty: 1/2 sum_n w_n (regularization |x_n|^2 + bias_regularization b_n^2), with
/// w_n = (ratings of row n)^exponent.
namespace matfac {

/// The weight of a row with `count` ratings; a row without any is not penalized (it is zero anyway).
inline double count_weight(Index count, double exponent) {
  if (count == 0) return 0;
  return exponent == 1 ? static_cast<double>(count) : std::pow(static_cast<double>(count), exponent);
}

/// The weights of all rows of a CSR with the given offsets (n_rows + 1 entries).
inline std::vector<double> count_weights(const Index* offsets, Index n_rows, double exponent) {
  std::vector<double> weights(static_cast<std::size_t>(n_rows));
  for (Index i = 0; i < n_rows; ++i) {
    weights[static_cast<std::size_t>(i)] = count_weight(offsets[i + 1] - offsets[i], exponent);
  }
  return weights;
}

/// The penalty of one side. `biases` may be null.
template <class T>
double penalty(const PaddedMatrix<T>& factors, const T* biases, const std::vector<double>& weights,
               double regularization, double bias_regularization, int n_threads) {
  return 0.5 * chunked_sum(factors.rows(), 4096, n_threads, [&](Index begin, Index end) {
           double total = 0;
           for (Index i = begin; i < end; ++i) {
             const T* const row = factors.row(i);
             double squares = 0;
             for (Index f = 0; f < factors.stride(); ++f)
               squares += static_cast<double>(row[f]) * static_cast<double>(row[f]);
             const double b = biases != nullptr ? static_cast<double>(biases[i]) : 0;
             total += weights[static_cast<std::size_t>(i)] * (regularization * squares + bias_regularization * b * b);
           }
           return total;
         });
}

}  // namespace matfac
