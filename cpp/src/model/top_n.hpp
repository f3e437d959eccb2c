#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "matfac/types.hpp"

namespace matfac {

/// The n best of a stream of scored items; ties go to the lower code. A heap with the worst at its root.
template <class T>
class TopN {
 public:
  explicit TopN(Index n) : n_(n) { heap_.reserve(static_cast<std::size_t>(n)); }

  void clear() { heap_.clear(); }

  /// Below (or at) this score a later item cannot enter: items come by ascending code, so ties lose.
  T threshold() const {
    return static_cast<Index>(heap_.size()) < n_ ? -std::numeric_limits<T>::infinity() : heap_.front().score;
  }
  bool is_full() const { return static_cast<Index>(heap_.size()) == n_; }

  /// `score` must be above the threshold if the heap is full.
  void push(Code item, T score) {
    if (is_full()) {
      std::pop_heap(heap_.begin(), heap_.end(), better);
      heap_.back() = {score, item};
    } else {
      heap_.push_back({score, item});
    }
    std::push_heap(heap_.begin(), heap_.end(), better);
  }

  /// Writes the items, best first, to rows of length n; what is left over is -1 and -infinity.
  void write(Code* items, T* scores) {
    std::sort_heap(heap_.begin(), heap_.end(), better);
    std::fill_n(items, n_, Code{-1});
    std::fill_n(scores, n_, -std::numeric_limits<T>::infinity());
    for (std::size_t i = 0; i < heap_.size(); ++i) {
      items[i] = heap_[i].item;
      scores[i] = heap_[i].score;
    }
  }

 private:
  struct Entry {
    T score;
    Code item;
  };
  static bool better(const Entry& a, const Entry& b) {
    return a.score > b.score || (a.score == b.score && a.item < b.item);
  }
  Index n_;
  std::vector<Entry> heap_;
};

}  // namespace matfac
