#pragma once

#include <cstdint>
#include <vector>

#include "matfac/ratings.hpp"
#include "matfac/settings.hpp"

namespace matfac::pairwise {

/// The ratings laid out for an epoch: users (in a random order that stays) and items (in a new one) cut into a grid of
/// blocks, equally many a row and a column; inside a block by user, then by item code.
///
/// Negatives are drawn from a rating's own column, so that blocks of different rows and columns share nothing. As the
/// columns are random sets of items, anew in each epoch, every item that the user has not rated is met equally often.
///
/// The layout is fixed by the ratings, the row length, the seed and the epoch, never by the number of threads.
/// Memory: 4 bytes a rating, and sizeof(T) more with weights.
template <class T>
class Layout {
 public:
  Layout(const RatingsView<T>& ratings, Index row_bytes, const Settings& settings);

  /// Cuts the columns of `epoch` and lays out the ratings. O(nnz + n_items), parallel.
  void arrange(std::int64_t epoch);

  Index n_rows() const { return static_cast<Index>(user_bounds.size()) - 1; }
  Index n_columns() const { return static_cast<Index>(item_bounds.size()) - 1; }

  std::vector<Code> user_at;       ///< position -> code
  std::vector<Index> user_bounds;  ///< grid row r holds the user positions [user_bounds[r], user_bounds[r + 1])
  std::vector<Index> item_bounds;
  std::vector<Code> item_at;                ///< codes, ascending within a column
  std::vector<std::uint64_t> popularity;    ///< `popularity`: the sum of the ratings of item_at[p] and all before
  std::vector<Index> offsets;               ///< the ratings of block (r, c) start at offsets[r * n_columns() + c]
  std::vector<std::uint16_t> users, items;  ///< position minus the block's first
  std::vector<T> weights;                   ///< or none
  std::vector<Index> item_counts;           ///< ratings by code

 private:
  void cut_columns(std::int64_t epoch);
  void count(Index row);
  void place(Index row);

  const RatingsView<T>& ratings_;
  const Settings& settings_;
  std::vector<std::uint32_t> places_;  // by item code: the column in the upper 16 bits, the position in it in the lower
};

}  // namespace matfac::pairwise
