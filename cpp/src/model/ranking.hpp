#pragma once

#include <limits>
#include <span>
#include <vector>

#include "matfac/model.hpp"
#include "matfac/types.hpp"

namespace matfac {

/// What to rank for: query q is row rows[q] of `factors` (-1: zeros) times its scale, with an own base.
template <class T>
struct RankingQueries {
  MatrixView<const T> factors;
  std::span<const Code> rows;
  const T* scales = nullptr;  ///< one a row, or null: 1
  std::vector<T> bases = {};  ///< one a query
  /// The items to leave out: none; or, with one item a query, null offsets; or ascending lists.
  const Index* excluded_offsets = nullptr;
  const Code* excluded_items = nullptr;
  bool excluded_by_row = false;   ///< query q has list rows[q], not list q
  bool excluded_is_same = false;  ///< all queries have list 0

  Index size() const { return static_cast<Index>(rows.size()); }
  /// The items to leave out, ascending.
  std::span<const Code> excluded(Index q) const {
    if (excluded_items == nullptr) return {};
    if (excluded_offsets == nullptr) return {excluded_items + q, 1};
    const Index list = excluded_is_same ? 0 : excluded_by_row ? rows[static_cast<std::size_t>(q)] : q;
    return {excluded_items + excluded_offsets[list], excluded_items + excluded_offsets[list + 1]};
  }
};

/// What is ranked: item m is row m of `factors` times its scale, with a bias.
template <class T>
struct RankedItems {
  MatrixView<const T> factors;
  const T* biases = nullptr;  ///< or null: 0
  const T* scales = nullptr;  ///< or null: 1
  /// Scores are cut to this range.
  T lowest = -std::numeric_limits<T>::infinity();
  T highest = std::numeric_limits<T>::infinity();
};

/// Writes the n >= 1 items with the highest scores for each query, best first, ties by the lower code; where fewer
/// remain the rest is -1 and -infinity. The score of an item for a query is (bias + u . v) + base, summed in the order
/// of the factors: it does not depend on n_threads, nor on the other queries. An item whose score is -infinity is not
/// found.
///
/// 2F flop a query and item; the memory of a thread is bounded (a few MB, or a few lists of n items if that is more).
template <class T>
void rank(const RankingQueries<T>& queries, const RankedItems<T>& ranked, Index n, MatrixView<Code> items,
          MatrixView<T> scores, int n_threads);

/// The same with the items of `filters.among` as the only ones: their estimates, one by one.
template <class T>
void rank_among(const ModelView<T>& model, const RankingQueries<T>& queries, const PatternView& among, Index n,
                MatrixView<Code> items, MatrixView<T> scores, int n_threads);

}  // namespace matfac
