#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "matfac/types.hpp"

/// The hot loops. They are written once (*.inl) and compiled once per instruction set; `kernels<T>()` is the table of
/// those that this process runs. They see plain pointers only.
///
/// Conventions: `stride` is the distance between the rows of a matrix and the length of a row with its padding: a
/// multiple of 64 bytes, the padding zero. `items` are codes that have been checked. Every sum has a fixed shape (lanes
/// of 64 bytes, then a fixed tree), so a result depends on its arguments alone.
namespace matfac {

/// What a stochastic step needs to know of a row beside its factors. With the derivative g of the loss, a step is
///   x := shrink x - rate g y,   bias := bias_shrink bias - bias_rate g        (y the other row of the pair)
template <class T>
struct SgdRow {
  T bias;
  T rate, shrink;
  T bias_rate, bias_shrink;
};

/// A block's ratings are taken strip by strip, one of each in turn: with L = n / kSgdStrips, ratings 0, L, 2L, 3L, 1,
/// L + 1, ..., and at last those from kSgdStrips L on.
inline constexpr Index kSgdStrips = 4;

/// A block of ratings and the rows it touches; see solvers/sgd/blocks.hpp.
template <class T>
struct SgdBlock {
  const std::uint16_t* users;  ///< row of each rating's user among the block's users, ascending
  const std::uint16_t* items;
  const T* values;
  Index n;
  T* user_factors;  ///< the first of the block's users
  T* item_factors;
  SgdRow<T>* user_rows;
  SgdRow<T>* item_rows;
  Index stride;
  T damping_threshold;  ///< derivatives beyond this are damped (kernels/sgd.inl); infinity: none
};

/// The loops over ratings whose inside is a loss: one table a loss, in the order of the enumeration `Loss`.
///
/// Below, r_hat_i = u . v_items[i] + offset is the estimate of values[i], and g_i the derivative of the loss there.
template <class T>
struct LossKernels {
  /// The sum of the losses.
  double (*row_loss)(const T* u, const T* item_factors, Index stride, const Code* items, const T* values, T offset,
                     Index n);
  /// du += sum g_i v_items[i], item_gradient of items[i] += g_i u, loss += the losses, one by one. `u` and `du` are
  /// rows.
  void (*row_gradients)(const T* u, const T* item_factors, Index stride, const Code* items, const T* values, T offset,
                        Index n, T* du, T* item_gradient, double* loss);
  /// One stochastic step for each rating of a block, in order; returns the sum of the losses before each.
  double (*block_sgd)(const SgdBlock<T>& block);
};

/// A row of ALS: its ratings and the rows of the other side that stay fixed, which need no padding.
template <class T>
struct RowProblem {
  const T* fixed;
  Index fixed_stride;  ///< from row to row
  Index n_factors;
  const Code* codes;
  const T* values;
  Index n;
  Index n_ahead;         ///< how many codes of the next rows lie behind this one's: what to fetch meanwhile
  const Code** fetched;  ///< the caller's note of how far that has been done; null at first
  const T* offsets;      ///< biases of the fixed side, or null
  T mean;
  T regularization;
  T bias_regularization;
};

/// Items that a ranking kernel scores at a time, and queries that lie interleaved: a multiple of what any level takes.
inline constexpr Index kRankingStrip = 64;
inline constexpr Index kRankingGroup = 12;

template <class T>
struct ScoredItem {
  T score;
  Code item;
};

/// Queries, the items that are ranked for them, and what has been found; see kernels/top_n.inl.
template <class T>
struct RankingBlock {
  /// Groups of kRankingGroup queries, the first factors of all, then the second, and so on; then the others, as rows.
  const T* queries;
  const T* bases;  ///< added to all of a query's scores
  const T* thresholds;
  Index n_queries;
  Index n_grouped;  ///< queries in groups; may exceed n_queries, the last of the group then being empty
  const T* item_factors;
  const T* item_biases;  ///< or null
  const T* item_scales;  ///< a factor to each item's row, or null
  Index n_factors;
  ScoredItem<T>* found;  ///< `room` entries a query, of which there are counts[query]
  Index room;
  std::int32_t* counts;
  T* workspace;  ///< ranking_workspace(n_factors) entries, 64-byte aligned
};

template <class T>
struct Kernels {
  LossKernels<T> losses[1];

  /// out[i] = u . v_items[i] - values[i].
  void (*row_residuals)(const T* u, const T* item_factors, Index stride, const Code* items, const T* values, Index n,
                        T* out);
  /// What the squared loss along a direction is made of: with e_i = u . v_i + offset - values[i],
  /// a_i = u . dv_i + du . v_i and b_i = du . dv_i, adds sum e a, sum (a^2 + 2 e b), sum a b, sum b^2 to sums[0..3].
  void (*row_line_terms)(const T* u, const T* du, const T* item_factors, const T* item_direction, Index stride,
                         const Code* items, const T* values, T offset, Index n, double* sums);
  /// One row of ALS; see gram.inl. `solve_row` does it all. A long row may be cut instead: `accumulate_row` adds
  /// ratings [start, start + count) to the system in a workspace (sets it if `is_fresh`) and returns the sum of their
  /// targets, `add_system` adds another workspace's system, `finish_row` solves, given the sum of all targets. `bias`
  /// may be null. Both solvers return -1, or the index of a pivot that was not positive.
  Index (*solve_row)(const RowProblem<T>& problem, T* workspace, T* solution, T* bias);
  double (*accumulate_row)(const RowProblem<T>& problem, Index start, Index count, bool is_fresh, T* workspace);
  void (*add_system)(Index n_factors, const T* other, T* workspace);
  Index (*finish_row)(const RowProblem<T>& problem, double total, T* workspace, T* solution, T* bias);
  /// Entries of T that a workspace needs (64-byte aligned).
  Index (*solve_row_workspace)(Index n_factors);
  /// a . b for rows of any length.
  T (*dot)(const T* a, const T* b, Index n);
  /// Appends to each query's `found` those of the items [first, min(first + kRankingStrip, end)) whose score is above
  /// its threshold, by ascending item. There must be room for all.
  void (*score_strip)(const RankingBlock<T>& block, Index first, Index end);
  Index (*ranking_workspace)(Index n_factors);
  /// out[i] = u . v + b of the pair (users[i], items[i]), with the bits that score_strip has before a base is added.
  void (*pair_scores)(const T* user_factors, const T* item_factors, const T* item_biases, Index n_factors,
                      const Code* users, const Code* items, Index n, T* out);
};

/// The table in use. The choice is made once; see runtime_info().
template <class T>
const Kernels<T>& kernels();

/// The tables of this build, by level. A level that the processor lacks must not be called.
template <class T>
const Kernels<T>& kernels_baseline();
#ifdef MATFAC_X86_LEVELS
template <class T>
const Kernels<T>& kernels_avx2();
template <class T>
const Kernels<T>& kernels_avx512();
#endif

/// The name of the level in use, and of those that this processor can run, best last.
const std::string& instruction_set();
std::vector<std::string> instruction_sets();

}  // namespace matfac
