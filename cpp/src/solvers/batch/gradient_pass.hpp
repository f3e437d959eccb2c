#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/padded_matrix.hpp"
#include "core/partition.hpp"
#include "core/wavefront.hpp"
#include "kernels/kernels.hpp"
#include "matfac/ratings.hpp"

namespace matfac {

/// Both gradients and the loss in one pass over the ratings, without a transposed copy of them.
///
/// The ratings are walked as a grid of row blocks (users) x column segments (items) by a wavefront: a thread keeps its
/// users' rows in cache, and two threads are never in the same segment of items. The order of the additions to each row
/// is that of a serial loop over the users and their items, whatever the grid and the number of threads.
template <class T>
class GradientPass {
 public:
  GradientPass(const RatingsView<T>& ratings, const LossKernels<T>& kernels, int n_threads)
      : ratings_(ratings), kernels_(kernels), n_threads_(n_threads) {
    const Index nnz = ratings.nnz();
    rows_ = balanced_partition(ratings.offsets, ratings.n_users, std::clamp<Index>(nnz / 32768, 1, 4096));
    // Enough segments that no thread waits long for another; the result does not depend on their number.
    const int threads = resolve_threads(n_threads);
    segments_ = item_segments(threads == 1 ? 1 : std::clamp<Index>(nnz / 16384, 1, 4 * threads));
  }

  /// user_gradient := d(loss)/dU, item_gradient := d(loss)/dV; returns the loss. `offset` is added to every estimate.
  double operator()(const PaddedMatrix<const T>& user_factors, const PaddedMatrix<const T>& item_factors, T offset,
                    T* user_gradient, T* item_gradient) const {
    const Index stride = user_factors.stride();
    const auto n_segments = static_cast<Index>(segments_.size()) - 1;
    const auto n_rows = static_cast<Index>(rows_.size()) - 1;
    parallel_chunks(ratings_.n_items, 4096, n_threads_, [&](Index begin, Index end, int) {
      std::fill(item_gradient + begin * stride, item_gradient + end * stride, T(0));
    });
    std::vector<double> losses(static_cast<std::size_t>(n_rows));
    struct RowState {
      std::vector<Index> cursors;  // of the row's users: their next rating
      std::vector<double> losses;  // of the row's users, added up rating by rating, whatever the segments
    };
    std::vector<RowState> states(static_cast<std::size_t>(resolve_threads(n_threads_)));
    run_wavefront(n_rows, n_segments, n_threads_, [&](Index row, Index segment, int thread) {
      const Index first = rows_[static_cast<std::size_t>(row)], last = rows_[static_cast<std::size_t>(row) + 1];
      auto& state = states[static_cast<std::size_t>(thread)];
      if (segment == 0) {
        state.cursors.assign(ratings_.offsets + first, ratings_.offsets + last);
        state.losses.assign(static_cast<std::size_t>(last - first), 0.0);
        std::fill(user_gradient + first * stride, user_gradient + last * stride, T(0));
      }
      const Index item_end = segments_[static_cast<std::size_t>(segment) + 1];
      for (Index n = first; n < last; ++n) {
        const auto k = static_cast<std::size_t>(n - first);
        const Index begin = state.cursors[k];
        Index end = begin;
        while (end < ratings_.offsets[n + 1] && ratings_.items[end] < item_end) ++end;
        if (end == begin) continue;
        state.cursors[k] = end;
        kernels_.row_gradients(user_factors.row(n), item_factors.data(), stride, ratings_.items + begin,
                               ratings_.values + begin, offset, end - begin, user_gradient + n * stride, item_gradient,
                               &state.losses[k]);
      }
      if (segment + 1 == n_segments) {
        for (const double loss : state.losses) losses[static_cast<std::size_t>(row)] += loss;
      }
    });
    double total = 0;
    for (const double loss : losses) total += loss;
    return total;
  }

 private:
  // Segments of items with about equal numbers of ratings, judged by every 16th of them.
  std::vector<Index> item_segments(Index n_segments) const {
    std::vector<Index> counts(static_cast<std::size_t>(ratings_.n_items) + 1);
    for (Index i = 0; i < ratings_.nnz(); i += 16) ++counts[static_cast<std::size_t>(ratings_.items[i]) + 1];
    for (std::size_t m = 1; m < counts.size(); ++m) counts[m] += counts[m - 1];
    return balanced_partition(counts.data(), ratings_.n_items, n_segments);
  }

  RatingsView<T> ratings_;
  const LossKernels<T>& kernels_;
  int n_threads_;
  std::vector<Index> rows_, segments_;
};

}  // namespace matfac
