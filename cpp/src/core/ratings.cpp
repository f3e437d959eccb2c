#include "matfac/ratings.hpp"

#include <cmath>

#include "core/message.hpp"
#include "core/parallel.hpp"
#include "core/validate.hpp"

namespace matfac {
namespace {

constexpr Index kRowsPerChunk = 2048;

void validate_shape(const PatternView& pattern) {
  require_counts(pattern.n_users, pattern.n_items);
  if (pattern.n_users == 0) return;
  require(pattern.offsets != nullptr, "offsets must have n_users + 1 entries");
  require(pattern.offsets[0] == 0, "offsets must begin with 0, not ", pattern.offsets[0]);
}

void validate_row_items(const PatternView& pattern, Index user) {
  Code previous = -1;
  for (Index i = pattern.offsets[user]; i < pattern.offsets[user + 1]; ++i) {
    const Code item = pattern.items[i];
    require(item >= 0 && item < pattern.n_items, "item code ", item, " at entry ", i, " (user code ", user,
            ") is out of range: codes must be in [0, ", pattern.n_items, ")");
    require(item > previous, "items of user code ", user, " must be strictly ascending, but entry ", i, " is ", item,
            " after ", previous, ": sort each row and merge duplicate pairs");
    previous = item;
  }
}

// Offsets are checked first and as a whole: only then is it safe to follow them.
void validate_offsets(const PatternView& pattern, int n_threads) {
  parallel_chunks(pattern.n_users, kRowsPerChunk, n_threads, [&](Index begin, Index end, int) {
    for (Index n = begin; n < end; ++n) {
      require(pattern.offsets[n + 1] >= pattern.offsets[n], "offsets must never fall, but offsets[", n + 1,
              "] = ", pattern.offsets[n + 1], " comes after ", pattern.offsets[n]);
    }
  });
}

}  // namespace

void validate(const PatternView& pattern, int n_threads) {
  validate_shape(pattern);
  validate_offsets(pattern, n_threads);
  parallel_chunks(pattern.n_users, kRowsPerChunk, n_threads, [&](Index begin, Index end, int) {
    for (Index n = begin; n < end; ++n) validate_row_items(pattern, n);
  });
}

template <class T>
void validate(const RatingsView<T>& ratings, int n_threads) {
  validate_shape(ratings);
  validate_offsets(ratings, n_threads);
  parallel_chunks(ratings.n_users, kRowsPerChunk, n_threads, [&](Index begin, Index end, int) {
    for (Index n = begin; n < end; ++n) {
      validate_row_items(ratings, n);
      for (Index i = ratings.offsets[n]; i < ratings.offsets[n + 1]; ++i) {
        require(std::isfinite(ratings.values[i]), "rating ", ratings.values[i], " at entry ", i, " (user code ", n,
                ", item code ", ratings.items[i], ") is not finite: remove it or replace it by a number");
      }
      if (ratings.weights == nullptr) continue;
      for (Index i = ratings.offsets[n]; i < ratings.offsets[n + 1]; ++i) {
        require(std::isfinite(ratings.weights[i]) && ratings.weights[i] >= 0, "weight ", ratings.weights[i],
                " at entry ", i, " (user code ", n, ", item code ", ratings.items[i],
                ") must be finite and at least 0: a weight says how much a rating counts");
      }
    }
  });
}

template MATFAC_API void validate(const RatingsView<float>&, int);
template MATFAC_API void validate(const RatingsView<double>&, int);

}  // namespace matfac
