#pragma once

#include <vector>

#include "solvers/stochastic/descent.hpp"

namespace matfac::stochastic {

/// What the rows of one side are to be kept from, in the units of the steps.
struct RowPenalty {
  double regularization = 0;
  double bias_regularization = 0;
  double l1_regularization = 0;
  double exponent = 0;  ///< `regularization_exponent`
};

/// The rates of one side's rows, which depend on how much a row has learnt, and the penalty that its steps carry.
template <class T>
class Schedule {
 public:
  /// Row p has `counts[p]` ratings and takes as many steps an epoch, plus `extra_steps[p]` if there are any.
  Schedule(Rows<T>& rows, const std::vector<Index>& counts, std::vector<double> extra_steps, double learning_rate,
           bool biases, const RowPenalty& penalty);

  /// Sets the rates of rows [begin, end) for the time T, in epochs.
  void set(Index begin, Index end, double time);
  void set_all(double time, int n_threads);

  /// sum w (1/2 regularization |x|^2 + l1_regularization |x|_1 + 1/2 bias_regularization b^2).
  double penalty(int n_threads) const;

 private:
  Rows<T>& rows_;
  std::vector<double> steps_;  // an epoch
  std::vector<T> per_step_;    // w / steps
  double learning_rate_;
  bool biases_;
  RowPenalty penalty_;
};

}  // namespace matfac::stochastic
