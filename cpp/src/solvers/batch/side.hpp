#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "core/aligned.hpp"
#include "core/sum.hpp"
#include "matfac/types.hpp"
#include "regularizers/l2.hpp"

namespace matfac::batch {

/// What is asked of one side's parameters, row by row.
struct SideTerms {
  bool is_user = true;
  double regularization = 0;
  double l1_regularization = 0;
  double bias_regularization = 0;
  std::vector<double> weights;  ///< of the penalties, per row
  std::vector<double> masses;   ///< of the ratings (rating_mass.hpp), per row
  double total_mass = 0;
  bool nonnegative = false;  ///< the factors
  double least_bias = -std::numeric_limits<double>::infinity();
};

/// One side's parameters as the batch solver sees them, one padded row per user (or item): the factors, then with
/// biases two columns more, so that the plain product of two rows is the whole estimate without mu:
///
///   user row [u, b, 1],  item row [v, 1, c]:   u . v + b + c
///
/// Here are also the gradient, the penalty and the diagonal preconditioner of these parameters.
template <class T>
class Side {
 public:
  Side(MatrixView<T> factors, std::span<T> biases, SideTerms terms, int n_threads)
      : factors_(factors),
        biases_(biases),
        stride_(padded<T>(factors.cols + (biases.empty() ? 0 : 2))),
        bias_column_(biases.empty() ? -1 : factors.cols + (terms.is_user ? 0 : 1)),
        terms_(std::move(terms)),
        n_threads_(n_threads),
        x_(AlignedBuffer<T>::zeros(factors.rows * stride_)),
        gradient_(AlignedBuffer<T>::zeros(factors.rows * stride_)) {
    const Index one_column = biases.empty() ? -1 : factors.cols + (terms_.is_user ? 1 : 0);
    for (Index i = 0; i < rows(); ++i) {
      std::copy_n(factors.row(i), factors.cols, x_.data() + i * stride_);
      if (biases.empty()) continue;
      x_[i * stride_ + bias_column_] = biases[static_cast<std::size_t>(i)];
      x_[i * stride_ + one_column] = T(1);
    }
  }

  Index rows() const { return factors_.rows; }
  Index stride() const { return stride_; }
  const T* x(Index i) const { return x_.data() + i * stride_; }
  const T* x() const { return x_.data(); }
  T* gradient() { return gradient_.data(); }
  PaddedMatrix<const T> matrix() const { return {{x_.data(), rows(), stride_}, n_threads_}; }

  /// The mean square of a factor, weighted by the ratings: the curvature that the other side's factors see.
  double mean_square() const {
    const double total = sum_rows([&](Index i) { return mass(i) * static_cast<double>(head(x_, i).squaredNorm()); });
    return total / (terms_.total_mass * static_cast<double>(factors_.cols));
  }

  /// The smooth part of the penalty.
  double penalty() const { return penalty_of(x_); }

  /// Adds the penalty's gradient to the loss's, and clears what is not a parameter (the column of ones).
  void complete_gradient() {
    for_rows([&](Index i) {
      T* const g = gradient_.data() + i * stride_;
      head(gradient_, i) += static_cast<T>(weight(i) * terms_.regularization) * head(x_, i);
      const T bias_gradient = bias_column_ < 0
                                  ? T(0)
                                  : g[bias_column_] +
                                        static_cast<T>(weight(i) * terms_.bias_regularization) * x(i)[bias_column_];
      std::fill(g + factors_.cols, g + stride_, T(0));
      if (bias_column_ >= 0) g[bias_column_] = bias_gradient;
    });
  }

 protected:
  using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;
  Eigen::Map<Vector> head(AlignedBuffer<T>& buffer, Index i) const {
    return {buffer.data() + i * stride_, factors_.cols};
  }
  Eigen::Map<const Vector> head(const AlignedBuffer<T>& buffer, Index i) const {
    return {buffer.data() + i * stride_, factors_.cols};
  }

  double weight(Index i) const { return terms_.weights[static_cast<std::size_t>(i)]; }
  double mass(Index i) const { return terms_.masses[static_cast<std::size_t>(i)]; }
  // 1 / (the mean diagonal entry of the row's Hessian); zero for a row without ratings, which has nothing to move.
  double factor_scale(Index i, double curvature) const {
    const double diagonal = mass(i) * curvature + weight(i) * terms_.regularization;
    return diagonal > 0 ? 1 / diagonal : 0;
  }
  double bias_scale(Index i) const {
    const double diagonal = mass(i) + weight(i) * terms_.bias_regularization;
    return diagonal > 0 ? 1 / diagonal : 0;
  }

  double penalty_of(const AlignedBuffer<T>& x) const {
    return 0.5 * sum_rows([&](Index i) {
             const double b = bias_column_ < 0 ? 0.0 : static_cast<double>(x[i * stride_ + bias_column_]);
             return weight(i) * (terms_.regularization * static_cast<double>(head(x, i).squaredNorm()) +
                                 terms_.bias_regularization * b * b);
           });
  }

  /// Writes parameters to the caller's arrays.
  void write(const AlignedBuffer<T>& x) {
    for_rows([&](Index i) {
      std::copy_n(x.data() + i * stride_, factors_.cols, factors_.row(i));
      if (bias_column_ >= 0) biases_[static_cast<std::size_t>(i)] = x[i * stride_ + bias_column_];
    });
  }

  template <class F>
  double sum_rows(const F& f) const {
    return chunked_sum(rows(), 1024, n_threads_, [&](Index begin, Index end) {
      double total = 0;
      for (Index i = begin; i < end; ++i) total += f(i);
      return total;
    });
  }
  template <class F>
  void for_rows(const F& f) {
    parallel_chunks(rows(), 1024, n_threads_, [&](Index begin, Index end, int) {
      for (Index i = begin; i < end; ++i) f(i);
    });
  }

  MatrixView<T> factors_;
  std::span<T> biases_;
  Index stride_, bias_column_;
  SideTerms terms_;
  int n_threads_;
  AlignedBuffer<T> x_, gradient_;
};

}  // namespace matfac::batch
