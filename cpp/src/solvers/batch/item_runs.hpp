#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.hpp"
#include "matfac/operations.hpp"
#include "matfac/ratings.hpp"

namespace matfac {

/// Users of a block at most: their factors are to stay in a cache.
constexpr Index kMostBlockUsers = 1 << 13;
/// So many blocks, or more, where there are few ratings: enough for the threads.
constexpr Index kWantedBlocks = 64;

/// Blocks of users: block b is [result[b], result[b + 1]). A block of more than one user has less than 2^16 ratings, so
/// that 16 bits number both in it. The cut depends on the offsets alone. O(blocks log n_users).
std::vector<Index> user_blocks(const PatternView& pattern);

/// The ratings of each of those blocks by item, an item's ratings by user.
struct ItemRuns::Impl {
  struct Block {
    Index start = 0;                   // the first of its ratings
    std::uint64_t fingerprint = 0;     // of their items; none for a block of one user
    std::vector<ItemRun> runs;         // items ascending; none for a block of one user
    std::vector<LocalRating> ratings;  // of the runs, one after the other
  };
  Index n_users = 0, n_items = 0;
  std::vector<Index> users;  // user_blocks
  std::vector<Block> blocks;
};

}  // namespace matfac
