#pragma once

#include "matfac/ratings.hpp"
#include "matfac/settings.hpp"

namespace matfac {

/// Where the ratings lie and how far they spread.
struct RatingMoments {
  double center = 0;  ///< mu: their mean as a T (what the model will add is what was subtracted), or 0 without biases
  double deviation = 1;  ///< root of their mean square about the center; 1 if they are all equal to it
};

template <class T>
RatingMoments rating_moments(const RatingsView<T>& ratings, bool biases, int n_threads);

/// `settings` with nothing left open; see settings.hpp for the rules.
Settings resolve(Settings settings, const RatingMoments& moments);

}  // namespace matfac
