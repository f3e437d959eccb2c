#pragma once

#include <array>

#include "solvers/batch/side.hpp"

namespace matfac::batch {

/// A side that moves by proximal steps: x is where the gradient is taken, `current` the best parameters so far, and
/// `other` those before them, or a proposal.
template <class T>
class ProximalSide : public Side<T> {
 public:
  ProximalSide(MatrixView<T> factors, std::span<T> biases, SideTerms terms, int n_threads)
      : Side<T>(factors, biases, std::move(terms), n_threads),
        current_(AlignedBuffer<T>::zeros(this->x_.size())),
        other_(AlignedBuffer<T>::zeros(this->x_.size())) {
    std::copy_n(this->x_.data(), this->x_.size(), current_.data());
    std::copy_n(this->x_.data(), this->x_.size(), other_.data());
    for (AlignedBuffer<T>* buffer : {&this->x_, &current_, &other_}) {
      this->for_rows([&](Index i) { project(*buffer, i); });
    }
  }

  /// x := current + momentum (current - other), within the constraints.
  void extrapolate(double momentum) {
    this->for_rows([&](Index i) {
      const Index begin = i * this->stride_;
      for (Index k = begin; k < begin + this->stride_; ++k) {
        this->x_[k] = current_[k] + static_cast<T>(momentum) * (current_[k] - other_[k]);
      }
      project(this->x_, i);
    });
  }

  /// other := argmin over z of g . z + 1/(2 step) |z - x|^2 in the preconditioner's metric + the absolute penalty,
  /// within the constraints. Returns g . (z - x) and |z - x|^2 / 2 in that metric.
  std::array<double, 2> propose(double step, double curvature) {
    std::vector<std::array<double, 2>> terms(static_cast<std::size_t>(this->rows()));
    this->for_rows([&](Index i) { terms[static_cast<std::size_t>(i)] = propose_row(i, step, curvature); });
    std::array<double, 2> total{};
    for (const auto& row : terms) {
      total[0] += row[0];
      total[1] += row[1];
    }
    return total;
  }

  /// The proposal becomes current, and what was current is what was before it.
  void accept() { std::swap(current_, other_); }

  const T* proposal(Index i) const { return other_.data() + i * this->stride_; }
  const T* proposal() const { return other_.data(); }
  double proposal_penalty() const { return this->penalty_of(other_); }
  double proposal_absolute() const {
    if (this->terms_.l1_regularization == 0) return 0;
    return this->terms_.l1_regularization * this->sum_rows([&](Index i) {
      return this->weight(i) * static_cast<double>(this->head(other_, i).template lpNorm<1>());
    });
  }
  void publish() { this->write(current_); }

 private:
  void project(AlignedBuffer<T>& x, Index i) const {
    if (this->terms_.nonnegative) this->head(x, i) = this->head(x, i).cwiseMax(T(0));
    T& bias = x[i * this->stride_ + std::max<Index>(this->bias_column_, 0)];
    if (this->bias_column_ >= 0) bias = std::max(bias, static_cast<T>(this->terms_.least_bias));
  }

  std::array<double, 2> propose_row(Index i, double step, double curvature) {
    const double scale = this->factor_scale(i, curvature), bias_scale = this->bias_scale(i);
    const Index begin = i * this->stride_, bias = begin + this->bias_column_;
    const T rate = static_cast<T>(step * scale);
    const T threshold = static_cast<T>(step * scale * this->weight(i) * this->terms_.l1_regularization);
    std::copy_n(this->x_.data() + begin, this->stride_, other_.data() + begin);
    for (Index k = begin; k < begin + this->factors_.cols; ++k) {
      const T z = this->x_[k] - rate * this->gradient_[k];
      other_[k] = z > threshold ? z - threshold : z < -threshold ? z + threshold : T(0);
    }
    if (this->bias_column_ >= 0) other_[bias] -= static_cast<T>(step * bias_scale) * this->gradient_[bias];
    project(other_, i);
    std::array<double, 2> terms{};
    const auto add = [&](Index k, double inverse) {
      const double d = static_cast<double>(other_[k]) - static_cast<double>(this->x_[k]);
      terms[0] += static_cast<double>(this->gradient_[k]) * d;
      if (inverse > 0) terms[1] += 0.5 * d * d / inverse;
    };
    for (Index k = begin; k < begin + this->factors_.cols; ++k) add(k, scale);
    if (this->bias_column_ >= 0) add(bias, bias_scale);
    return terms;
  }

  AlignedBuffer<T> current_, other_;
};

}  // namespace matfac::batch
