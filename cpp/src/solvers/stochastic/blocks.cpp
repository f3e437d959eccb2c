#include "solvers/stochastic/blocks.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "core/counting_sort.hpp"
#include "core/partition.hpp"
#include "core/shuffle.hpp"

namespace matfac::stochastic {
namespace {

constexpr Index kMostRows = 32, kMostColumns = 16;
/// Local ids have 16 bits.
constexpr Index kMaxSegment = 65536;

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

template <class T>
std::vector<Index> count_items(const RatingsView<T>& ratings, int n_threads) {
  const Index nnz = ratings.nnz(), n_parts = counting_sort_parts(nnz, ratings.n_items, n_threads);
  std::vector<std::vector<Index>> counts(static_cast<std::size_t>(n_parts));
  parallel_for(n_parts, n_threads, [&](Index part, int) {
    auto& mine = counts[static_cast<std::size_t>(part)];
    mine.assign(static_cast<std::size_t>(ratings.n_items), 0);
    for (Index i = nnz * part / n_parts; i < nnz * (part + 1) / n_parts; ++i) {
      ++mine[static_cast<std::size_t>(ratings.items[i])];
    }
  });
  auto& total = counts.front();
  for (std::size_t part = 1; part < counts.size(); ++part) {
    std::transform(total.begin(), total.end(), counts[part].begin(), total.begin(), std::plus<Index>());
  }
  return std::move(total);
}

/// Where in the grid each item code lies: the column in the upper 16 bits, the position in it in the lower. There are
/// at most 2^31 / kMaxSegment columns that are cut by length and kMostColumns that are cut by weight.
std::vector<std::uint32_t> item_places(const std::vector<Code>& item_at, const std::vector<Index>& bounds) {
  std::vector<std::uint32_t> places(item_at.size());
  for (std::size_t column = 0; column + 1 < bounds.size(); ++column) {
    for (Index p = bounds[column]; p < bounds[column + 1]; ++p) {
      const auto item = static_cast<std::size_t>(item_at[static_cast<std::size_t>(p)]);
      places[item] = static_cast<std::uint32_t>(column << 16) | static_cast<std::uint32_t>(p - bounds[column]);
    }
  }
  return places;
}

/// The ratings of the users at the positions [first, last), user by user: f(user, begin, end).
template <class T, class F>
void each_user(const RatingsView<T>& ratings, const std::vector<Code>& user_at, Index first, Index last, const F& f) {
  for (Index p = first; p < last; ++p) {
    const Code n = user_at[static_cast<std::size_t>(p)];
    f(p - first, ratings.offsets[n], ratings.offsets[n + 1]);
  }
}

/// Lays out the ratings, a grid row at a time and by one thread, its users in order: counts, then places them.
template <class T>
void fill_blocks(const RatingsView<T>& ratings, const std::vector<std::uint32_t>& places, T shift, T scale,
                 int n_threads, Blocks<T>& blocks) {
  const Index n_rows = blocks.n_rows(), n_columns = blocks.n_columns();
  const auto each_user_of_row = [&](Index row, const auto& f) {
    const auto r = static_cast<std::size_t>(row);
    each_user(ratings, blocks.user_at, blocks.user_bounds[r], blocks.user_bounds[r + 1], f);
  };
  blocks.offsets.assign(static_cast<std::size_t>(n_rows * n_columns) + 1, 0);
  parallel_for(n_rows, n_threads, [&](Index row, int) {
    std::vector<Index> counts(static_cast<std::size_t>(n_columns));
    each_user_of_row(row, [&](Index, Index begin, Index end) {
      for (Index i = begin; i < end; ++i) ++counts[places[static_cast<std::size_t>(ratings.items[i])] >> 16];
    });
    std::copy(counts.begin(), counts.end(), blocks.offsets.begin() + row * n_columns + 1);
  });
  std::partial_sum(blocks.offsets.begin(), blocks.offsets.end(), blocks.offsets.begin());

  const auto nnz = static_cast<std::size_t>(ratings.nnz());
  parallel_for(2, n_threads, [&](Index which, int) {
    if (which == 0) {
      blocks.values.resize(nnz);
      if (ratings.weights != nullptr) blocks.weights.resize(nnz);
    } else {
      blocks.users.resize(nnz);
      blocks.items.resize(nnz);
    }
  });
  parallel_for(n_rows, n_threads, [&](Index row, int) {
    const auto first = blocks.offsets.begin() + row * n_columns;
    std::vector<Index> cursors(first, first + n_columns);
    // Plain pointers: the stores of 16-bit numbers could else change what the loop reads through `blocks`.
    std::uint16_t* const users = blocks.users.data();
    std::uint16_t* const items = blocks.items.data();
    T* const values = blocks.values.data();
    T* const weights = ratings.weights != nullptr ? blocks.weights.data() : nullptr;
    each_user_of_row(row, [&](Index user, Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        const std::uint32_t place = places[static_cast<std::size_t>(ratings.items[i])];
        const Index at = cursors[place >> 16]++;
        users[at] = static_cast<std::uint16_t>(user);
        items[at] = static_cast<std::uint16_t>(place);
        values[at] = (ratings.values[i] - shift) * scale;
        if (weights != nullptr) weights[at] = ratings.weights[i];
      }
    });
  });
}

}  // namespace

template <class T>
Blocks<T> make_blocks(const RatingsView<T>& ratings, T shift, T scale, std::uint64_t seed, int n_threads) {
  Blocks<T> blocks;
  blocks.user_at = shuffled(ratings.n_users, seed, Stream::user_order, 0, n_threads);
  blocks.item_at = shuffled(ratings.n_items, seed, Stream::item_order, 0, n_threads);
  const auto by_item = count_items(ratings, n_threads);
  std::stable_sort(blocks.item_at.begin(), blocks.item_at.end(), [&](Code a, Code b) {
    return by_item[static_cast<std::size_t>(a)] > by_item[static_cast<std::size_t>(b)];
  });
  std::vector<Index> user_counts, item_counts;
  for (const Code n : blocks.user_at) user_counts.push_back(ratings.offsets[n + 1] - ratings.offsets[n]);
  for (const Code m : blocks.item_at) item_counts.push_back(by_item[static_cast<std::size_t>(m)]);

  // Enough blocks to keep many threads busy, but not so many that they have nothing in them. A user's row is fetched
  // once a column, so there are fewer columns than rows.
  const auto grid = static_cast<Index>(std::sqrt(static_cast<double>(ratings.nnz()) / 512.0));
  blocks.user_bounds = segment_bounds(user_counts, std::clamp<Index>(grid, 1, kMostRows));
  blocks.item_bounds = segment_bounds(item_counts, std::clamp<Index>(grid, 1, kMostColumns));
  fill_blocks(ratings, item_places(blocks.item_at, blocks.item_bounds), shift, scale, n_threads, blocks);
  return blocks;
}

std::vector<Block> epoch_order(Index n_rows, Index n_columns, std::uint64_t seed, std::int64_t epoch) {
  const Index side = std::max(n_rows, n_columns);
  const auto part = static_cast<std::uint64_t>(epoch);
  const auto rounds = shuffled(side, seed, Stream::block_order, 2 * part, 1);
  const auto rows = shuffled(side, seed, Stream::block_order, 2 * part + 1, 1);
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

template Blocks<float> make_blocks(const RatingsView<float>&, float, float, std::uint64_t, int);
template Blocks<double> make_blocks(const RatingsView<double>&, double, double, std::uint64_t, int);

}  // namespace matfac::stochastic
