#pragma once

#include <span>
#include <vector>

#include "matfac/export.hpp"
#include "matfac/model.hpp"
#include "matfac/ratings.hpp"
#include "matfac/types.hpp"

/// How good rankings are, one value a user and measure. Relevance is binary: an item is relevant to a user or it is
/// not.
///
/// Every function checks its arguments (InvalidArgument), runs on `n_threads` threads (0: all) and gives the same bits
/// at any number of them. A user without relevant items can be served neither well nor badly and gets NaN.
namespace matfac {

/// The measures of one list. n is its length; h_j is 1 if the item at rank j = 1..n is relevant and else 0; c is the
/// number of items that are relevant to the user. All are in [0, 1].
enum class RankingMeasure {
  precision,          ///< 1/n sum_j h_j
  recall,             ///< 1/c sum_j h_j
  hit_rate,           ///< max_j h_j
  reciprocal_rank,    ///< 1/j of the lowest j with h_j = 1, or 0; the mean over users is known as MRR
  average_precision,  ///< 1/min(n, c) sum_j h_j (1/j sum_{i <= j} h_i); the mean over users is known as MAP
  ndcg,               ///< sum_j h_j / log2(j + 1), divided by what it would be with min(n, c) relevant items at the top
};
inline constexpr Index kRankingMeasures = 6;

/// The measures of given lists. Row u of `recommended` (users x n) is the list of user u, best first, and row u of
/// `relevant` says what is relevant; -1 stands for no item and costs nothing but its rank. Row u of `measures` (users x
/// kRankingMeasures) receives the values, in the order of the enumeration. An item must not stand twice in a row.
/// O(n (log c + log n)) a user.
MATFAC_API void ranking_measures(MatrixView<const Code> recommended, const PatternView& relevant,
                                 MatrixView<double> measures, int n_threads = 0);

/// Recommends n items to each of `users` as `recommend` does, and measures the lists. `relevant` and `seen`, which may
/// be null, have the model's shape: row u belongs to user u, not to users[u]. An item that was seen is neither
/// recommended nor relevant. Row i of `measures` (users.size() x kRankingMeasures) belongs to users[i].
/// `times_recommended`, if not empty, has an entry an item, to which the number of lists with that item is added.
///
/// The cost is that of `recommend`, and the memory a few megabytes whatever the number of users.
template <class T>
MATFAC_API void evaluate_recommendations(const ModelView<T>& model, std::span<const Code> users, Index n,
                                         const PatternView& relevant, const PatternView* seen,
                                         MatrixView<double> measures, std::span<Index> times_recommended,
                                         int n_threads = 0);

/// The area under the ROC curve of each of `users`: the share of the pairs of a relevant and another item, neither of
/// them seen, in which the relevant one has the higher score; equal scores count one half. Exact; NaN as well where
/// there is no other item. Arguments as above; `out` has users.size() entries.
///
/// 2F flop a user and item; beyond that O(log c) for each item that scores no less than the user's lowest relevant one.
/// Memory: a few megabytes a thread.
template <class T>
MATFAC_API void ranking_auc(const ModelView<T>& model, std::span<const Code> users, const PatternView& relevant,
                            const PatternView* seen, std::span<double> out, int n_threads = 0);

/// The mean of each column over the rows that hold numbers; NaN for a column without any.
MATFAC_API std::vector<double> mean_measures(MatrixView<const double> measures, int n_threads = 0);

}  // namespace matfac
