#include <algorithm>
#include <cmath>

#include "core/buckets.hpp"
#include "core/partition.hpp"
#include "matfac/ratings.hpp"

namespace matfac {
namespace {

/// Places the entries of one bucket, which are in the order of the users, at their items. The result holds the bucket
/// from `position` on; `cursors` are zeros, one an item.
template <class Key, class T>
void finish_bucket(const Keyed<Key, T>* entries, Index size, int user_bits, Index position, Index* offsets,
                   Ratings<T>& result, std::vector<Index>& cursors) {
  for (Index i = 0; i < size; ++i) ++cursors[static_cast<std::size_t>(entries[i].key >> user_bits)];
  for (std::size_t m = 0; m < cursors.size(); ++m) {
    offsets[m] = position;
    position += std::exchange(cursors[m], position);
  }
  const Key user_mask = static_cast<Key>((Key{1} << user_bits) - 1);
  for (Index i = 0; i < size; ++i) {
    const auto at = static_cast<std::size_t>(cursors[static_cast<std::size_t>(entries[i].key >> user_bits)]++);
    result.items[at] = static_cast<Code>(entries[i].key & user_mask);
    result.values[at] = entries[i].value;
  }
}

template <class Key, class T>
void fill_transpose(const RatingsView<T>& ratings, const Buckets& buckets, int user_bits, int n_threads,
                    Ratings<T>& result) {
  BucketedEntries<Key, T> entries(result, ratings.nnz(), n_threads);
  const auto bounds = balanced_partition(ratings.offsets, ratings.n_users,
                                         counting_sort_parts(ratings.nnz(), buckets.count, n_threads));
  const Key item_mask = static_cast<Key>((Key{1} << buckets.shift) - 1);
  const auto starts = counting_sort(
      buckets.count, static_cast<Index>(bounds.size()) - 1, n_threads,
      [&](Index part, const auto& f) {
        for (Index n = bounds[static_cast<std::size_t>(part)]; n < bounds[static_cast<std::size_t>(part) + 1]; ++n) {
          for (Index i = ratings.offsets[n]; i < ratings.offsets[n + 1]; ++i) {
            const auto item = static_cast<Key>(ratings.items[i]);
            const auto key = static_cast<Key>(((item & item_mask) << user_bits) | static_cast<Key>(n));
            f(item >> buckets.shift, Keyed<Key, T>{key, ratings.values[i]});
          }
        }
      },
      [&](Index position, const Keyed<Key, T>& entry) { entries.store(position, entry); });

  struct Workspace {
    AlignedBuffer<Keyed<Key, T>> entries;
    std::vector<Index> cursors;
  };
  std::vector<Workspace> workspaces(static_cast<std::size_t>(resolve_threads(n_threads)));
  parallel_for(buckets.count, n_threads, [&](Index bucket, int thread) {
    auto& workspace = workspaces[static_cast<std::size_t>(thread)];
    const Index begin = starts[static_cast<std::size_t>(bucket)], first_item = buckets.first_key(bucket);
    const Index size = entries.load(begin, starts[static_cast<std::size_t>(bucket) + 1], workspace.entries);
    workspace.cursors.assign(static_cast<std::size_t>(buckets.end_key(bucket, ratings.n_items) - first_item), 0);
    finish_bucket(workspace.entries.data(), size, user_bits, begin, result.offsets.data() + first_item, result,
                  workspace.cursors);
  });
}

}  // namespace

template <class T>
Ratings<T> transpose(const RatingsView<T>& ratings, int n_threads) {
  Ratings<T> result;
  result.n_users = ratings.n_items;
  result.n_items = ratings.n_users;
  const Index nnz = ratings.nnz();
  result.offsets.assign(static_cast<std::size_t>(ratings.n_items) + 1, 0);
  if (nnz == 0) return result;
  result.offsets.back() = nnz;
  // As many buckets as items in a bucket: both steps write to equally many places in turn.
  const double n_items = static_cast<double>(ratings.n_items);
  const auto buckets = make_buckets(ratings.n_items, static_cast<Index>(std::sqrt(2 * n_items)));
  const int user_bits = bits_below(ratings.n_users);
  with_key_type(user_bits + buckets.shift,
                [&](auto key) { fill_transpose<decltype(key)>(ratings, buckets, user_bits, n_threads, result); });
  if (ratings.weights != nullptr) {
    RatingsView<T> weights = ratings;  // the same pattern with the weights in the place of the values
    weights.values = ratings.weights;
    weights.weights = nullptr;
    result.weights = transpose(weights, n_threads).values;
  }
  return result;
}

template MATFAC_API Ratings<float> transpose(const RatingsView<float>&, int);
template MATFAC_API Ratings<double> transpose(const RatingsView<double>&, int);

}  // namespace matfac
