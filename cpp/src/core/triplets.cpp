#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/buckets.hpp"
#include "core/message.hpp"
#include "core/radix_sort.hpp"
#include "core/validate.hpp"
#include "matfac/ratings.hpp"

namespace matfac {
namespace {

/// Few enough entries that a bucket and its copy stay in the cache while it is sorted, and so many that there are few
/// buckets to write to in turn.
constexpr Index kBucketEntries = 65536;

void require_code(const char* side, Code code, Index n, Index position) {
  require(code >= 0 && code < n, side, " code ", code, " at position ", position,
          " is out of range: codes must be in [0, ", n, ")");
}

template <class T>
struct Triplets {
  std::span<const Code> users, items;
  std::span<const T> values;
  Index n_users, n_items;

  Index size() const { return static_cast<Index>(users.size()); }

  bool holds(std::size_t i) const {
    return users[i] >= 0 && users[i] < n_users && items[i] >= 0 && items[i] < n_items && std::isfinite(values[i]);
  }

  void require_holds(std::size_t i) const {
    const auto position = static_cast<Index>(i);
    require_code("user", users[i], n_users, position);
    require_code("item", items[i], n_items, position);
    require(std::isfinite(values[i]), "rating ", values[i], " at position ", position, " (user code ", users[i],
            ", item code ", items[i], ") is not finite: remove it or replace it by a number");
  }
};

template <class T>
void validate_triplets(const Triplets<T>& triplets, int n_threads) {
  require_counts(triplets.n_users, triplets.n_items);
  require_length("items", triplets.items, triplets.size());
  require_length("values", triplets.values, triplets.size());
  parallel_chunks(triplets.size(), 1 << 16, n_threads, [&](Index begin, Index end, int) {
    bool all_hold = true;
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      all_hold &= triplets.holds(i);
    }
    if (all_hold) return;
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) triplets.require_holds(i);
  });
}

/// Merges the run [first, last) of entries of the same pair, in input order, into one value.
template <class Entry>
auto merge(const Entry* first, const Entry* last, Duplicates duplicates) {
  if (duplicates == Duplicates::first) return first->value;
  if (duplicates == Duplicates::last) return (last - 1)->value;
  double sum = 0;
  for (const Entry* e = first; e != last; ++e) sum += static_cast<double>(e->value);
  return static_cast<decltype(first->value)>(duplicates == Duplicates::mean ? sum / static_cast<double>(last - first)
                                                                            : sum);
}

/// Writes the sorted entries of a bucket to the result from `position` on, equal pairs merged, and the number of each
/// user's ratings to `result.offsets[user + 1]`; returns how many remain.
template <class Entry, class T>
Index write_bucket(const Entry* entries, Index n, int item_bits, Index first_user, Index position,
                   Duplicates duplicates, Ratings<T>& result) {
  const auto item_mask = (std::uint64_t{1} << item_bits) - 1;
  const auto begin = static_cast<std::size_t>(position);
  auto at = begin, row_begin = begin;
  for (Index i = 0; i < n;) {
    const auto key = entries[i].key;
    const Index user = first_user + static_cast<Index>(std::uint64_t{key} >> item_bits);
    const auto item = static_cast<Code>(key & item_mask);
    auto value = entries[i].value;
    Index end = i + 1;
    if (end < n && entries[end].key == key) {
      while (end < n && entries[end].key == key) ++end;
      require(duplicates != Duplicates::error, "user code ", user, " and item code ", item, " occur ", end - i,
              " times: choose what becomes of duplicate pairs (first, last, mean, sum)");
      value = merge(entries + i, entries + end, duplicates);
      require(std::isfinite(value), "the merged rating of user code ", user, " and item code ", item, " is not finite");
    }
    result.items[at] = item;
    result.values[at] = value;
    ++at;
    i = end;
    if (end == n || std::uint64_t{entries[end].key} >> item_bits != std::uint64_t{key} >> item_bits) {
      result.offsets[static_cast<std::size_t>(user) + 1] = static_cast<Index>(at - row_begin);
      row_begin = at;
    }
  }
  return static_cast<Index>(at - begin);
}

