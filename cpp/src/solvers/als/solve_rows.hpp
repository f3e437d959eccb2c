#pragma once

#include <vector>

#include "kernels/kernels.hpp"
#include "matfac/ratings.hpp"
#include "matfac/settings.hpp"

namespace matfac::als {

/// The side that stays as it is while the rows of the other are solved.
template <class T>
struct Fixed {
  const T* factors;  ///< one row per column of the ratings
  Index stride;      ///< from row to row
  bool is_padded;    ///< whether the rows are those of a PaddedMatrix: no need, but faster
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

/// The least values of the rows' own problems, penalties included, and what they would cost with estimates of 0, the
/// offset that is fixed apart; one entry a row.
struct RowMinima {
  explicit RowMinima(Index n_rows) : least(static_cast<std::size_t>(n_rows)), at_zero(least.size()) {}
  std::vector<double> least, at_zero;
};

/// What a row's problem is made of beside squares of its ratings' errors, and how it is solved.
template <class T>
struct Method {
  /// Another loss than the squared, null for that: each row lowers `majorizers` parabolas above it, one after the
  /// other, each touching it where the row is. Then no row's objective rises.
  const PointLoss<T>* loss = nullptr;
  int majorizers = 1;
  /// implicit_squared: V^T V of the fixed side (F x F), and the loss's numbers; null for other losses.
  const std::vector<double>* gram = nullptr;
  double unobserved_weight = 1;
  double confidence_scale = 1;
  double l1_regularization = 0;  ///< with this or the next each row is solved by coordinate descent
  bool nonnegative = false;
  RowSolver row_solver = RowSolver::cholesky;
  int cg_steps = 3;
  Index subspace_size = 64;
  RowMinima* minima = nullptr;  ///< to be filled in by exact solutions, if wanted
};

/// The method that `settings` ask for, but for what is known later (`loss`, `gram`, `l1_regularization`).
template <class T>
Method<T> method_of(const Settings& settings) {
  Method<T> method;
  method.unobserved_weight = settings.unobserved_weight;
  method.confidence_scale = settings.confidence_scale.value_or(1.0);
  method.nonnegative = settings.nonnegative;
  method.row_solver = settings.row_solver;
  method.cg_steps = settings.cg_steps;
  method.subspace_size = settings.subspace_size;
  return method;
}

/// The unit of work of ALS: solves the rows [begin, end) of `target` exactly, given `fixed`. Row i of `ratings` (CSR by
/// the target's side) belongs to row i of the target. A row without ratings becomes zero. Where the normal equations
/// are singular (no regularization, fewer ratings than factors) the solution of least norm is taken. Cost of a row with
/// n ratings: n (F^2 + 3F) + F^3 / 3 flop, or n^2 F + n^3 / 3 if that is clearly less (and something is penalized).
///
/// Other methods than exact solutions begin where the rows are, and lower each row's objective.
template <class T>
void solve_rows(const RatingsView<T>& ratings, Index begin, Index end, const Fixed<T>& fixed, const Target<T>& target,
                int n_threads, const Method<T>& method = {});

/// V^T V of the first `n_factors` columns of n_rows rows, F x F, row-major. Summed in double over parts of a fixed
/// size. Cost: n_rows F^2 flop.
template <class T>
std::vector<double> gram_matrix(const T* factors, Index stride, Index n_rows, Index n_factors, int n_threads);

}  // namespace matfac::als
