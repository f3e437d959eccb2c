#include "solvers/resolve.hpp"

#include <cmath>

#include "core/sum.hpp"
#include "core/validate.hpp"

namespace matfac {

template <class T>
RatingMoments rating_moments(const RatingsView<T>& ratings, bool biases, int n_threads) {
  constexpr Index kChunk = 1 << 16;
  const auto n = static_cast<double>(ratings.nnz());
  RatingMoments moments;
  if (biases) {
    const double total = chunked_sum(ratings.nnz(), kChunk, n_threads, [&](Index begin, Index end) {
      double sum = 0;
      for (Index i = begin; i < end; ++i) sum += static_cast<double>(ratings.values[i]);
      return sum;
    });
    moments.center = static_cast<double>(static_cast<T>(total / n));
  }
  const double squares = chunked_sum(ratings.nnz(), kChunk, n_threads, [&](Index begin, Index end) {
    double sum = 0;
    for (Index i = begin; i < end; ++i) {
      const double d = static_cast<double>(ratings.values[i]) - moments.center;
      sum += d * d;
    }
    return sum;
  });
  const double deviation = std::sqrt(squares / n);
  if (deviation > 0) moments.deviation = deviation;
  return moments;
}

Settings resolve(Settings settings, const RatingMoments& moments) {
  // Calibrated at p = 1/2 on data of very different sizes (docs/solvers.md); for another p, a row of 100 ratings keeps
  // its weight.
  const double by_exponent = std::pow(100.0, 0.5 - settings.regularization_exponent);
  const double regularization = 1.2 * moments.deviation * by_exponent;
  if (!settings.regularization) settings.regularization = PerSide{regularization, regularization};
  if (!settings.bias_regularization) settings.bias_regularization = PerSide{by_exponent, by_exponent};
  if (!settings.init_std) {
    settings.init_std = 0.5 * std::sqrt(moments.deviation / static_cast<double>(settings.n_factors));
  }
  return settings;
}

template <class T>
Settings resolved(const Settings& settings, const RatingsView<T>& ratings) {
  validate(settings);
  validate(ratings, settings.n_threads);
  require(ratings.nnz() > 0, "there are no ratings to choose the open settings by");
  return resolve(settings, rating_moments(ratings, settings.biases, settings.n_threads));
}

template RatingMoments rating_moments(const RatingsView<float>&, bool, int);
template RatingMoments rating_moments(const RatingsView<double>&, bool, int);
template MATFAC_API Settings resolved(const Settings&, const RatingsView<float>&);
template MATFAC_API Settings resolved(const Settings&, const RatingsView<double>&);

}  // namespace matfac