/// Closes the gaps that merged pairs have left at the ends of the buckets.
template <class T>
void close_gaps(const std::vector<Index>& starts, const std::vector<Index>& kept, Index nnz, Ratings<T>& result) {
  auto item = result.items.begin();
  auto value = result.values.begin();
  for (std::size_t bucket = 0; bucket < kept.size(); ++bucket) {
    item = std::copy_n(result.items.begin() + starts[bucket], kept[bucket], item);
    value = std::copy_n(result.values.begin() + starts[bucket], kept[bucket], value);
  }
  result.items.resize(static_cast<std::size_t>(nnz));
  result.values.resize(static_cast<std::size_t>(nnz));
}

template <class Key, class T>
void fill_rows(const Triplets<T>& triplets, const Buckets& buckets, int item_bits, Duplicates duplicates, int n_threads,
               Ratings<T>& result) {
  using Entry = Keyed<Key, T>;
  const Index n = triplets.size();
  BucketedEntries<Key, T> entries(result, n, n_threads);
  const Index parts = counting_sort_parts(n, buckets.count, n_threads);
  const Code user_mask = static_cast<Code>((Index{1} << buckets.shift) - 1);
  const auto starts = counting_sort(
      buckets.count, parts, n_threads,
      [&](Index part, const auto& f) {
        for (Index i = n * part / parts; i < n * (part + 1) / parts; ++i) {
          const auto k = static_cast<std::size_t>(i);
          const Code user = triplets.users[k];
          const auto key = static_cast<Key>((static_cast<Key>(user & user_mask) << item_bits) |
                                            static_cast<Key>(triplets.items[k]));
          f(user >> buckets.shift, Entry{key, triplets.values[k]});
        }
      },
      [&](Index position, const Entry& entry) { entries.store(position, entry); });

  std::vector<Index> kept(static_cast<std::size_t>(buckets.count));
  std::vector<std::pair<AlignedBuffer<Entry>, AlignedBuffer<Entry>>> workspaces(
      static_cast<std::size_t>(resolve_threads(n_threads)));
  parallel_for(buckets.count, n_threads, [&](Index bucket, int thread) {
    const auto b = static_cast<std::size_t>(bucket);
    auto& [loaded, other] = workspaces[static_cast<std::size_t>(thread)];
    const Index size = entries.load(starts[b], starts[b + 1], loaded);
    if (other.size() < loaded.size()) other = AlignedBuffer<Entry>(loaded.size());
    const Entry* const sorted = radix_sort(loaded.data(), other.data(), size, item_bits + buckets.shift);
    kept[b] = write_bucket(sorted, size, item_bits, buckets.first_key(bucket), starts[b], duplicates, result);
  });
  std::partial_sum(result.offsets.begin(), result.offsets.end(), result.offsets.begin());
  if (result.offsets.back() < n) close_gaps(starts, kept, result.offsets.back(), result);
}

}  // namespace

template <class T>
Ratings<T> ratings_from_triplets(std::span<const Code> users, std::span<const Code> items, std::span<const T> values,
                                 Index n_users, Index n_items, Duplicates duplicates, int n_threads,
                                 Index* n_duplicates) {
  const Triplets<T> triplets{users, items, values, n_users, n_items};
  validate_triplets(triplets, n_threads);
  Ratings<T> result;
  result.n_users = n_users;
  result.n_items = n_items;
  result.offsets.assign(static_cast<std::size_t>(n_users) + 1, 0);
  if (n_duplicates != nullptr) *n_duplicates = 0;
  const Index n = triplets.size();
  if (n == 0) return result;
  const Buckets buckets = make_buckets(n_users, n / kBucketEntries);
  const int item_bits = bits_below(n_items);
  with_key_type(item_bits + buckets.shift, [&](auto key) {
    fill_rows<decltype(key)>(triplets, buckets, item_bits, duplicates, n_threads, result);
  });
  if (n_duplicates != nullptr) *n_duplicates = n - result.offsets.back();
  return result;
}

template MATFAC_API Ratings<float> ratings_from_triplets(std::span<const Code>, std::span<const Code>,
                                                         std::span<const float>, Index, Index, Duplicates, int, Index*);
template MATFAC_API Ratings<double> ratings_from_triplets(std::span<const Code>, std::span<const Code>,
                                                          std::span<const double>, Index, Index, Duplicates, int,
                                                          Index*);

}  // namespace matfac
