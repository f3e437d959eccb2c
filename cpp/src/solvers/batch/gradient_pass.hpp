#pragma once

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "core/padded_matrix.hpp"
#include "core/partition.hpp"
#include "core/wavefront.hpp"
#include "matfac/ratings.hpp"
#include "solvers/batch/row_layout.hpp"
#include "solvers/loss_loops.hpp"

namespace matfac {

/// Both gradients and the loss in one pass over the ratings, without a transposed copy of them.
///
/// The ratings are walked as a grid of row blocks (users) x segments of items by a wavefront: a thread keeps its users'
/// rows in cache, and two threads are never in the same segment. A rating touches three rows of an item's (one is read,
/// one is read and written), far more than arithmetic, so where all items' rows exceed a second-level cache the items
/// are taken in the order of their ratings' numbers: most ratings then fall into segments that fit, in runs long enough
/// to pay for the user's rows. A thread lays out the ratings of a row block so when it comes to it: 8 to 12 bytes for
/// each of some 100 000 ratings a thread, but nothing for each of all.
///
/// The order of the additions is that of a serial loop: to an item's row by user; to a user's row by item, or by
/// segment and then by item. It depends on the ratings and the length of the rows, not on the number of threads.
template <class T>
class GradientPass {
 public:
  /// `stride`: of the matrices.
  GradientPass(const RatingsView<T>& ratings, const LossLoops<T>& loops, Index stride, int n_threads)
      : ratings_(ratings), loops_(loops), stride_(stride), n_threads_(n_threads) {
    constexpr Index kCacheBytes = 256 << 10;  // of an item segment, both matrices
    const Index nnz = ratings.nnz(), row_bytes = 2 * stride * static_cast<Index>(sizeof(T));
    if (ratings.n_items * row_bytes > 2 * kCacheBytes && nnz / 32 > ratings.n_items) {
      order_ = item_order(ratings, std::max<Index>(1, kCacheBytes / row_bytes));
      segments_ = order_->segments;
      rows_ = balanced_partition(ratings.offsets, ratings.n_users, std::max<Index>(1, nnz / kOrderedBlock));
      return;
    }
    rows_ = balanced_partition(ratings.offsets, ratings.n_users, std::clamp<Index>(nnz / 32768, 1, 4096));
    // Enough segments that no thread waits long for another; the result does not depend on their number.
    const int threads = resolve_threads(n_threads);
    segments_ = item_segments(threads == 1 ? 1 : std::clamp<Index>(nnz / 16384, 1, 4 * threads));
  }

  /// user_gradient := d(loss)/dU, item_gradient := d(loss)/dV; returns the loss. `offset` is added to every estimate.
  double operator()(const PaddedMatrix<const T>& user_factors, const PaddedMatrix<const T>& item_factors, T offset,
                    T* user_gradient, T* item_gradient) const {
    if (!order_) return walk(user_factors.data(), item_factors.data(), offset, user_gradient, item_gradient);
    // The items' rows by rank, so that a segment's lie together.
    AlignedBuffer<T> factors(ratings_.n_items * stride_), gradient(ratings_.n_items * stride_);
    each_item(
        [&](Index item, Index rank) { std::copy_n(item_factors.row(item), stride_, factors.data() + rank * stride_); });
    const double loss = walk(user_factors.data(), factors.data(), offset, user_gradient, gradient.data());
    each_item([&](Index item, Index rank) {
      std::copy_n(gradient.data() + rank * stride_, stride_, item_gradient + item * stride_);
    });
    return loss;
  }

 private:
  static constexpr Index kOrderedBlock = 1 << 17;  // ratings of a row block in the order of the items

  // What a thread keeps of the row block it works on.
  struct RowState {
    std::vector<Index> cursors;  // of the row's users: their next rating
    std::vector<double> losses;  // of the row's users, added up rating by rating, whatever the segments
    RowLayout<T> layout;
  };
  struct Matrices {
    const T *user_factors, *item_factors;
    T offset;
    T *user_gradient, *item_gradient;
  };

