#pragma once

#include <algorithm>

#include "core/aligned.hpp"
#include "kernels/kernels.hpp"
#include "model/ranking.hpp"

namespace matfac {

/// Queries in the layout of the ranking kernels: groups whose factors are interleaved, then a few as rows. One a
/// thread, used again and again.
template <class T>
class PackedQueries {
 public:
  PackedQueries(Index n_queries, Index n_factors)
      : n_factors_(n_factors), factors_(padded_to_groups(n_queries) * n_factors), bases_(padded_to_groups(n_queries)) {}

  /// Whole groups that hold this many queries.
  static Index padded_to_groups(Index n) { return (n + kRankingGroup - 1) / kRankingGroup * kRankingGroup; }

  /// Takes the queries [begin, end).
  void load(const RankingQueries<T>& queries, Index begin, Index end) {
    n_queries_ = end - begin;
    // A few queries beyond the last group are scored one by one; more are cheaper as a group with gaps.
    const Index rest = n_queries_ % kRankingGroup;
    n_grouped_ = n_queries_ - rest + (rest > kMostSingles ? kRankingGroup : 0);
    for (Index q = 0; q < std::max(n_queries_, n_grouped_); ++q) {
      const bool grouped = q < n_grouped_;
      const Index place = q % kRankingGroup, step = grouped ? kRankingGroup : 1;
      T* const out = factors_.data() + (grouped ? (q - place) * n_factors_ + place : q * n_factors_);
      const Code row = q < n_queries_ ? queries.rows[static_cast<std::size_t>(begin + q)] : -1;
      const T scale = row >= 0 && queries.scales != nullptr ? queries.scales[row] : T(1);
      for (Index f = 0; f < n_factors_; ++f) out[f * step] = row >= 0 ? queries.factors.row(row)[f] * scale : T(0);
      bases_[q] = q < n_queries_ ? queries.bases[static_cast<std::size_t>(begin + q)] : T(0);
    }
  }

  Index size() const { return n_queries_; }

  /// What the kernels take, given what belongs to the use that is made of them.
  RankingBlock<T> block(const RankedItems<T>& ranked, const T* thresholds, ScoredItem<T>* found, Index room,
                        std::int32_t* counts, T* workspace) const {
    return {factors_.data(), bases_.data(), thresholds, n_queries_, n_grouped_, ranked.factors.data,
            ranked.biases,   ranked.scales, n_factors_, found,      room,       counts,
            workspace};
  }

 private:
  static constexpr Index kMostSingles = 3;

  Index n_factors_, n_queries_ = 0, n_grouped_ = 0;
  AlignedBuffer<T> factors_, bases_;
};

}  // namespace matfac
