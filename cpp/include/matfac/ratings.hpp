#pragma once

#include <span>
#include <vector>

#include "matfac/export.hpp"
#include "matfac/types.hpp"

namespace matfac {

/// Which items each user has rated, without the values: compressed sparse rows that somebody else owns.
///
/// The items of user n are `items[offsets[n]] .. items[offsets[n + 1]]`, strictly ascending.
struct PatternView {
  Index n_users = 0;
  Index n_items = 0;
  const Index* offsets = nullptr;  ///< n_users + 1 entries, the first is 0
  const Code* items = nullptr;     ///< nnz entries in [0, n_items)

  Index nnz() const { return n_users == 0 ? 0 : offsets[n_users]; }
};

/// The ratings R (N x M, sparse): a pattern and a value for each of its entries.
/// What is missing is absent, not zero; an explicit zero is a rating like any other.
template <class T>
struct RatingsView : PatternView {
  const T* values = nullptr;   ///< nnz finite entries
  const T* weights = nullptr;  ///< nnz finite entries of at least 0: how much each rating counts; null: all 1
};

/// Ratings that own their memory.
template <class T>
struct Ratings {
  Index n_users = 0;
  Index n_items = 0;
  std::vector<Index> offsets{0};
  std::vector<Code> items;
  std::vector<T> values;
  std::vector<T> weights;  ///< or none

  RatingsView<T> view() const {
    return {
        {n_users, n_items, offsets.data(), items.data()}, values.data(), weights.empty() ? nullptr : weights.data()};
  }
  operator RatingsView<T>() const { return view(); }
};

/// What becomes of a (user, item) pair that occurs more than once.
enum class Duplicates {
  error,  ///< refuse, naming the first such pair
  first,  ///< keep the rating that comes first in the input
  last,   ///< keep the rating that comes last in the input
  mean,   ///< keep the mean of the pair's ratings
  sum,    ///< keep their sum (counts, durations)
};

/// Throws InvalidArgument unless `ratings` is well-formed: offsets from 0 and never falling, items strictly ascending
/// within each row and in [0, n_items), values finite, weights finite and not negative. O(nnz), parallel.
template <class T>
MATFAC_API void validate(const RatingsView<T>& ratings, int n_threads = 0);

/// The same for a pattern without values.
MATFAC_API void validate(const PatternView& pattern, int n_threads = 0);

/// Builds ratings from unordered triplets (user, item, value) of equal length; the order of the triplets matters only
/// to `Duplicates::first` and `last`. Throws InvalidArgument for codes out of range, values that are not finite, and
/// (under `Duplicates::error`) for a pair that occurs twice. O(nnz), parallel, deterministic; memory beyond the result:
/// twice the ratings of some hundred users, and 4 bytes a triplet where a pair of codes needs more than 32 bits.
/// `n_duplicates`, when given, receives the number of triplets that were merged into another.
template <class T>
MATFAC_API Ratings<T> ratings_from_triplets(std::span<const Code> users, std::span<const Code> items,
                                            std::span<const T> values, Index n_users, Index n_items,
                                            Duplicates duplicates = Duplicates::error, int n_threads = 0,
                                            Index* n_duplicates = nullptr);

/// The ratings by item, with their weights: row m lists the users who rated item m, ascending. O(nnz), parallel,
/// deterministic.
template <class T>
MATFAC_API Ratings<T> transpose(const RatingsView<T>& ratings, int n_threads = 0);

}  // namespace matfac