  double walk(const T* user_factors, const T* item_factors, T offset, T* user_gradient, T* item_gradient) const {
    const Matrices m{user_factors, item_factors, offset, user_gradient, item_gradient};
    const auto n_segments = static_cast<Index>(segments_.size()) - 1;
    const auto n_rows = static_cast<Index>(rows_.size()) - 1;
    parallel_chunks(ratings_.n_items, 4096, n_threads_, [&](Index begin, Index end, int) {
      std::fill(item_gradient + begin * stride_, item_gradient + end * stride_, T(0));
    });
    std::vector<double> losses(static_cast<std::size_t>(n_rows));
    std::vector<RowState> states(static_cast<std::size_t>(resolve_threads(n_threads_)));
    run_wavefront(n_rows, n_segments, n_threads_, [&](Index row, Index segment, int thread) {
      const Index first = rows_[static_cast<std::size_t>(row)], last = rows_[static_cast<std::size_t>(row) + 1];
      auto& state = states[static_cast<std::size_t>(thread)];
      if (segment == 0) {
        if (order_) {
          state.layout.arrange(ratings_, *order_, first, last);
        } else {
          state.cursors.assign(ratings_.offsets + first, ratings_.offsets + last);
        }
        state.losses.assign(static_cast<std::size_t>(last - first), 0.0);
        std::fill(user_gradient + first * stride_, user_gradient + last * stride_, T(0));
      }
      if (order_) {
        ordered_cell(m, state, first, last, segment);
      } else {
        plain_cell(m, state, first, last, segment);
      }
      if (segment + 1 == n_segments) {
        for (const double loss : state.losses) losses[static_cast<std::size_t>(row)] += loss;
      }
    });
    double total = 0;
    for (const double loss : losses) total += loss;
    return total;
  }

  void ordered_cell(const Matrices& m, RowState& state, Index first, Index last, Index segment) const {
    const auto& layout = state.layout;
    const Index* const runs = layout.runs(segment);
    for (Index n = first; n < last; ++n) {
      const auto k = static_cast<std::size_t>(n - first);
      const Index from = runs[k], count = runs[k + 1] - from;
      if (count == 0) continue;
      run(m, n, layout.ranks.data() + from, layout.values.data() + from,
          ratings_.weights != nullptr ? layout.weights.data() + from : nullptr, count, state.losses[k]);
    }
  }

  void plain_cell(const Matrices& m, RowState& state, Index first, Index last, Index segment) const {
    const Index item_end = segments_[static_cast<std::size_t>(segment) + 1];
    for (Index n = first; n < last; ++n) {
      const auto k = static_cast<std::size_t>(n - first);
      const Index begin = state.cursors[k];
      Index end = begin;
      while (end < ratings_.offsets[n + 1] && ratings_.items[end] < item_end) ++end;
      if (end == begin) continue;
      state.cursors[k] = end;
      run(m, n, ratings_.items + begin, ratings_.values + begin,
          ratings_.weights != nullptr ? ratings_.weights + begin : nullptr, end - begin, state.losses[k]);
    }
  }

  void run(const Matrices& m, Index n, const Code* items, const T* values, const T* weights, Index count,
           double& loss) const {
    loops_.kernels->row_gradients(loops_.loss, m.user_factors + n * stride_, m.item_factors, stride_, items, values,
                                  weights, m.offset, count, m.user_gradient + n * stride_, m.item_gradient, &loss);
  }

  template <class F>
  void each_item(const F& f) const {
    parallel_chunks(ratings_.n_items, 1024, n_threads_, [&](Index begin, Index end, int) {
      for (Index item = begin; item < end; ++item) {
        f(item, static_cast<Index>(order_->ranks[static_cast<std::size_t>(item)]));
      }
    });
  }

  // Segments of items with about equal numbers of ratings, judged by every 16th of them.
  std::vector<Index> item_segments(Index n_segments) const {
    std::vector<Index> counts(static_cast<std::size_t>(ratings_.n_items) + 1);
    for (Index i = 0; i < ratings_.nnz(); i += 16) ++counts[static_cast<std::size_t>(ratings_.items[i]) + 1];
    for (std::size_t m = 1; m < counts.size(); ++m) counts[m] += counts[m - 1];
    return balanced_partition(counts.data(), ratings_.n_items, n_segments);
  }

  RatingsView<T> ratings_;
  LossLoops<T> loops_;
  Index stride_;
  int n_threads_;
  std::optional<ItemOrder> order_;  // or none: the items as they come
  std::vector<Index> rows_, segments_;
};

}  // namespace matfac
