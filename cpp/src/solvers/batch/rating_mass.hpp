#pragma once

#include <vector>

#include "matfac/ratings.hpp"
#include "matfac/settings.hpp"

namespace matfac::batch {

/// For each user and item the sum of its ratings' curvatures, the second derivatives of their weighted losses by the
/// estimate: what the diagonal of the Hessian is made of.
struct RatingMass {
  std::vector<double> users, items;
  double total = 0;
};

/// Bounds of the curvature where the loss has one. For `kullback_leibler`, whose curvature r / r_hat^2 has none, that
/// of the row's ratings r_1, ..., r_n at their mean: n / mean each on the average; `scale` is a mean for rows of zeros.
template <class T>
RatingMass rating_mass(const RatingsView<T>& ratings, Loss loss, double scale) {
  const double bound = loss == Loss::logistic ? 0.25 : 1.0;
  const auto n_users = static_cast<std::size_t>(ratings.n_users), n_items = static_cast<std::size_t>(ratings.n_items);
  RatingMass mass{std::vector<double>(n_users), std::vector<double>(n_items)};
  std::vector<double> user_sums(n_users), item_sums(n_items);
  for (std::size_t n = 0; n < n_users; ++n) {
    for (Index i = ratings.offsets[n]; i < ratings.offsets[n + 1]; ++i) {
      const auto m = static_cast<std::size_t>(ratings.items[i]);
      const double weight = ratings.weights != nullptr ? static_cast<double>(ratings.weights[i]) : 1.0;
      const double value = weight * static_cast<double>(ratings.values[i]);
      mass.users[n] += weight * bound;
      mass.items[m] += weight * bound;
      user_sums[n] += value;
      item_sums[m] += value;
      mass.total += weight * bound;
    }
  }
  if (loss != Loss::kullback_leibler) return mass;
  const auto divide = [&](std::vector<double>& masses, const std::vector<double>& sums) {
    for (std::size_t i = 0; i < masses.size(); ++i) {
      masses[i] *= masses[i] > 0 && sums[i] > 0 ? masses[i] / sums[i] : 1 / scale;
    }
  };
  divide(mass.users, user_sums);
  divide(mass.items, item_sums);
  mass.total = 0;
  for (const double m : mass.users) mass.total += m;
  return mass;
}

}  // namespace matfac::batch
