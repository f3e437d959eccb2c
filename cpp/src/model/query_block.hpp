#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "core/aligned.hpp"
#include "kernels/kernels.hpp"
#include "model/keep_best.hpp"
#include "model/packed_queries.hpp"
#include "model/ranking.hpp"

namespace matfac {

/// A block of queries in the layout of the kernels, and the best items found for them. One a thread, used again and
/// again.
///
/// What may be among a query's n best is gathered as the kernel finds it. Now and then this is settled: what must be
/// left out is taken out, the n best are kept, and the last of them becomes the threshold for all that follows (items
/// come by ascending code, so at the threshold a later one loses the tie). An item thus costs constant time at any n.
template <class T>
class QueryBlock {
 public:
  QueryBlock(Index n_queries, Index n, const RankedItems<T>& ranked)
      : kernels_(kernels<T>()),
        ranked_(ranked),
        n_(n),
        full_(full(n, ranked.factors.rows)),
        room_(full_ + kRankingStrip),
        queries_(n_queries, ranked.factors.cols),
        thresholds_(PackedQueries<T>::padded_to_groups(n_queries)),
        counts_(thresholds_.size()),
        limits_(thresholds_.size()),
        states_(static_cast<std::size_t>(n_queries)),
        found_((n_queries + 1) * room_),
        workspace_(kernels_.ranking_workspace(ranked.factors.cols)) {}

  /// Bytes that a query needs for what is found.
  static Index bytes_found(Index n, Index n_items) {
    return (full(n, n_items) + kRankingStrip) * static_cast<Index>(sizeof(ScoredItem<T>));
  }

  /// Takes the queries [begin, end).
  void load(const RankingQueries<T>& queries, Index begin, Index end) {
    queries_.load(queries, begin, end);
    n_queries_ = queries_.size();
    for (Index q = 0; q < n_queries_; ++q) state_of(q).excluded = queries.excluded(begin + q);
  }

  /// Finds the best of the items [first, end).
  void rank(Index first, Index end) {
    constexpr T kInfinity = std::numeric_limits<T>::infinity();
    for (Index q = 0; q < thresholds_.size(); ++q) {
      thresholds_[q] = q < n_queries_ ? -kInfinity : kInfinity;
      counts_[q] = 0;
    }
    for (Index q = 0; q < n_queries_; ++q) {
      State& state = state_of(q);
      const Code* const list_end = state.excluded.data() + state.excluded.size();
      state.excluded = {std::lower_bound(state.excluded.data(), list_end, first), list_end};
      state.n_settled = 0;
      limits_[q] = static_cast<std::int32_t>(n_);
    }
    const RankingBlock<T> block = queries_.block(ranked_, thresholds_.data(), found_.data(), room_, counts_.data(),
                                                 workspace_.data());
    for (Index strip = first; strip < end; strip += kRankingStrip) {
      kernels_.score_strip(block, strip, end);
      for (Index q = 0; q < n_queries_; ++q) {
        if (counts_[q] >= limits_[q]) settle(q);
      }
    }
    for (Index q = 0; q < n_queries_; ++q) {
      settle(q);
      std::sort(found(q), found(q) + count(q), RanksBefore{});
    }
  }

  Index size() const { return n_queries_; }
  /// The best items of a query, best first, and their number, at most n.
  const ScoredItem<T>* best(Index q) const { return found_.data() + q * room_; }
  Index count(Index q) const { return counts_[q]; }

 private:
  struct State {
    std::span<const Code> excluded;  // those that may still come
    Index n_settled;
  };

  static Index full(Index n, Index n_items) { return std::min(n + std::max<Index>(n, 16), std::max(n, n_items)); }
  State& state_of(Index q) { return states_[static_cast<std::size_t>(q)]; }
  ScoredItem<T>* found(Index q) { return found_.data() + q * room_; }

  void settle(Index q) {
    State& state = state_of(q);
    ScoredItem<T>* const entries = found(q);
    const Code* skip = state.excluded.data();
    const Code* const skip_end = skip + state.excluded.size();
    Index kept = state.n_settled;
    for (Index i = kept; i < counts_[q]; ++i) {
      const ScoredItem<T> entry = entries[i];
      while (skip != skip_end && *skip < entry.item) ++skip;
      entries[kept] = {std::clamp(entry.score, ranked_.lowest, ranked_.highest), entry.item};
      kept += skip == skip_end || *skip != entry.item;
    }
    state.excluded = {skip, skip_end};
    if (kept >= n_) {
      keep_best(entries, n_, kept, found_.data() + n_queries_ * room_);
      kept = n_;
      thresholds_[q] = entries[n_ - 1].score;
      limits_[q] = static_cast<std::int32_t>(full_);
    }
    state.n_settled = kept;
    counts_[q] = static_cast<std::int32_t>(kept);
  }

  const Kernels<T>& kernels_;
  const RankedItems<T>& ranked_;
  Index n_, full_, room_;
  Index n_queries_ = 0;
  PackedQueries<T> queries_;
  AlignedBuffer<T> thresholds_;
  AlignedBuffer<std::int32_t> counts_, limits_;  // found so far, and how many are settled
  std::vector<State> states_;
  AlignedBuffer<ScoredItem<T>> found_;  // and as much again as one query needs
  AlignedBuffer<T> workspace_;
};

}  // namespace matfac
