#pragma once

#include "kernels/kernels.hpp"
#include "matfac/model.hpp"
#include "model/base.hpp"

namespace matfac {

/// Estimates pairs of codes, a few at a time: (b_m + u . v) + (mu + b_n), the score that a ranking gives the pair.
template <class T>
class Estimator {
 public:
  static constexpr Index kMost = 256;

  explicit Estimator(const ModelView<T>& model)
      : kernels_(kernels<T>()),
        model_(model),
        item_biases_(model.item_biases.empty() ? nullptr : model.item_biases.data()) {}

  /// `n` is at most kMost.
  void estimate(const Code* users, const Code* items, Index n, T* out) const {
    Code known_users[kMost] = {}, known_items[kMost] = {};
    Index places[kMost], n_known = 0;
    T sums[kMost];
    for (Index i = 0; i < n; ++i) {
      if (users[i] >= 0 && items[i] >= 0) {
        known_users[n_known] = users[i];
        known_items[n_known] = items[i];
        places[n_known++] = i;
      } else {
        out[i] = (items[i] >= 0 && item_biases_ != nullptr ? item_biases_[items[i]] : T(0)) + base_of(model_, users[i]);
      }
    }
    kernels_.pair_scores(model_.user_factors.data, model_.item_factors.data, item_biases_, model_.user_factors.cols,
                         known_users, known_items, n_known, sums);
    for (Index i = 0; i < n_known; ++i) out[places[i]] = sums[i] + base_of(model_, known_users[i]);
  }

 private:
  const Kernels<T>& kernels_;
  const ModelView<T>& model_;
  const T* item_biases_;
};

}  // namespace matfac
