#pragma once

#include <vector>

#include "kernels/kernels.hpp"
#include "matfac/ratings.hpp"

namespace matfac::als {

/// The side that stays as it is while the rows of the other are solved.
template <class T>
struct Fixed {
  const T* factors;  ///< one row per column of the ratings; no padding is needed
  Index stride;      ///< from row to row
  const T* biases;   ///< of the same side, or null
  T mean;            ///< mu
};

/// The side that is solved.
template <class T>
struct Target {
  T* factors;    ///< first row
  Index stride;  ///< from row to row
  Index n_factors;
  T* biases;  ///< or null
  double regularization;
  double bias_regularization;
  double regularization_exponent;
};

/// The unit of work of ALS: solves the rows [begin, end) of `target` exactly, given `fixed`. Row i of `ratings` (CSR by
/// the target's side) belongs to row i of the target. A row without ratings becomes zero. Where the normal equations
/// are singular (no regularization, fewer ratings than factors) the solution of least norm is taken. Cost of a row with
/// n ratings: n (F^2 + 3F) + F^3 / 3 flop, or n^2 F + n^3 / 3 if that is clearly less (and something is penalized).
template <class T>
void solve_rows(const RatingsView<T>& ratings, Index begin, Index end, const Fixed<T>& fixed, const Target<T>& target,
                int n_threads);

}  // namespace matfac::als
