#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <span>

#include "core/message.hpp"
#include "core/parallel.hpp"
#include "matfac/ratings.hpp"
#include "matfac/types.hpp"

namespace matfac {

/// A Code has 31 bits for the number.
inline constexpr Index kMaxCodes = Index{1} << 31;

/// Refuses numbers of users and items that are negative or have no codes.
inline void require_counts(Index n_users, Index n_items) {
  require(n_users >= 0 && n_users < kMaxCodes, "n_users must be in [0, 2^31), not ", n_users);
  require(n_items >= 0 && n_items < kMaxCodes, "n_items must be in [0, 2^31), not ", n_items);
}

/// Refuses rows without offsets, as those of ratings that were moved from. O(1).
inline void require_rows(const PatternView& ratings) {
  require(ratings.n_users == 0 || ratings.offsets != nullptr, "the ratings have ", ratings.n_users,
          " users and no offsets: were they moved from?");
}

/// Refuses a factor matrix that does not have the expected shape.
template <class T>
void require_shape(const char* name, const MatrixView<T>& matrix, Index rows, Index cols) {
  require(matrix.rows == rows && matrix.cols == cols, name, " has shape (", matrix.rows, ", ", matrix.cols,
          "), expected (", rows, ", ", cols, ")");
  require(matrix.data != nullptr || matrix.size() == 0, name, " has no data");
}

/// Refuses a span that does not have the expected length.
template <class T>
void require_length(const char* name, std::span<T> values, Index length) {
  require(static_cast<Index>(values.size()) == length, name, " has ", values.size(), " entries, expected ", length);
}

/// An argument's memory, by the argument's name: one array, or all of some ratings.
struct NamedMemory {
  const char* name;
  std::array<std::span<const std::byte>, 4> arrays;

  template <class T>
  NamedMemory(const char* argument, std::span<T> entries) : name(argument), arrays{std::as_bytes(entries)} {}
  template <class T>
  NamedMemory(const char* argument, const MatrixView<T>& matrix)
      : name(argument), arrays{of(matrix.data, matrix.size())} {}
  template <class T>
  NamedMemory(const char* argument, const RatingsView<T>& ratings)
      : name(argument),
        arrays{of(ratings.values, ratings.nnz()), of(ratings.items, ratings.nnz()),
               of(ratings.offsets, ratings.n_users + 1), of(ratings.weights, ratings.nnz())} {}

 private:
  template <class T>
  static std::span<const std::byte> of(const T* data, Index n) {
    return std::as_bytes(std::span<const T>(data, data != nullptr ? static_cast<std::size_t>(n) : 0));
  }
};

/// Refuses to write to memory that is another argument's too.
inline void require_apart(const NamedMemory& written, std::initializer_list<NamedMemory> others) {
  const std::less<const std::byte*> before;  // of any two pointers
  const auto end = [](std::span<const std::byte> array) { return array.data() + array.size(); };
  const auto target = written.arrays.front();
  for (const NamedMemory& other : others) {
    for (const auto array : other.arrays) {
      const bool apart = target.empty() || array.empty() || !before(target.data(), end(array)) ||
                         !before(array.data(), end(target));
      require(apart, written.name, " must not share memory with ", other.name, ": give an array of its own");
    }
  }
}

/// Refuses numbers that are not finite; `rule` ends the message.
template <class T>
void require_finite(const char* name, const T* values, Index n, const char* rule, int n_threads) {
  parallel_chunks(n, 1 << 16, n_threads, [&](Index begin, Index end, int) {
    for (Index i = begin; i < end; ++i)
      require(std::isfinite(values[i]), name, " holds ", values[i], " at entry ", i, rule);
  });
}
template <class T>
void require_finite(const char* name, std::span<T> values, const char* rule, int n_threads) {
  require_finite(name, values.data(), static_cast<Index>(values.size()), rule, n_threads);
}
template <class T>
void require_finite(const char* name, const MatrixView<T>& matrix, const char* rule, int n_threads) {
  require_finite(name, matrix.data, matrix.size(), rule, n_threads);
}

/// Refuses factors that do not fit the ratings and each other.
template <class T>
void require_factors(const PatternView& ratings, const MatrixView<T>& user_factors, const MatrixView<T>& item_factors) {
  require_rows(ratings);
  require(user_factors.cols >= 1, "user_factors must have at least one column");
  require_shape("user_factors", user_factors, ratings.n_users, user_factors.cols);
  require_shape("item_factors", item_factors, ratings.n_items, user_factors.cols);
}

}  // namespace matfac
