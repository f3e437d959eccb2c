#pragma once

#include <vector>

#include "matfac/fit.hpp"
#include "matfac/ratings.hpp"
#include "matfac/settings.hpp"

namespace matfac::pairwise {

/// Held-out ratings, each beside an item that its user has rated neither there nor in training: drawn once, so that the
/// losses of different epochs compare.
template <class T>
class HeldOut {
 public:
  /// `item_counts`: the training ratings by item. Both ratings must outlive this. Throws InvalidArgument
  /// where early stopping would have nothing to compare.
  HeldOut(const RatingsView<T>& train, const RatingsView<T>& eval, const std::vector<Index>& item_counts,
          const Settings& settings);

  /// The (weighted) mean of the pairs' losses, `warp` without its ranks; NaN if there are none.
  double mean_loss(const FactorsView<T>& factors) const;

 private:
  /// The weighted sum of term(n, i) over the held-out ratings i that have a negative.
  template <class Term>
  double sum_of(const Term& term) const;
  void draw(const RatingsView<T>& train, const std::vector<std::uint64_t>& popularity, Index n);

  const RatingsView<T>& eval_;
  const Settings& settings_;
  std::vector<Code> negatives_;  // by rating; -1 where the user has rated everything
  double total_weight_ = 0;      // of those that have one
};

}  // namespace matfac::pairwise
