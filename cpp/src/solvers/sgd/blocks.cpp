#include "solvers/sgd/blocks.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/partition.hpp"
#include "core/random.hpp"

namespace matfac::sgd {
namespace {

/// Half of a small second-level cache: the rows of a block's items should stay there.
constexpr Index kSegmentBytes = 256 * 1024;
/// Local ids have 16 bits.
constexpr Index kMaxSegment = 65536;

/// A random order of [0, n) (Fisher and Yates), keyed by (seed, stream, part).
std::vector<Code> random_order(Index n, std::uint64_t seed, Stream stream, std::uint64_t part) {
  std::vector<Code> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Code{0});
  for (Index i = n - 1; i > 0; --i) {
    const Words words = random_words(seed, stream, part, static_cast<std::uint32_t>(i));
    std::swap(order[static_cast<std::size_t>(i)], order[to_below(words[0], static_cast<std::uint32_t>(i + 1))]);
  }
  return order;
}

/// Bounds of segments of about equal weight, none longer than the local ids reach. `counts[p]` is the weight of
/// position p.
std::vector<Index> segment_bounds(const std::vector<Index>& counts, Index n_segments) {
  std::vector<Index> sums(counts.size() + 1);
  std::partial_sum(counts.begin(), counts.end(), sums.begin() + 1);
  const auto n = static_cast<Index>(counts.size());
  std::vector<Index> bounds{0};
  for (const Index bound : balanced_partition(sums.data(), n, n_segments)) {
    while (bound - bounds.back() > kMaxSegment) bounds.push_back(bounds.back() + kMaxSegment);
    if (bound > bounds.back()) bounds.push_back(bound);
  }
  return bounds;
}

/// The segment of each position.
std::vector<Index> segment_of(const std::vector<Index>& bounds) {
  std::vector<Index> segment(static_cast<std::size_t>(bounds.back()));
  for (std::size_t s = 0; s + 1 < bounds.size(); ++s) {
    std::fill(segment.begin() + bounds[s], segment.begin() + bounds[s + 1], static_cast<Index>(s));
  }
  return segment;
}

template <class T>
std::vector<Index> count_items(const RatingsView<T>& ratings) {
  std::vector<Index> counts(static_cast<std::size_t>(ratings.n_items));
  for (Index i = 0; i < ratings.nnz(); ++i) ++counts[static_cast<std::size_t>(ratings.items[i])];
  return counts;
}

}  // namespace

template <class T>
Blocks<T> make_blocks(const RatingsView<T>& ratings, Index row_bytes, T shift, T scale, std::uint64_t seed,
                      int n_threads) {
  const Index nnz = ratings.nnz();
  Blocks<T> blocks;
  blocks.user_at = random_order(ratings.n_users, seed, Stream::user_order, 0);
  blocks.item_at = random_order(ratings.n_items, seed, Stream::item_order, 0);

  // Enough blocks to keep many threads busy, but not so many that they have nothing in them; more if the rows of a
  // segment of items would not fit the cache.
  const auto for_threads = std::clamp<Index>(static_cast<Index>(std::sqrt(static_cast<double>(nnz) / 512.0)), 1, 32);
  const Index for_cache = std::min<Index>(ratings.n_items * row_bytes / kSegmentBytes, 256);
  const Index grid = std::max(for_threads, for_cache);

  std::vector<Index> user_counts, item_counts;
  const auto by_item = count_items(ratings);
  for (const Code n : blocks.user_at) user_counts.push_back(ratings.offsets[n + 1] - ratings.offsets[n]);
  for (const Code m : blocks.item_at) item_counts.push_back(by_item[static_cast<std::size_t>(m)]);
  blocks.user_bounds = segment_bounds(user_counts, grid);
  blocks.item_bounds = segment_bounds(item_counts, grid);
  const Index n_rows = blocks.n_rows(), n_columns = blocks.n_columns();

  std::vector<Code> item_position(by_item.size());
  for (std::size_t p = 0; p < by_item.size(); ++p)
    item_position[static_cast<std::size_t>(blocks.item_at[p])] = static_cast<Code>(p);
  const auto column_of = segment_of(blocks.item_bounds);

  // A grid row is filled by one thread, its users in order: count, then place.
  const auto each_rating = [&](Index row, const auto& f) {
    const Index first = blocks.user_bounds[static_cast<std::size_t>(row)];
    for (Index p = first; p < blocks.user_bounds[static_cast<std::size_t>(row) + 1]; ++p) {
      const Code n = blocks.user_at[static_cast<std::size_t>(p)];
      for (Index i = ratings.offsets[n]; i < ratings.offsets[n + 1]; ++i) {
        const Code position = item_position[static_cast<std::size_t>(ratings.items[i])];
        f(i, p - first, position, column_of[static_cast<std::size_t>(position)]);
      }
    }
  };
  blocks.offsets.assign(static_cast<std::size_t>(n_rows * n_columns) + 1, 0);
  parallel_for(n_rows, n_threads, [&](Index row, int) {
    Index* const counts = blocks.offsets.data() + row * n_columns + 1;
    each_rating(row, [&](Index, Index, Code, Index column) { ++counts[column]; });
  });
  std::partial_sum(blocks.offsets.begin(), blocks.offsets.end(), blocks.offsets.begin());
  blocks.users.resize(static_cast<std::size_t>(nnz));
  blocks.items.resize(static_cast<std::size_t>(nnz));
  blocks.values.resize(static_cast<std::size_t>(nnz));
  parallel_for(n_rows, n_threads, [&](Index row, int) {
    const auto begin = blocks.offsets.begin() + row * n_columns;
    std::vector<Index> cursor(begin, begin + n_columns);
    each_rating(row, [&](Index i, Index user, Code position, Index column) {
      const auto at = static_cast<std::size_t>(cursor[static_cast<std::size_t>(column)]++);
      blocks.users[at] = static_cast<std::uint16_t>(user);
      blocks.items[at] = static_cast<std::uint16_t>(position - blocks.item_bounds[static_cast<std::size_t>(column)]);
      blocks.values[at] = (ratings.values[i] - shift) * scale;
    });
  });
  return blocks;
}

std::vector<Block> epoch_order(Index n_rows, Index n_columns, std::uint64_t seed, std::int64_t epoch) {
  const Index side = std::max(n_rows, n_columns);
  const auto part = static_cast<std::uint64_t>(epoch);
  const auto rounds = random_order(side, seed, Stream::block_order, 2 * part);
  const auto rows = random_order(side, seed, Stream::block_order, 2 * part + 1);
  std::vector<Block> order;
  order.reserve(static_cast<std::size_t>(n_rows * n_columns));
  for (const Code round : rounds) {
    for (Index i = 0; i < side; ++i) {
      const Block block{rows[static_cast<std::size_t>(i)], (i + round) % side};
      if (block.row < n_rows && block.column < n_columns) order.push_back(block);
    }
  }
  return order;
}

template Blocks<float> make_blocks(const RatingsView<float>&, Index, float, float, std::uint64_t, int);
template Blocks<double> make_blocks(const RatingsView<double>&, Index, double, double, std::uint64_t, int);

}  // namespace matfac::sgd
