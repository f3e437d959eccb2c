#pragma once

#include <vector>

#include "matfac/types.hpp"

/// One row of a model of comparisons, the other side held fixed: with s_i = p_i . x the scores of what was chosen and
/// t_ij those that they are compared with,
///
///   sum_i q_i 1/k sum_j log(1 + exp(-(s_i - t_ij) - d_i))  +  sum_f (1/2 l_f x_f^2 + kappa_f |x_f|)
///
/// convex in x. t_ij = o_j . x when the compared rows o_j (biases beside) belong to the row's own side of the model,
/// and is constant otherwise. Small and dense, in double, on one thread.
namespace matfac::pairwise {

/// The rows that what was chosen is compared with: the same for everybody.
struct Sample {
  Index size = 0, width = 0;
  std::vector<double> rows;     ///< o, size x width
  std::vector<double> columns;  ///< the same, width x size
  std::vector<double> offsets;  ///< c, one a row
  std::vector<double> gram;     ///< O'O

  /// Fills in what follows from the rows.
  void finish();
};

struct Comparison {
  Index n_chosen = 0, n_others = 0, width = 0;  ///< k = n_others, F or F + 1
  std::vector<double> chosen;                   ///< p, n_chosen x width
  std::vector<double> chosen_offsets;           ///< c_i, added to s_i
  std::vector<double> weights;                  ///< q
  const Sample* sample = nullptr;               ///< o; null where what is compared with is constant
  std::vector<Index> left_out;                  ///< rows of the sample that do not count
  std::vector<double> constant_scores;          ///< t_ij (n_chosen x n_others) where they are constant
  std::vector<double> penalties, thresholds;    ///< l and kappa, one a coordinate
  std::vector<char> is_nonnegative;             ///< one a coordinate
};

/// A matrix (width x width) above all second derivatives of the sum, penalties included.
std::vector<double> curvature_bound(const Comparison& comparison);

/// The minimizer, from a row of zeros: parabolas with the curvature of the bound, each minimized exactly, with the
/// momentum of Nesterov. It stops at a step below 1e-5 of the row.
///
/// A. Beck, M. Teboulle: A Fast Iterative Shrinkage-Thresholding Algorithm. SIAM J. Imaging Sciences 2(1), 2009;
/// B. O'Donoghue, E. Candes: Adaptive Restart for Accelerated Gradient Schemes. Found. Comput. Math. 15, 2015.
std::vector<double> minimize(const Comparison& comparison, const std::vector<double>& bound);

}  // namespace matfac::pairwise
