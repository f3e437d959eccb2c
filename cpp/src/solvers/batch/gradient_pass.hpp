#pragma once

#include <algorithm>
#include <vector>

#include "core/aligned.hpp"
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
    const Index block = std::clamp<Index>(nnz / 64, kLeastBlock, kMostBlock);
    rows_ = balanced_partition(ratings.offsets, ratings.n_users, std::max<Index>(1, nnz / block));
    // Enough segments that no thread waits long for another; the result does not depend on their number.
    const int threads = resolve_threads(n_threads);
    segments_ = item_segments(threads == 1 ? 1 : std::clamp<Index>(nnz / kLeastBlock, 1, 2 * threads));
  }

  /// user_gradient := d(loss)/dU, item_gradient := d(loss)/dV; returns the loss. `offset` is added to every estimate.
  /// The derivatives G are written to `derivatives`, if it is given. The items' rows are fetched in any order (Access).
  double operator()(const PaddedMatrix<const T>& user_factors, const PaddedMatrix<const T>& item_factors, T offset,
                    T* user_gradient, T* item_gradient, T* derivatives = nullptr) const {
    const auto n_segments = static_cast<Index>(segments_.size()) - 1;
    const auto n_rows = static_cast<Index>(rows_.size()) - 1;
    parallel_chunks(ratings_.n_items * stride_, kCleared, n_threads_,
                    [&](Index begin, Index end, int) { std::fill(item_gradient + begin, item_gradient + end, T(0)); });
    std::vector<double> losses(static_cast<std::size_t>(n_rows));
    std::vector<RowState> states(static_cast<std::size_t>(resolve_threads(n_threads_)));
    run_wavefront(
        n_rows, n_segments, n_threads_,
        [&](Index row, int thread) {
          const auto r = static_cast<std::size_t>(row);
          auto& state = states[static_cast<std::size_t>(thread)];
          state.begin(ratings_, stride_, rows_[r], rows_[r + 1], derivatives);
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
  // Ratings of a row block (the least also of a segment). Items' gradients that another thread has written come from
  // its cache, once a row block: large ones save more than they cost.
  static constexpr Index kLeastBlock = 1 << 15, kMostBlock = 1 << 18;

  static constexpr Index kCleared = 1 << 18;  // entries of a matrix that a thread clears at a time

  // What a thread keeps of the row block it works on.
  struct RowState {
    Index first = 0, last = 0;       // users
    Index start = 0;                 // the first of their ratings
    T* derivatives = nullptr;        // of the block's ratings
    std::vector<T> own_derivatives;  // where nobody wants to have them
    std::vector<Index> cursors;      // of each user: the next rating
    AlignedBuffer<T> row, sum;       // of one user

    void begin(const RatingsView<T>& ratings, Index stride, Index first_user, Index last_user, T* all_derivatives) {
      if (row.size() == 0) row = AlignedBuffer<T>(stride);
      if (sum.size() == 0) sum = AlignedBuffer<T>(stride);
      first = first_user;
      last = last_user;
      start = ratings.offsets[first];
      if (all_derivatives != nullptr) {
        derivatives = all_derivatives + start;
      } else {
        const auto n_ratings = static_cast<std::size_t>(ratings.offsets[last] - start);
        if (own_derivatives.size() < n_ratings) own_derivatives.resize(n_ratings);
        derivatives = own_derivatives.data();
      }
      cursors.assign(ratings.offsets + first, ratings.offsets + last);
    }
  };

  // G, and the block's rows of G V; returns its loss.
  double differentiate(RowState& state, const PaddedMatrix<const T>& user_factors,
                       const PaddedMatrix<const T>& item_factors, T offset, T* user_gradient) const {
    double loss = 0;
    for (Index n = state.first; n < state.last; ++n) {
      const Index begin = ratings_.offsets[n];
      std::copy_n(user_factors.row(n), stride_, state.row.data());
      std::fill_n(state.sum.data(), stride_, T(0));
      loops_.kernels->row_gradient(
          loops_.loss, state.row.data(), item_factors.data(), stride_, ratings_.items + begin, ratings_.values + begin,
          ratings_.weights != nullptr ? ratings_.weights + begin : nullptr, offset, ratings_.offsets[n + 1] - begin,
          state.derivatives + (begin - state.start), state.sum.data(), &loss);
      std::copy_n(state.sum.data(), stride_, user_gradient + n * stride_);
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
      kernels<T>().add_outer(state.derivatives + (begin - state.start), user_factors.row(n), ratings_.items + begin,
                             cursor - begin, stride_, item_gradient);
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
