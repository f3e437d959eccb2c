#pragma once

#include <Eigen/Core>
#include <vector>

#include "core/aligned.hpp"
#include "core/sum.hpp"
#include "matfac/types.hpp"
#include "regularizers/l2.hpp"

namespace matfac::batch {

/// One side's parameters as the batch solver sees them, one padded row per user (or item): the factors, then with
/// biases two columns more, so that the plain product of two rows is the whole estimate without mu:
///
///   user row [u, b, 1],  item row [v, 1, c]:   u . v + b + c
///
/// Here are also the gradient, the search direction and the diagonal preconditioner of these parameters.
template <class T>
class Side {
 public:
  Side(MatrixView<T> factors, std::span<T> biases, bool is_user, const Index* offsets, double regularization,
       double bias_regularization, double exponent, int n_threads)
      : factors_(factors),
        biases_(biases),
        stride_(padded<T>(factors.cols + (biases.empty() ? 0 : 2))),
        bias_column_(biases.empty() ? -1 : factors.cols + (is_user ? 0 : 1)),
        offsets_(offsets),
        weights_(count_weights(offsets, factors.rows, exponent)),
        regularization_(regularization),
        bias_regularization_(bias_regularization),
        n_threads_(n_threads),
        x_(AlignedBuffer<T>::zeros(factors.rows * stride_)),
        gradient_(AlignedBuffer<T>::zeros(factors.rows * stride_)),
        previous_gradient_(AlignedBuffer<T>::zeros(factors.rows * stride_)),
        direction_(AlignedBuffer<T>::zeros(factors.rows * stride_)) {
    const Index one_column = biases.empty() ? -1 : factors.cols + (is_user ? 1 : 0);
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
  const T* direction(Index i) const { return direction_.data() + i * stride_; }
  const T* direction() const { return direction_.data(); }
  PaddedMatrix<const T> matrix() const { return {{x_.data(), rows(), stride_}, n_threads_}; }

  void keep_gradient() { std::swap(gradient_, previous_gradient_); }

  /// The mean square of a factor, weighted by the ratings: the curvature that the other side's factors see.
  double mean_square() const {
    const double total = sum_rows([&](Index i) {
      return static_cast<double>(offsets_[i + 1] - offsets_[i]) * static_cast<double>(head(x_, i).squaredNorm());
    });
    return total / (static_cast<double>(offsets_[rows()]) * static_cast<double>(factors_.cols));
  }

  double penalty() const {
    return 0.5 * sum_rows([&](Index i) {
             const double b = bias_column_ < 0 ? 0.0 : static_cast<double>(x(i)[bias_column_]);
             return weight(i) *
                    (regularization_ * static_cast<double>(head(x_, i).squaredNorm()) + bias_regularization_ * b * b);
           });
  }

  /// Adds the penalty's gradient to the loss's, and clears what is not a parameter (the column of ones).
  void complete_gradient() {
    for_rows([&](Index i) {
      T* const g = gradient_.data() + i * stride_;
      head(gradient_, i) += static_cast<T>(weight(i) * regularization_) * head(x_, i);
      const T bias_gradient = bias_column_ < 0 ? T(0)
                                               : g[bias_column_] + static_cast<T>(weight(i) * bias_regularization_) *
                                                                       x(i)[bias_column_];
      std::fill(g + factors_.cols, g + stride_, T(0));
      if (bias_column_ >= 0) g[bias_column_] = bias_gradient;
    });
  }

  /// Sum of a . P b over this side, P the preconditioner for the given curvature.
  double preconditioned_dot(const AlignedBuffer<T>& a, const AlignedBuffer<T>& b, double curvature) const {
    return sum_rows([&](Index i) {
      double total = factor_scale(i, curvature) * static_cast<double>(head(a, i).dot(head(b, i)));
      if (bias_column_ >= 0) {
        const Index k = i * stride_ + bias_column_;
        total += bias_scale(i) * static_cast<double>(a[k]) * static_cast<double>(b[k]);
      }
      return total;
    });
  }
  double gradient_dot(double curvature) const { return preconditioned_dot(gradient_, gradient_, curvature); }
  double gradient_dot_previous(double curvature) const {
    return preconditioned_dot(gradient_, previous_gradient_, curvature);
  }

  /// direction := -P gradient + beta * direction.
  void turn(double beta, double curvature) {
    for_rows([&](Index i) {
      head(direction_, i) = static_cast<T>(beta) * head(direction_, i) -
                            static_cast<T>(factor_scale(i, curvature)) * head(gradient_, i);
      if (bias_column_ < 0) return;
      const Index k = i * stride_ + bias_column_;
      direction_[k] = static_cast<T>(beta) * direction_[k] - static_cast<T>(bias_scale(i)) * gradient_[k];
    });
  }

  /// x += step * direction.
  void move(double step) {
    if (step == 0) return;  // whatever the direction holds
    parallel_chunks(x_.size(), 1 << 16, n_threads_, [&](Index begin, Index end, int) {
      for (Index i = begin; i < end; ++i) x_[i] += static_cast<T>(step) * direction_[i];
    });
  }

  /// The penalty along x + t direction is p + t first + t^2 second.
  std::array<double, 2> penalty_terms() const {
    double first = sum_rows([&](Index i) {
      return weight(i) * regularization_ * static_cast<double>(head(x_, i).dot(head(direction_, i)));
    });
    double second = 0.5 * sum_rows([&](Index i) {
                      return weight(i) * regularization_ * static_cast<double>(head(direction_, i).squaredNorm());
                    });
    if (bias_column_ < 0) return {first, second};
    first += sum_rows([&](Index i) {
      return weight(i) * bias_regularization_ * static_cast<double>(x(i)[bias_column_]) *
             static_cast<double>(direction(i)[bias_column_]);
    });
    second += 0.5 * sum_rows([&](Index i) {
                const double d = static_cast<double>(direction(i)[bias_column_]);
                return weight(i) * bias_regularization_ * d * d;
              });
    return {first, second};
  }

  /// Writes the parameters to the caller's arrays.
  void publish() {
    for_rows([&](Index i) {
      std::copy_n(x(i), factors_.cols, factors_.row(i));
      if (bias_column_ >= 0) biases_[static_cast<std::size_t>(i)] = x(i)[bias_column_];
    });
  }

 private:
  using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;
  Eigen::Map<Vector> head(AlignedBuffer<T>& buffer, Index i) const {
    return {buffer.data() + i * stride_, factors_.cols};
  }
  Eigen::Map<const Vector> head(const AlignedBuffer<T>& buffer, Index i) const {
    return {buffer.data() + i * stride_, factors_.cols};
  }

  double weight(Index i) const { return weights_[static_cast<std::size_t>(i)]; }
  double count(Index i) const { return static_cast<double>(offsets_[i + 1] - offsets_[i]); }
  // 1 / (the mean diagonal entry of the row's Hessian); zero for a row without ratings, which has nothing to move.
  double factor_scale(Index i, double curvature) const {
    const double diagonal = count(i) * curvature + weight(i) * regularization_;
    return diagonal > 0 ? 1 / diagonal : 0;
  }
  double bias_scale(Index i) const {
    const double diagonal = count(i) + weight(i) * bias_regularization_;
    return diagonal > 0 ? 1 / diagonal : 0;
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
  const Index* offsets_;
  std::vector<double> weights_;
  double regularization_, bias_regularization_;
  int n_threads_;
  AlignedBuffer<T> x_, gradient_, previous_gradient_, direction_;
};

}  // namespace matfac::batch
