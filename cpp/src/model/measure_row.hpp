#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "core/message.hpp"
#include "matfac/metrics.hpp"

namespace matfac {

/// How many codes two ascending lists have in common. O(short log long).
inline Index count_common(std::span<const Code> a, std::span<const Code> b) {
  if (a.size() > b.size()) std::swap(a, b);
  const Code* next = b.data();
  const Code* const end = b.data() + b.size();
  Index n = 0;
  for (const Code code : a) {
    next = std::lower_bound(next, end, code);
    if (next == end) break;
    n += *next == code;
  }
  return n;
}

/// Measures lists of n items, one after the other. One a thread.
class ListMeasurer {
 public:
  explicit ListMeasurer(Index n) : n_(n), discounts_(size()), ideals_(size() + 1), sorted_(size()) {
    for (Index j = 0; j < n; ++j) {
      discounts_[at(j)] = 1 / std::log2(static_cast<double>(j + 2));
      ideals_[at(j + 1)] = ideals_[at(j)] + discounts_[at(j)];
    }
  }

  /// `relevant` ascends; `n_relevant` is c, less than its length where some of it cannot be recommended.
  void measure(const Code* list, std::span<const Code> relevant, Index n_relevant, Index row, double* out) {
    require_distinct(list, row);
    if (n_relevant == 0) {
      std::fill_n(out, kRankingMeasures, std::numeric_limits<double>::quiet_NaN());
      return;
    }
    Index n_hits = 0;
    double gain = 0, precisions = 0;
    Index first = n_;
    for (Index j = 0; j < n_; ++j) {
      if (!std::binary_search(relevant.begin(), relevant.end(), list[j])) continue;
      if (n_hits++ == 0) first = j;
      gain += discounts_[at(j)];
      precisions += static_cast<double>(n_hits) / static_cast<double>(j + 1);
    }
    const Index reachable = std::min(n_, n_relevant);
    const auto hits = static_cast<double>(n_hits);
    const auto set = [out](RankingMeasure measure, double value) { out[static_cast<Index>(measure)] = value; };
    set(RankingMeasure::precision, hits / static_cast<double>(n_));
    set(RankingMeasure::recall, hits / static_cast<double>(n_relevant));
    set(RankingMeasure::hit_rate, n_hits > 0 ? 1 : 0);
    set(RankingMeasure::reciprocal_rank, n_hits > 0 ? 1 / static_cast<double>(first + 1) : 0);
    set(RankingMeasure::average_precision, precisions / static_cast<double>(reachable));
    set(RankingMeasure::ndcg, gain / ideals_[at(reachable)]);
  }

 private:
  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }
  std::size_t size() const { return at(n_); }

  void require_distinct(const Code* list, Index row) {
    std::copy_n(list, n_, sorted_.data());
    std::sort(sorted_.begin(), sorted_.end());
    for (Index j = 1; j < n_; ++j) {
      const Code item = sorted_[at(j)];
      require(item < 0 || item != sorted_[at(j - 1)], "recommended: item code ", item, " stands twice in row ", row,
              "; recommend each item at most once");
    }
  }

  Index n_;
  std::vector<double> discounts_, ideals_;  // of each rank; of that many hits at the top
  std::vector<Code> sorted_;
};

}  // namespace matfac
