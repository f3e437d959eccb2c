#pragma once

#include <cstdint>
#include <vector>

#include "matfac/ratings.hpp"
#include "solvers/batch/item_order.hpp"

namespace matfac {

/// The ratings of some users, laid out segment by segment of an item order; inside a segment by user, and inside a
/// user's run as they came.
template <class T>
class RowLayout {
 public:
  std::vector<Code> ranks;
  std::vector<T> values, weights;

  /// Where the run of the block's user number k in `segment` begins; it ends where the next begins.
  const Index* runs(Index segment) const { return runs_.data() + segment * n_users_; }

  void arrange(const RatingsView<T>& ratings, const ItemOrder& order, Index first_user, Index last_user) {
    const Index begin = ratings.offsets[first_user], end = ratings.offsets[last_user];
    const auto n_segments = static_cast<std::size_t>(order.n_segments());
    n_users_ = last_user - first_user;
    const auto n_ratings = static_cast<std::size_t>(end - begin);
    if (ranks.size() < n_ratings) {
      ranks.resize(n_ratings);
      values.resize(n_ratings);
      if (ratings.weights != nullptr) weights.resize(n_ratings);
    }
    if (runs_.size() < n_segments * static_cast<std::size_t>(n_users_) + 1) {
      runs_.resize(n_segments * static_cast<std::size_t>(n_users_) + 1);
    }
    // Four counts side by side: a single one would wait for itself where neighbours are of the same segment.
    std::uint32_t counts[4][256] = {};
    const std::uint8_t* const segments = order.item_segment.data();
    for (Index i = begin; i < end; ++i) ++counts[i & 3][segments[ratings.items[i]]];
    Index cursors[256];
    Index total = 0;
    for (std::size_t s = 0; s < n_segments; ++s) {
      cursors[s] = total;
      for (const auto& count : counts) total += count[s];
    }
    const Code* const rank_of = order.ranks.data();
    for (Index n = first_user; n < last_user; ++n) {
      for (std::size_t s = 0; s < n_segments; ++s) {
        runs_[s * static_cast<std::size_t>(n_users_) + static_cast<std::size_t>(n - first_user)] = cursors[s];
      }
      for (Index i = ratings.offsets[n]; i < ratings.offsets[n + 1]; ++i) {
        const Code item = ratings.items[i];
        const auto to = static_cast<std::size_t>(cursors[segments[item]]++);
        ranks[to] = rank_of[item];
        values[to] = ratings.values[i];
        if (ratings.weights != nullptr) weights[to] = ratings.weights[i];
      }
    }
    runs_[n_segments * static_cast<std::size_t>(n_users_)] = total;
  }

 private:
  Index n_users_ = 0;
  std::vector<Index> runs_;  // segment by segment, by user, and at last the number of ratings
};

}  // namespace matfac
