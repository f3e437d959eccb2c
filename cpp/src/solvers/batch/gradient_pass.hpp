#pragma once

#include <algorithm>
#include <vector>

#include "core/aligned.hpp"
#include "core/padded_matrix.hpp"
#include "core/partition.hpp"
#include "core/wavefront.hpp"
#include "matfac/ratings.hpp"
#include "solvers/batch/item_runs.hpp"
#include "solvers/loss_loops.hpp"

namespace matfac {

/// Both gradients and the loss in one pass over the ratings.
///
/// The ratings are walked as a grid of row blocks (users) x segments of items by a wavefront. A thread that comes to a
/// row block first takes the derivatives G of its ratings and its users' gradient G V, which reads the items' rows and
/// waits for nobody; then it adds G^T U segment by segment, never in a segment where another thread is. Two loops that
/// each fetch one row for a rating are faster than one that needs three rows at a time, though the ratings are walked
/// twice: each keeps its other operand in registers, and its fetching ahead is not in the way of the other's.
/// With the runs of the ratings G^T U goes by item: the users' rows of a block stay near, and an item's gradient is in
/// registers for all of its ratings there. Without, it goes by user.
///
/// The order of the additions is that of a serial loop, to an item's row by user, to a user's row by item: it depends
/// on the ratings alone, with and without runs. Beside the gradients it takes a number for each rating of a row block
/// and a copy of its users' factors, for each thread.
template <class T>
class GradientPass {
 public:
  /// `stride`: of the matrices. `runs`: null, or such as fit the ratings.
  GradientPass(const RatingsView<T>& ratings, const LossLoops<T>& loops, Index stride, int n_threads,
               const ItemRuns::Impl* runs)
      : ratings_(ratings),
        loops_(loops),
        stride_(stride),
        n_threads_(n_threads),
        runs_(runs),
        blocks_(runs != nullptr ? runs->users : user_blocks(ratings)),
        rows_(group_blocks(blocks_, ratings)) {
    const Index nnz = ratings.nnz();
    // Enough segments that no thread waits long for another; the result does not depend on their number.
    const int threads = resolve_threads(n_threads);
    segments_ = item_segments(threads == 1 ? 1 : std::clamp<Index>(nnz / kLeastSegment, 1, 2 * threads));
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
          state.begin(*this, rows_[r], rows_[r + 1], derivatives);
          losses[r] = differentiate(state, user_factors, item_factors, offset, user_gradient);
        },
        [&](Index, Index segment, int thread) {
          auto& state = states[static_cast<std::size_t>(thread)];
          const Index item_end = segments_[static_cast<std::size_t>(segment) + 1];
          for (auto& block : state.blocks) {
            if (block.runs != nullptr) {
              add_runs(state, block, item_end, item_gradient);
            } else {
              add_users(state, block, item_end, item_gradient);
            }
          }
        });
    double total = 0;
    for (const double loss : losses) total += loss;
    return total;
  }

 private:
  // Whether a block has runs, of the items that it has now: whoever lends us arrays may change them between two calls.
  bool has_its_runs(std::size_t b) const {
    const auto& block = runs_->blocks[b];
    if (block.runs.empty()) return false;
    const auto n_ratings = static_cast<Index>(block.ratings.size());
    return kernels<T>().fingerprint(ratings_.items + block.start, n_ratings) == block.fingerprint;
  }

  // Ratings of a row block at most, and the least of a segment. Items' gradients that another thread has written come
  // from its cache, once a row block: large ones save more than they cost, while there are enough for the threads.
  static constexpr Index kRowBlock = 1 << 18, kLeastSegment = 1 << 15;

  static constexpr Index kJudged = 1 << 14;   // ratings that tell the items' shares
  static constexpr Index kCleared = 1 << 18;  // entries of a matrix that a thread clears at a time

  // A block of users, and how far G^T U has come in it.
  struct BlockState {
    Index first = 0, last = 0;  // users
    const ItemRuns::Impl::Block* runs = nullptr;
    Index run = 0, rating = 0;  // the next run, and its first rating
    Index cursor = 0;           // without runs: the block's first entry of RowState::cursors
  };

  // What a thread keeps of the row block it works on.
  struct RowState {
    Index first = 0, last = 0;       // users
    Index start = 0;                 // the first of their ratings
    T* derivatives = nullptr;        // of the row block's ratings
    std::vector<T> own_derivatives;  // where nobody wants to have them
    std::vector<BlockState> blocks;
    std::vector<Index> cursors;  // of each user whose block has no runs: the next rating
    AlignedBuffer<T> rows;  // the users' factors: a copy that stays near, and whose rows begin at lines of the cache
    AlignedBuffer<T> sum;   // of one user

    const T* row(Index user, Index stride) const { return rows.data() + (user - first) * stride; }

    void begin(const GradientPass& pass, Index first_block, Index last_block, T* all_derivatives) {
      const Index* const offsets = pass.ratings_.offsets;
      if (sum.size() == 0) sum = AlignedBuffer<T>(pass.stride_);
      blocks.clear();
      cursors.clear();
      for (auto b = static_cast<std::size_t>(first_block); b < static_cast<std::size_t>(last_block); ++b) {
        BlockState block{pass.blocks_[b], pass.blocks_[b + 1]};
        if (pass.runs_ != nullptr && pass.has_its_runs(b)) {
          block.runs = &pass.runs_->blocks[b];
        } else {
          block.cursor = static_cast<Index>(cursors.size());
          cursors.insert(cursors.end(), offsets + block.first, offsets + block.last);
        }
        blocks.push_back(block);
      }
      first = blocks.front().first;
      last = blocks.back().last;
      start = offsets[first];
      if (rows.size() < (last - first) * pass.stride_) rows = AlignedBuffer<T>((last - first) * pass.stride_);
      if (all_derivatives != nullptr) {
        derivatives = all_derivatives + start;
      } else {
        const auto n_ratings = static_cast<std::size_t>(offsets[last] - start);
        if (own_derivatives.size() < n_ratings) own_derivatives.resize(n_ratings);
        derivatives = own_derivatives.data();
      }
    }
  };

  // The first block of each row block, and the end.
  static std::vector<Index> group_blocks(const std::vector<Index>& users, const PatternView& pattern) {
    const Index* const offsets = pattern.offsets;
    std::vector<Index> first{0};
    const auto n_blocks = static_cast<Index>(users.size()) - 1;
    const Index most = std::min(pattern.nnz() / kWantedBlocks, kRowBlock);  // or one block
    for (Index b = 1; b < n_blocks; ++b) {
      const Index begin = users[static_cast<std::size_t>(first.back())], end = users[static_cast<std::size_t>(b) + 1];
      if (offsets[end] - offsets[begin] > most || end - begin > kMostBlockUsers) first.push_back(b);
    }
    if (n_blocks > 0) first.push_back(n_blocks);
    return first;
  }

  // G, and the block's rows of G V; returns its loss.
  double differentiate(RowState& state, const PaddedMatrix<const T>& user_factors,
                       const PaddedMatrix<const T>& item_factors, T offset, T* user_gradient) const {
    double loss = 0;
    for (Index n = state.first; n < state.last; ++n) {
      const Index begin = ratings_.offsets[n];
      T* const row = state.rows.data() + (n - state.first) * stride_;
      std::copy_n(user_factors.row(n), stride_, row);
      std::fill_n(state.sum.data(), stride_, T(0));
      loops_.kernels->row_gradient(
          loops_.loss, row, item_factors.data(), stride_, ratings_.items + begin, ratings_.values + begin,
          ratings_.weights != nullptr ? ratings_.weights + begin : nullptr, offset, ratings_.offsets[n + 1] - begin,
          state.derivatives + (begin - state.start), state.sum.data(), &loss);
      std::copy_n(state.sum.data(), stride_, user_gradient + n * stride_);
    }
    return loss;
  }

  // The block's part of G^T U, for the items of a segment: from where the last one ended.
  void add_runs(RowState& state, BlockState& block, Index item_end, T* item_gradient) const {
    const auto& runs = block.runs->runs;
    const ItemRun* const begin = runs.data() + block.run;
    const ItemRun* const end = std::partition_point(begin, runs.data() + runs.size(),
                                                    [&](const ItemRun& run) { return run.item < item_end; });
    const LocalRating* const ratings = block.runs->ratings.data();
    const LocalRating* const next = kernels<T>().add_runs(begin, end - begin, ratings + block.rating,
                                                          state.derivatives + (block.runs->start - state.start),
                                                          state.row(block.first, stride_), stride_, item_gradient);
    block.run = end - runs.data();
    block.rating = next - ratings;
  }
  void add_users(RowState& state, BlockState& block, Index item_end, T* item_gradient) const {
    for (Index n = block.first; n < block.last; ++n) {
      Index& cursor = state.cursors[static_cast<std::size_t>(block.cursor + n - block.first)];
      const Index begin = cursor, row_end = ratings_.offsets[n + 1];
      if (item_end == ratings_.n_items) {
        cursor = row_end;
      } else {
        while (cursor < row_end && ratings_.items[cursor] < item_end) ++cursor;
      }
      if (cursor == begin) continue;
      kernels<T>().add_outer(state.derivatives + (begin - state.start), state.row(n, stride_), ratings_.items + begin,
                             cursor - begin, stride_, item_gradient);
    }
  }

  // Segments of items with about equal numbers of ratings, judged by some of them: each is fetched from memory.
  std::vector<Index> item_segments(Index n_segments) const {
    if (n_segments == 1) return {0, ratings_.n_items};
    std::vector<Index> counts(static_cast<std::size_t>(ratings_.n_items) + 1);
    const Index step = std::max<Index>(64, ratings_.nnz() / kJudged);
    for (Index i = 0; i < ratings_.nnz(); i += step) ++counts[static_cast<std::size_t>(ratings_.items[i]) + 1];
    for (std::size_t m = 1; m < counts.size(); ++m) counts[m] += counts[m - 1];
    return balanced_partition(counts.data(), ratings_.n_items, n_segments);
  }

  RatingsView<T> ratings_;
  LossLoops<T> loops_;
  Index stride_;
  int n_threads_;
  const ItemRuns::Impl* runs_;
  std::vector<Index> blocks_, rows_, segments_;
};

}  // namespace matfac
