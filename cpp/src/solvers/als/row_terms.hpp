#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "core/aligned.hpp"
#include "kernels/kernels.hpp"
#include "solvers/als/solve_rows.hpp"

namespace matfac::als {

/// One row's ratings.
template <class T>
struct RowRatings {
  const Code* codes;
  const T* values;
  const T* weights;  ///< or null
  Index n;
};

/// A row of the target, and its ratings.
template <class T>
struct TargetRow {
  Index index;
  RowRatings<T> ratings;
  T* factors;
  T* bias;  ///< or null
};

/// What a thread needs beside the rows.
template <class T>
struct Scratch {
  AlignedBuffer<T> system, panels, batch_memory, cg_workspace;
  std::vector<T> weights, values, estimates, linear;
  std::vector<TargetRow<T>> rows, few;
  RowBatch<T> batch;
  std::vector<std::pair<TargetRow<T>, RowProblem<T>>> in_batch;  ///< and the problems as their ratings are
  const Code* fetched = nullptr;
};

/// Memory that is taken once, when it is first needed.
template <class T>
void provide(AlignedBuffer<T>& buffer, Index size) {
  if (buffer.size() == 0) buffer = AlignedBuffer<T>(size);
}

/// The squares d_i (t_i - b - v_i . x)^2 / 2 that make up a row's loss, as weights d_i and values d_i t_i:
///
///   squared, weights q          d = q,            d t = q (r - mu - c)
///   another loss                d, t: its majorizer at the present estimate, t less mu and c
///   implicit_squared            d = q (w_0 + c r) - w_0,   d t = q (w_0 + c r),   beside w_0 V^T V
///
/// (the last since 1/2 p (1 - r_hat)^2 - 1/2 w_0 r_hat^2 = 1/2 (p - w_0) r_hat^2 - p r_hat + const). Called anew for
/// each majorizer.
template <class T>
class RowTerms {
 public:
  RowTerms(const Fixed<T>& fixed, const Target<T>& target, const Method<T>& method)
      : fixed_(fixed), method_(method), width_(target.n_factors) {
    const Index whole = padded<T>(target.n_factors);
    if (fixed.stride == whole && target.stride == whole) width_ = whole;  // both are padded with zeros
  }

  /// Fills the scratch and points the problem to it. `row` and `bias` (or null) are the present ones.
  void operator()(const RowRatings<T>& ratings, const T* row, const T* bias, Scratch<T>& scratch,
                  RowProblem<T>& problem) const {
    const auto n = static_cast<std::size_t>(ratings.n);
    if (n > scratch.weights.size()) scratch.weights.resize(n), scratch.values.resize(n);
    T *const weights = scratch.weights.data(), *const values = scratch.values.data();
    problem.has_negative_weights = false;
    if (method_.gram != nullptr) {
      implicit_terms(ratings, weights, values, problem.has_negative_weights);
    } else if (method_.loss != nullptr) {
      majorizer_terms(ratings, row, bias, scratch);
    } else {
      for (Index i = 0; i < ratings.n; ++i) {
        weights[i] = ratings.weights != nullptr ? ratings.weights[i] : T(1);
        values[i] = weights[i] * (ratings.values[i] - offset(ratings.codes[i]));
      }
    }
    problem.weights = weights;
    problem.values = values;
    problem.total_weight = 0;
    if (bias == nullptr) return;  // nobody asks
    for (Index i = 0; i < ratings.n; ++i) problem.total_weight += static_cast<double>(weights[i]);
  }

  /// out[i] = v_i . x + b.
  void own_estimates(const RowRatings<T>& ratings, const T* row, const T* bias, std::vector<T>& out) const {
    out.resize(std::max(static_cast<std::size_t>(ratings.n), out.size()));
    kernels<T>().row_estimates(row, fixed_.factors, fixed_.stride, width_, ratings.codes, ratings.n, out.data());
    if (bias == nullptr) return;
    for (Index i = 0; i < ratings.n; ++i) out[static_cast<std::size_t>(i)] += *bias;
  }

 private:
  T offset(Code code) const { return fixed_.mean + (fixed_.biases != nullptr ? fixed_.biases[code] : T(0)); }

  void implicit_terms(const RowRatings<T>& ratings, T* weights, T* values, bool& has_negative) const {
    const T unobserved = static_cast<T>(method_.unobserved_weight), scale = static_cast<T>(method_.confidence_scale);
    if (ratings.weights == nullptr) {
      for (Index i = 0; i < ratings.n; ++i) weights[i] = scale * ratings.values[i];
      for (Index i = 0; i < ratings.n; ++i) values[i] = unobserved + weights[i];
      return;
    }
    for (Index i = 0; i < ratings.n; ++i) {
      const T beyond = scale * ratings.values[i], q = ratings.weights[i];
      values[i] = q * (unobserved + beyond);
      weights[i] = q * beyond + (q - T(1)) * unobserved;
      has_negative = has_negative || weights[i] < T(0);
    }
  }

  void majorizer_terms(const RowRatings<T>& ratings, const T* row, const T* bias, Scratch<T>& scratch) const {
    own_estimates(ratings, row, bias, scratch.estimates);
    T *const weights = scratch.weights.data(), *const values = scratch.values.data();
    T* const estimates = scratch.estimates.data();
    for (Index i = 0; i < ratings.n; ++i) estimates[i] += offset(ratings.codes[i]);
    method_.loss->majorize(ratings.values, estimates, ratings.weights, ratings.n, method_.loss->parameter, weights,
                           values);
    for (Index i = 0; i < ratings.n; ++i) values[i] = weights[i] * (values[i] - offset(ratings.codes[i]));
  }

  const Fixed<T>& fixed_;
  const Method<T>& method_;
  Index width_;
};

}  // namespace matfac::als
