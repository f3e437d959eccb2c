#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "matfac/ratings.hpp"

namespace matfac {

/// The items by how often they are rated, the most rated first, cut into segments whose rows fit a second-level cache.
/// A few per cent of the items have most of the ratings, so a user has long runs of ratings in most segments.
struct ItemOrder {
  std::vector<Code> ranks;                 ///< of each item; 0: the most rated
  std::vector<std::uint8_t> item_segment;  ///< of each item
  std::vector<Index> segments;             ///< the rank that each segment begins with, and at last n_items

  Index n_segments() const { return static_cast<Index>(segments.size()) - 1; }
};

/// `segment_rows`: the most items in a segment. The last may have more: it holds what is too rarely rated to be worth a
/// walk over all users. A segment of many items has at most a 16th of the ratings, for two threads must not be in the
/// same. Judged by every 16th rating; a function of the arguments alone. O(nnz / 16 + M log M).
inline ItemOrder item_order(const PatternView& ratings, Index segment_rows) {
  constexpr Index kSample = 16, kShares = 16;
  constexpr std::size_t kMostSegments = 128;
  const auto n_items = static_cast<std::size_t>(ratings.n_items);
  std::vector<Index> counts(n_items);
  Index left = 0;
  for (Index i = 0; i < ratings.nnz(); i += kSample, ++left) ++counts[static_cast<std::size_t>(ratings.items[i])];
  const Index most = left / kShares;
  std::vector<Code> order(n_items);
  std::iota(order.begin(), order.end(), Code(0));
  std::stable_sort(order.begin(), order.end(), [&](Code a, Code b) {
    return counts[static_cast<std::size_t>(a)] > counts[static_cast<std::size_t>(b)];
  });

  ItemOrder result{std::vector<Code>(n_items), std::vector<std::uint8_t>(n_items), {0}};
  Index in_segment = 0;
  bool is_tail = false;
  for (Index rank = 0; rank < ratings.n_items; ++rank) {
    const auto item = static_cast<std::size_t>(order[static_cast<std::size_t>(rank)]);
    const Index rows = rank - result.segments.back();
    if (rows > 0 && !is_tail && (rows >= segment_rows || in_segment + counts[item] > most)) {
      result.segments.push_back(rank);
      in_segment = 0;
      is_tail = left < most || result.segments.size() == kMostSegments;
    }
    result.ranks[item] = static_cast<Code>(rank);
    result.item_segment[item] = static_cast<std::uint8_t>(result.segments.size() - 1);
    in_segment += counts[item];
    left -= counts[item];
  }
  result.segments.push_back(ratings.n_items);
  return result;
}

}  // namespace matfac
