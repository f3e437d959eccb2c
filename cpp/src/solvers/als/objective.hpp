#pragma once

#include <algorithm>
#include <vector>

#include "core/sum.hpp"
#include "matfac/settings.hpp"
#include "solvers/loss_loops.hpp"

/// What als minimizes, but for the penalties.
namespace matfac::als {

/// Both sides' factors and biases (or null).
template <class T>
struct Pair {
  const T* user_factors;
  Index user_stride;
  const T* item_factors;
  Index item_stride;
  Index n_factors;  ///< or with the padding, if both are padded
  const T* user_biases;
  const T* item_biases;
  T mean;
};

/// The sum of `add(first, count, estimates, total)` over all ratings, a few at a time.
template <class T, class Add>
double over_estimates(const RatingsView<T>& ratings, const Pair<T>& pair, int n_threads, const Add& add) {
  const auto estimate = kernels<T>().row_estimates;
  return chunked_sum(ratings.n_users, 256, n_threads, [&](Index begin, Index end) {
    constexpr Index kChunk = 512;
    T estimates[kChunk];
    double total = 0;
    for (Index n = begin; n < end; ++n) {
      const T offset = pair.mean + (pair.user_biases != nullptr ? pair.user_biases[n] : T(0));
      for (Index start = ratings.offsets[n]; start < ratings.offsets[n + 1]; start += kChunk) {
        const Index count = std::min(kChunk, ratings.offsets[n + 1] - start);
        estimate(pair.user_factors + n * pair.user_stride, pair.item_factors, pair.item_stride, pair.n_factors,
                 ratings.items + start, count, estimates);
        for (Index i = 0; i < count; ++i) {
          estimates[i] += offset + (pair.item_biases != nullptr ? pair.item_biases[ratings.items[start + i]] : T(0));
        }
        total = add(start, count, static_cast<const T*>(estimates), total);
      }
    }
    return total;
  });
}

/// The weighted losses of single ratings.
template <class T>
double loss(const RatingsView<T>& ratings, const Pair<T>& pair, const LossLoops<T>& loops, int n_threads) {
  return over_estimates(ratings, pair, n_threads, [&](Index start, Index count, const T* estimates, double total) {
    return loops.loss.evaluate(ratings.values + start, estimates,
                               ratings.weights != nullptr ? ratings.weights + start : nullptr, count,
                               loops.loss.parameter, nullptr, total);
  });
}

/// implicit_squared: 1/2 w_0 sum over all pairs of r_hat^2 = 1/2 w_0 <U^T U, V^T V>.
inline double unrated_loss(const std::vector<double>& user_gram, const std::vector<double>& item_gram,
                           double unobserved_weight) {
  double total = 0;
  for (std::size_t i = 0; i < user_gram.size(); ++i) total += user_gram[i] * item_gram[i];
  return 0.5 * unobserved_weight * total;
}

/// The sum of r_hat^2 over the rated pairs.
template <class T>
double sum_of_squares(const RatingsView<T>& ratings, const Pair<T>& pair, int n_threads) {
  return over_estimates(ratings, pair, n_threads, [](Index, Index count, const T* estimates, double total) {
    for (Index i = 0; i < count; ++i) total += static_cast<double>(estimates[i]) * static_cast<double>(estimates[i]);
    return total;
  });
}

/// implicit_squared: 1/2 q (w_0 + c r) (1 - r_hat)^2 over the rated pairs, less the 1/2 w_0 r_hat^2 that `unrated_loss`
/// has counted for them.
template <class T>
double rated_loss(const RatingsView<T>& ratings, const Pair<T>& pair, const Settings& settings) {
  const double unobserved = settings.unobserved_weight, scale = *settings.confidence_scale;
  return over_estimates(
      ratings, pair, settings.n_threads, [&](Index start, Index count, const T* estimates, double total) {
        for (Index i = 0; i < count; ++i) {
          const double q = ratings.weights != nullptr ? static_cast<double>(ratings.weights[start + i]) : 1.0;
          const double estimate = static_cast<double>(estimates[i]), error = 1 - estimate;
          const double weight = q * (unobserved + scale * static_cast<double>(ratings.values[start + i]));
          total += 0.5 * (weight * error * error - unobserved * estimate * estimate);
        }
        return total;
      });
}

/// implicit_squared: users of whom nothing is known get the mean of the others' rows, so that items are estimated for
/// them as for users on the average, by how often they were chosen. No part of the objective depends on them: they are
/// 0 while it is lowered.
template <class T>
void give_mean_rows(const RatingsView<T>& train, MatrixView<T> user_factors) {
  const auto is_known = [&](Index n) { return train.offsets[n + 1] > train.offsets[n]; };
  std::vector<double> mean(static_cast<std::size_t>(user_factors.cols));
  Index n_known = 0;
  for (Index n = 0; n < train.n_users; ++n) {
    if (!is_known(n)) continue;
    ++n_known;
    for (Index f = 0; f < user_factors.cols; ++f) {
      mean[static_cast<std::size_t>(f)] += static_cast<double>(user_factors.row(n)[f]);
    }
  }
  for (Index n = 0; n < train.n_users; ++n) {
    if (is_known(n)) continue;
    for (Index f = 0; f < user_factors.cols; ++f) {
      user_factors.row(n)[f] = static_cast<T>(mean[static_cast<std::size_t>(f)] / static_cast<double>(n_known));
    }
  }
}

}  // namespace matfac::als
