#pragma once

#include "matfac/ratings.hpp"
#include "matfac/settings.hpp"

namespace matfac {

/// Where the ratings lie and how far they spread, as the loss sees it.
struct RatingMoments {
  double center = 0;            ///< mu, as a T (what the model will add is what was subtracted)
  double deviation = 1;         ///< s: the unit of estimates
  double total_weight = 0;      ///< of all ratings
  double zero_loss = 0;         ///< the loss where every estimate is mu
  double confidence_scale = 1;  ///< with which the mean strength of what was chosen counts 1
};

template <class T>
RatingMoments rating_moments(const RatingsView<T>& ratings, const Settings& settings);

/// The sum of the weights; of ratings without, their number.
template <class T>
double total_weight(const RatingsView<T>& ratings, int n_threads);

/// Throws InvalidArgument, with the entry, unless the loss allows every rating.
template <class T>
void validate_for_loss(const RatingsView<T>& ratings, const Settings& settings);

/// `settings` with nothing left open; see settings.hpp for the rules.
Settings resolve(Settings settings, const RatingMoments& moments);

/// The parameter that the loss takes at single ratings; 0 where it has none.
double loss_parameter(const Settings& settings, const RatingMoments& moments);

/// The loss of ratings and estimates that are divided by s is the loss divided by this.
double objective_unit(Loss loss, double deviation);

/// What biases are kept at or above. `kullback_leibler` needs estimates of at least 0: with half of mu in each of the
/// two biases, and factors that are not negative, they are.
double least_bias(Loss loss, double center);

/// Whether y = 1 / -1 (or 0) stand for yes and no.
bool is_label_loss(Loss loss);

}  // namespace matfac
