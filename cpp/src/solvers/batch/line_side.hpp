#pragma once

#include <array>

#include "solvers/batch/side.hpp"

namespace matfac::batch {

/// A side that moves along conjugate directions.
template <class T>
class LineSide : public Side<T> {
 public:
  LineSide(MatrixView<T> factors, std::span<T> biases, SideTerms terms, int n_threads)
      : Side<T>(factors, biases, std::move(terms), n_threads),
        previous_gradient_(AlignedBuffer<T>::zeros(this->x_.size())),
        direction_(AlignedBuffer<T>::zeros(this->x_.size())) {}

  const T* direction(Index i) const { return direction_.data() + i * this->stride_; }
  const T* direction() const { return direction_.data(); }
  void keep_gradient() { std::swap(this->gradient_, previous_gradient_); }

  /// Sum of a . P b over this side, P the preconditioner for the given curvature.
  double preconditioned_dot(const AlignedBuffer<T>& a, const AlignedBuffer<T>& b, double curvature) const {
    return this->sum_rows([&](Index i) {
      double total = this->factor_scale(i, curvature) * static_cast<double>(this->head(a, i).dot(this->head(b, i)));
      if (this->bias_column_ >= 0) {
        const Index k = i * this->stride_ + this->bias_column_;
        total += this->bias_scale(i) * static_cast<double>(a[k]) * static_cast<double>(b[k]);
      }
      return total;
    });
  }
  double gradient_dot(double curvature) const {
    return preconditioned_dot(this->gradient_, this->gradient_, curvature);
  }
  double gradient_dot_previous(double curvature) const {
    return preconditioned_dot(this->gradient_, previous_gradient_, curvature);
  }

  /// direction := -P gradient + beta * direction.
  void turn(double beta, double curvature) {
    this->for_rows([&](Index i) {
      this->head(direction_, i) = static_cast<T>(beta) * this->head(direction_, i) -
                                  static_cast<T>(this->factor_scale(i, curvature)) * this->head(this->gradient_, i);
      if (this->bias_column_ < 0) return;
      const Index k = i * this->stride_ + this->bias_column_;
      direction_[k] = static_cast<T>(beta) * direction_[k] - static_cast<T>(this->bias_scale(i)) * this->gradient_[k];
    });
  }

  /// x += step * direction.
  void move(double step) {
    if (step == 0) return;  // whatever the direction holds
    parallel_chunks(this->x_.size(), 1 << 16, this->n_threads_, [&](Index begin, Index end, int) {
      for (Index i = begin; i < end; ++i) this->x_[i] += static_cast<T>(step) * direction_[i];
    });
  }

  /// The penalty along x + t direction is p + t first + t^2 second.
  std::array<double, 2> penalty_terms() const {
    double first = this->sum_rows([&](Index i) {
      return this->weight(i) * this->terms_.regularization *
             static_cast<double>(this->head(this->x_, i).dot(this->head(direction_, i)));
    });
    double second = 0.5 * this->sum_rows([&](Index i) {
      return this->weight(i) * this->terms_.regularization *
             static_cast<double>(this->head(direction_, i).squaredNorm());
    });
    if (this->bias_column_ < 0) return {first, second};
    first += this->sum_rows([&](Index i) {
      return this->weight(i) * this->terms_.bias_regularization * static_cast<double>(this->x(i)[this->bias_column_]) *
             static_cast<double>(direction(i)[this->bias_column_]);
    });
    second += 0.5 * this->sum_rows([&](Index i) {
      const double d = static_cast<double>(direction(i)[this->bias_column_]);
      return this->weight(i) * this->terms_.bias_regularization * d * d;
    });
    return {first, second};
  }

  void publish() { this->write(this->x_); }

 private:
  AlignedBuffer<T> previous_gradient_, direction_;
};

}  // namespace matfac::batch
