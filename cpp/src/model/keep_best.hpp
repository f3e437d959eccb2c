#pragma once

#include <algorithm>

#include "kernels/kernels.hpp"

namespace matfac {

/// The order of a ranking: best first, ties by the lower code.
struct RanksBefore {
  template <class T>
  bool operator()(const ScoredItem<T>& a, const ScoredItem<T>& b) const {
    return a.score > b.score || (a.score == b.score && a.item < b.item);
  }
};

/// Puts the n best of `count` entries first, in any order but for the last of them, which is at n - 1; the others are
/// lost. `spare` is as long as `entries`. O(count).
///
/// This is std::nth_element, several times faster for scores in no order: an entry is written to both sides, and the
/// comparison decides without a branch on which of them it stays. What equal scores leave open is left to the original.
template <class T>
void keep_best(ScoredItem<T>* entries, Index n, Index count, ScoredItem<T>* spare) {
  constexpr Index kFew = 12, kLeastShare = 16;
  Index begin = 0, end = count;  // what lies before `begin` is among the best, what lies from `end` on is not
  while (end - begin > kFew) {
    const T a = entries[begin].score, b = entries[begin + (end - begin) / 2].score, c = entries[end - 1].score;
    const T pivot = std::max(std::min(a, b), std::min(std::max(a, b), c));
    Index front = begin, n_others = 0;
    for (Index i = begin; i < end; ++i) {
      const bool better = entries[i].score > pivot;
      spare[n_others] = entries[i];
      entries[front] = entries[i];
      front += better;
      n_others += !better;
    }
    const Index least = (end - begin) / kLeastShare;
    const bool slow = front - begin <= least || n_others <= least;
    if (n <= front) {
      end = front;
    } else {
      std::copy_n(spare, n_others, entries + front);
      begin = front;
    }
    if (slow) break;
  }
  std::nth_element(entries + begin, entries + n - 1, entries + end, RanksBefore{});
}

}  // namespace matfac
