#include "solvers/pairwise/layout.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/parallel.hpp"
#include "core/shuffle.hpp"

namespace matfac::pairwise {
namespace {

/// Half of a small second-level cache: the rows of a column's items should stay there.
constexpr Index kColumnBytes = 256 * 1024;
/// Positions in a block have 16 bits.
constexpr Index kMaxSegment = 65536;
/// With fewer items in a column the ranks among them say little.
constexpr Index kMinColumn = 64;

/// [0, n) in equal parts.
std::vector<Index> equal_bounds(Index n, Index n_parts) {
  std::vector<Index> bounds;
  for (Index part = 0; part <= n_parts; ++part) bounds.push_back(n * part / n_parts);
  return bounds;
}

Index parts_of(Index n, Index wanted, Index least_length) {
  return std::max({std::min(wanted, n / least_length), (n + kMaxSegment - 1) / kMaxSegment, Index{1}});
}

}  // namespace

template <class T>
Layout<T>::Layout(const RatingsView<T>& ratings, Index row_bytes, const Settings& settings)
    : user_at(shuffled(ratings.n_users, settings.seed, Stream::user_order, 0, settings.n_threads)),
      item_counts(static_cast<std::size_t>(ratings.n_items)),
      ratings_(ratings),
      settings_(settings),
      places_(static_cast<std::size_t>(ratings.n_items)) {
  const Index nnz = ratings.nnz();
  for (Index i = 0; i < nnz; ++i) ++item_counts[static_cast<std::size_t>(ratings.items[i])];
  // Enough blocks to keep many threads busy, but not so many that they have nothing in them; more columns if the rows
  // of a column's items would not fit the cache.
  const auto for_threads = std::clamp<Index>(static_cast<Index>(std::sqrt(static_cast<double>(nnz) / 512.0)), 1, 32);
  const Index for_cache = std::min<Index>(ratings.n_items * row_bytes / kColumnBytes, 256);
  user_bounds = equal_bounds(ratings.n_users, parts_of(ratings.n_users, for_threads, 1));
  item_bounds = equal_bounds(ratings.n_items, parts_of(ratings.n_items, std::max(for_threads, for_cache), kMinColumn));
  offsets.assign(static_cast<std::size_t>(n_rows() * n_columns()) + 1, 0);
  users.resize(static_cast<std::size_t>(nnz));
  items.resize(static_cast<std::size_t>(nnz));
  if (ratings.weights != nullptr) weights.resize(static_cast<std::size_t>(nnz));
  item_at.resize(static_cast<std::size_t>(ratings.n_items));
  if (settings.negatives == Negatives::popularity) popularity.resize(static_cast<std::size_t>(ratings.n_items));
}

template <class T>
void Layout<T>::arrange(std::int64_t epoch) {
  cut_columns(epoch);
  offsets[0] = 0;
  parallel_for(n_rows(), settings_.n_threads, [&](Index row, int) { count(row); });
  std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
  parallel_for(n_rows(), settings_.n_threads, [&](Index row, int) { place(row); });
}

template <class T>
void Layout<T>::cut_columns(std::int64_t epoch) {
  const Index n_items = ratings_.n_items;
  const auto order = shuffled(n_items, settings_.seed, Stream::column_order, static_cast<std::uint64_t>(epoch),
                              settings_.n_threads);
  for (std::size_t column = 0; column + 1 < item_bounds.size(); ++column) {
    for (Index p = item_bounds[column]; p < item_bounds[column + 1]; ++p) {
      places_[static_cast<std::size_t>(order[static_cast<std::size_t>(p)])] = static_cast<std::uint32_t>(column << 16);
    }
  }
  std::vector<Index> next(item_bounds.begin(), item_bounds.end() - 1);
  for (Index m = 0; m < n_items; ++m) {
    auto& place = places_[static_cast<std::size_t>(m)];
    const std::size_t column = place >> 16;
    const Index p = next[column]++;
    place |= static_cast<std::uint32_t>(p - item_bounds[column]);
    item_at[static_cast<std::size_t>(p)] = static_cast<Code>(m);
  }
  if (popularity.empty()) return;
  std::uint64_t sum = 0;
  for (std::size_t p = 0; p < popularity.size(); ++p) {
    sum += static_cast<std::uint64_t>(item_counts[static_cast<std::size_t>(item_at[p])]);
    popularity[p] = sum;
  }
}

template <class T>
void Layout<T>::count(Index row) {
  const auto r = static_cast<std::size_t>(row);
  std::vector<Index> counts(static_cast<std::size_t>(n_columns()));
  const std::uint32_t* const places = places_.data();
  for (Index p = user_bounds[r]; p < user_bounds[r + 1]; ++p) {
    const Code n = user_at[static_cast<std::size_t>(p)];
    for (Index i = ratings_.offsets[n]; i < ratings_.offsets[n + 1]; ++i) ++counts[places[ratings_.items[i]] >> 16];
  }
  std::copy(counts.begin(), counts.end(), offsets.begin() + row * n_columns() + 1);
}

template <class T>
void Layout<T>::place(Index row) {
  const auto r = static_cast<std::size_t>(row);
  const auto first = offsets.begin() + row * n_columns();
  std::vector<Index> cursors(first, first + n_columns());
  // Plain pointers: the stores of 16-bit numbers could else change what the loop reads through `this`.
  const std::uint32_t* const places = places_.data();
  std::uint16_t* const to_users = users.data();
  std::uint16_t* const to_items = items.data();
  T* const to_weights = weights.empty() ? nullptr : weights.data();
  for (Index p = user_bounds[r]; p < user_bounds[r + 1]; ++p) {
    const Code n = user_at[static_cast<std::size_t>(p)];
    const Index end = ratings_.offsets[n + 1];
    const auto user = static_cast<std::uint16_t>(p - user_bounds[r]);
    for (Index i = ratings_.offsets[n]; i < end; ++i) {
      const std::uint32_t place = places[ratings_.items[i]];
      const Index at = cursors[place >> 16]++;
      to_users[at] = user;
      to_items[at] = static_cast<std::uint16_t>(place);
      if (to_weights != nullptr) to_weights[at] = ratings_.weights[i];
    }
  }
}

template class Layout<float>;
template class Layout<double>;

}  // namespace matfac::pairwise
