#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "matfac/types.hpp"

namespace matfac::pairwise {

/// floor(word n / 2^32): a draw from {0, ..., n - 1}, for n of any size.
inline std::uint64_t to_below_large(std::uint32_t word, std::uint64_t n) {
  return std::uint64_t{word} * (n >> 32) + ((std::uint64_t{word} * (n & 0xffffffffu)) >> 32);
}

/// Draws from the items of a range that a user has not rated: uniformly, or in proportion to weights. A number gives an
/// item without any trial and error: the rated ones are skipped in counting.
///
/// `Id`: the type of positions in the range.
template <class Id>
class Unrated {
 public:
  /// The range has `n` items; `sums`, if not null, the running sums of their weights, sums[-1] being `before`.
  Unrated(Index n, const std::uint64_t* sums, std::uint64_t before) : n_(n), sums_(sums), before_(before) {}

  /// The user at hand has rated these, ascending.
  void skip(const Id* rated, Index n_rated) {
    rated_ = rated;
    n_rated_ = n_rated;
    if (sums_ == nullptr) {
      total_ = static_cast<std::uint64_t>(n_ - n_rated);
      return;
    }
    skipped_.assign(1, 0);
    for (Index k = 0; k < n_rated; ++k) skipped_.push_back(skipped_.back() + sum_to(rated[k] + 1) - sum_to(rated[k]));
    total_ = sum_to(n_) - skipped_.back();
  }

  bool empty() const { return total_ == 0; }

  /// The position of the item that a random word stands for.
  Index operator()(std::uint32_t word) const {
    const std::uint64_t draw = to_below_large(word, total_);
    if (sums_ == nullptr) {
      return static_cast<Index>(draw) + rated_before([&](Index k) {
               return static_cast<std::uint64_t>(rated_[k]) - static_cast<std::uint64_t>(k) <= draw;
             });
    }
    const Index k = rated_before(
        [&](Index i) { return sum_to(rated_[i]) - skipped_[static_cast<std::size_t>(i)] <= draw; });
    const std::uint64_t sum = before_ + draw + skipped_[static_cast<std::size_t>(k)];
    return std::upper_bound(sums_, sums_ + n_, sum) - sums_;
  }

 private:
  std::uint64_t sum_to(Index position) const { return position == 0 ? 0 : sums_[position - 1] - before_; }

  /// The number of rated items for which `is_before` holds: the first ones.
  template <class IsBefore>
  Index rated_before(const IsBefore& is_before) const {
    Index low = 0, n = n_rated_;
    for (; n > 8; n -= n / 2) low += is_before(low + n / 2 - 1) ? n / 2 : 0;
    Index count = low;
    for (Index k = low; k < low + n; ++k) count += is_before(k) ? 1 : 0;
    return count;
  }

  Index n_;
  const std::uint64_t* sums_;
  std::uint64_t before_;
  const Id* rated_ = nullptr;
  Index n_rated_ = 0;
  std::uint64_t total_ = 0;
  std::vector<std::uint64_t> skipped_;  // by how many rated items are passed: their weights
};

}  // namespace matfac::pairwise
