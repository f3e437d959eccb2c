#pragma once

#include <cstdint>
#include <vector>

#include "core/ordered_blocks.hpp"
#include "matfac/ratings.hpp"

namespace matfac::stochastic {

/// The ratings laid out for stochastic descent: users in a random order, items by falling number of ratings (in a
/// random order where equal), cut into a grid of blocks with about equally many ratings a row and a column; inside a
/// block by user, each id as 16 bits relative to the block.
///
/// By popularity, since few items have most of the ratings: the rows of a column's items stay in a near cache, but for
/// the last columns, although there are few columns; and a user's row, which is fetched once for each column, then
/// serves several ratings.
///
/// The layout is fixed by the ratings and the seed, never by the number of threads: it fixes the order of the updates.
/// Memory: 4 + sizeof(T) bytes a rating, and sizeof(T) more with weights.
template <class T>
struct Blocks {
  std::vector<Code> user_at, item_at;  ///< position -> code
  std::vector<Index> user_bounds,
      item_bounds;             ///< grid row r holds the user positions [user_bounds[r], user_bounds[r + 1])
  std::vector<Index> offsets;  ///< the ratings of block (r, c) start at offsets[r * n_columns() + c]
  std::vector<std::uint16_t> users, items;  ///< position minus the block's first
  std::vector<T> values;
  std::vector<T> weights;  ///< or none

  Index n_rows() const { return static_cast<Index>(user_bounds.size()) - 1; }
  Index n_columns() const { return static_cast<Index>(item_bounds.size()) - 1; }
};

/// Lays out `ratings`; the value of entry i becomes (values[i] - shift) * scale.
/// O(nnz), parallel.
template <class T>
Blocks<T> make_blocks(const RatingsView<T>& ratings, T shift, T scale, std::uint64_t seed, int n_threads);

/// The order of the blocks in an epoch, keyed by (seed, epoch): rounds of a Latin square, each round visiting every
/// grid row and column once, so that the blocks of a round are independent.
std::vector<Block> epoch_order(Index n_rows, Index n_columns, std::uint64_t seed, std::int64_t epoch);

}  // namespace matfac::stochastic
