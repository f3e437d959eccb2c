#pragma once

#include <algorithm>
#include <vector>

#include "core/padded_matrix.hpp"
#include "core/partition.hpp"
#include "core/wavefront.hpp"
#include "matfac/ratings.hpp"
#include "solvers/loss_loops.hpp"

namespace matfac {

/// Both gradients and the loss in one pass over the ratings, without a transposed copy of them.
///
/// The ratings are walked as a grid of row blocks (users) x segments of items by a wavefront. A thread that comes to a
/// row block first takes the derivatives G of its ratings and its users' gradient G V, which reads the items' rows and
/// waits for nobody; then it adds G^T U segment by segment, never in a segment where another thread is. Two loops that
/// each fetch one row for a rating are faster than one that needs three rows at a time, though the ratings are walked
/// twice: each keeps its other operand in registers, and its fetching ahead is not in the way of the other's.
///
/// The order of the additions is that of a serial loop, to an item's row by user, to a user's row by item: it depends
/// on the ratings alone. Beside the gradients it takes a number for each rating of a row block, for each thread.
template <class T>
class GradientPass {
 public:
  /// `stride`: of the matrices.
  GradientPass(const RatingsView<T>& ratings, const LossLoops<T>& loops, Index stride, int n_threads)
      : ratings_(ratings), loops_(loops), stride_(stride), n_threads_(n_threads) {
    const Index nnz = ratings.nnz();
    rows_ = balanced_partition(ratings.offsets, ratings.n_users, std::clamp<Index>(nnz / kBlock, 1, 4096));
    // Enough segments that no thread waits long for another; the result does not depend on their number.
    const int threads = resolve_threads(n_threads);
    segments_ = item_segments(threads == 1 ? 1 : std::clamp<Index>(nnz / kBlock, 1, 2 * threads));
  }

  /// user_gradient := d(loss)/dU, item_gradient := d(loss)/dV; returns the loss. `offset` is added to every estimate.
  double operator()(const PaddedMatrix<const T>& user_factors, const PaddedMatrix<const T>& item_factors, T offset,
                    T* user_gradient, T* item_gradient) const {
    const auto n_segments = static_cast<Index>(segments_.size()) - 1;
    const auto n_rows = static_cast<Index>(rows_.size()) - 1;
    parallel_chunks(ratings_.n_items, 4096, n_threads_, [&](Index begin, Index end, int) {
      std::fill(item_gradient + begin * stride_, item_gradient + end * stride_, T(0));
    });
    std::vector<double> losses(static_cast<std::size_t>(n_rows));
    std::vector<RowState> states(static_cast<std::size_t>(resolve_threads(n_threads_)));
    run_wavefront(
        n_rows, n_segments, n_threads_,
        [&](Index row, int thread) {
          const auto r = static_cast<std::size_t>(row);
          auto& state = states[static_cast<std::size_t>(thread)];
          state.begin(ratings_, rows_[r], rows_[r + 1]);
          losses[r] = differentiate(state, user_factors, item_factors, offset, user_gradient);
        },
        [&](Index, Index segment, int thread) {
          add_outer(states[static_cast<std::size_t>(thread)], user_factors, segment, item_gradient);
        });
    double total = 0;
    for (const double loss : losses) total += loss;
    return total;
  }

 private:
  static constexpr Index kBlock = 1 << 15;  // ratings of a row block, and of a segment at least

  // What a thread keeps of the row block it works on.
  struct RowState {
    Index first = 0, last = 0;   // users
    Index start = 0;             // the first of their ratings
    std::vector<T> derivatives;  // of the block's ratings
    std::vector<Index> cursors;  // of each user: the next rating

    void begin(const RatingsView<T>& ratings, Index first_user, Index last_user) {
      first = first_user;
      last = last_user;
      start = ratings.offsets[first];
      const auto n_ratings = static_cast<std::size_t>(ratings.offsets[last] - start);
      if (derivatives.size() < n_ratings) derivatives.resize(n_ratings);
      cursors.assign(ratings.offsets + first, ratings.offsets + last);
    }
  };

  // G, and the block's rows of G V; returns its loss.
  double differentiate(RowState& state, const PaddedMatrix<const T>& user_factors,
                       const PaddedMatrix<const T>& item_factors, T offset, T* user_gradient) const {
    std::fill(user_gradient + state.first * stride_, user_gradient + state.last * stride_, T(0));
    double loss = 0;
    for (Index n = state.first; n < state.last; ++n) {
      const Index begin = ratings_.offsets[n];
      loops_.kernels->row_gradient(loops_.loss, user_factors.row(n), item_factors.data(), stride_,
                                   ratings_.items + begin, ratings_.values + begin,
                                   ratings_.weights != nullptr ? ratings_.weights + begin : nullptr, offset,
                                   ratings_.offsets[n + 1] - begin, state.derivatives.data() + (begin - state.start),
                                   user_gradient + n * stride_, &loss);
    }
    return loss;
  }

  // The block's part of G^T U, for the items of a segment.
  void add_outer(RowState& state, const PaddedMatrix<const T>& user_factors, Index segment, T* item_gradient) const {
    const Index item_end = segments_[static_cast<std::size_t>(segment) + 1];
    for (Index n = state.first; n < state.last; ++n) {
      Index& cursor = state.cursors[static_cast<std::size_t>(n - state.first)];
      const Index begin = cursor, row_end = ratings_.offsets[n + 1];
      if (item_end == ratings_.n_items) {
        cursor = row_end;
      } else {
        while (cursor < row_end && ratings_.items[cursor] < item_end) ++cursor;
      }
      if (cursor == begin) continue;
      kernels<T>().add_outer(state.derivatives.data() + (begin - state.start), user_factors.row(n),
                             ratings_.items + begin, cursor - begin, stride_, item_gradient);
    }
  }

  // Segments of items with about equal numbers of ratings, judged by every 16th of them.
  std::vector<Index> item_segments(Index n_segments) const {
    if (n_segments == 1) return {0, ratings_.n_items};
    std::vector<Index> counts(static_cast<std::size_t>(ratings_.n_items) + 1);
    for (Index i = 0; i < ratings_.nnz(); i += 16) ++counts[static_cast<std::size_t>(ratings_.items[i]) + 1];
    for (std::size_t m = 1; m < counts.size(); ++m) counts[m] += counts[m - 1];
    return balanced_partition(counts.data(), ratings_.n_items, n_segments);
  }

  RatingsView<T> ratings_;
  LossLoops<T> loops_;
  Index stride_;
  int n_threads_;
  std::vector<Index> rows_, segments_;
};

}  // namespace matfac
