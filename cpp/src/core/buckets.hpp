#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/aligned.hpp"
#include "core/counting_sort.hpp"
#include "matfac/ratings.hpp"

/// Sorting in two steps: into buckets of neighbouring keys first, then each bucket by itself. A counting sort with as
/// many keys as there are users would write to as many places in turn, which neither the caches nor the page table
/// follow; with a thousand buckets they do, and a bucket stays in the cache while it is finished.
namespace matfac {

/// How the keys [0, n_keys) are cut: bucket b holds the keys [b << shift, (b + 1) << shift).
struct Buckets {
  int shift = 0;
  Index count = 0;

  Index first_key(Index bucket) const { return bucket << shift; }
  Index end_key(Index bucket, Index n_keys) const { return std::min((bucket + 1) << shift, n_keys); }
};

/// At most `wanted` buckets, and at most 2048.
inline Buckets make_buckets(Index n_keys, Index wanted) {
  wanted = std::clamp<Index>(wanted, 1, 2048);
  Buckets buckets;
  const auto count = [&] { return n_keys == 0 ? 0 : ((n_keys - 1) >> buckets.shift) + 1; };
  while (count() > wanted) ++buckets.shift;
  buckets.count = count();
  return buckets;
}

/// The number of bits of the numbers [0, n).
inline int bits_below(Index n) {
  return n < 2 ? 0 : static_cast<int>(std::bit_width(static_cast<std::uint64_t>(n - 1)));
}

/// What is left of a triplet in a bucket: both codes in one key, as small as they allow, and the value.
template <class Key, class T>
struct Keyed {
  Key key;
  T value;
};

/// Calls `f` with a zero of the smallest type for keys of so many bits.
template <class F>
decltype(auto) with_key_type(int bits, F&& f) {
  return bits <= 32 ? std::forward<F>(f)(std::uint32_t{0}) : std::forward<F>(f)(std::uint64_t{0});
}

/// Entries in the order of their buckets, kept where the finished ratings will lie, so that they take no memory of
/// their own: keys in place of the items. Of keys that do not fit there the upper half is kept besides.
template <class Key, class T>
class BucketedEntries {
 public:
  static constexpr bool kWide = sizeof(Key) > sizeof(Code);

  BucketedEntries(Ratings<T>& ratings, Index n, int n_threads)
      : items_(ratings.items), values_(ratings.values), upper_(kWide ? n : 0) {
    parallel_for(2, n_threads, [&](Index which, int) {
      if (which == 0) {
        items_.resize(static_cast<std::size_t>(n));
      } else {
        values_.resize(static_cast<std::size_t>(n));
      }
    });
  }

  void store(Index position, const Keyed<Key, T>& entry) {
    items_[static_cast<std::size_t>(position)] = static_cast<Code>(static_cast<std::uint32_t>(entry.key));
    values_[static_cast<std::size_t>(position)] = entry.value;
    if constexpr (kWide) upper_[position] = static_cast<std::uint32_t>(entry.key >> 32);
  }

  /// Copies the entries [begin, end) to `entries`, which grows to hold them.
  Index load(Index begin, Index end, AlignedBuffer<Keyed<Key, T>>& entries) const {
    if (entries.size() < end - begin) entries = AlignedBuffer<Keyed<Key, T>>((end - begin) * 5 / 4);
    for (Index i = begin; i < end; ++i) {
      Key key = static_cast<std::uint32_t>(items_[static_cast<std::size_t>(i)]);
      if constexpr (kWide) key |= static_cast<Key>(upper_[i]) << 32;
      entries[i - begin] = {key, values_[static_cast<std::size_t>(i)]};
    }
    return end - begin;
  }

 private:
  std::vector<Code>& items_;
  std::vector<T>& values_;
  AlignedBuffer<std::uint32_t> upper_;
};

}  // namespace matfac
