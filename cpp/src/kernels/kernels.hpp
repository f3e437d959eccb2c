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

/// The losses of single ratings come first in the enumeration `Loss`.
inline constexpr int kPointLosses = 7;

/// A loss at single estimates: the arithmetic of losses/*.hpp over n ratings. `weights` may be null; `parameter` is
/// what the loss has (the threshold of `huber`, ...).
template <class T>
struct PointLoss {
  /// `total` and the weighted losses, added one by one. `derivatives`, when not null, receives weight times d loss /
  /// d estimate.
  double (*evaluate)(const T* ratings, const T* estimates, const T* weights, Index n, T parameter, T* derivatives,
                     double total);
  /// A parabola 1/2 w (target - r_hat)^2 + const above each loss that touches it at the estimate: the weights w, times
  /// `weights`, and the targets. Null where the loss has none.
  void (*majorize)(const T* ratings, const T* estimates, const T* weights, Index n, T parameter, T* majorizer_weights,
                   T* targets);
  T parameter;
};

/// What a stochastic step needs to know of a row beside its factors. With the derivative g of the loss, a step is
///   x := soft(shrink x - rate g y, threshold),   bias := bias_shrink bias - bias_rate g   (y the other row of the
///   pair)
/// soft(x, t) being x moved towards 0 by t.
template <class T>
struct SgdRow {
  T bias;
  T rate, shrink, threshold;
  T bias_rate, bias_shrink;
};

/// A block's ratings are taken strip by strip, one of each in turn: with L = n / kSgdStrips, ratings 0, L, 2L, 3L, 1,
/// L + 1, ..., and at last those from kSgdStrips L on.
inline constexpr Index kSgdStrips = 4;

/// A block of ratings and the rows it touches; see solvers/stochastic/blocks.hpp.
template <class T>
struct SgdBlock {
  const std::uint16_t* users;  ///< row of each rating's user among the block's users, ascending
  const std::uint16_t* items;
  const T* values;
  const T* weights;  ///< or null
  Index n;
  T* user_factors;  ///< the first of the block's users
  T* item_factors;
  SgdRow<T>* user_rows;
  SgdRow<T>* item_rows;
  Index stride;
  T offset;             ///< added to every estimate
  T damping_threshold;  ///< derivatives beyond this are damped (kernels/sgd.inl); infinity: none
  T negative_part;      ///< times the negative part of a factor after a step: 1, or 0 to keep factors from it
  T least_bias;         ///< biases below are set to it: minus infinity, or 0
};

/// Steps on triples of a user, an item that the user has rated and another that is not; see solvers/pairwise. They are
/// taken in strips as those of SgdBlock are.
template <class T>
struct PairBlock {
  const std::uint16_t* users;  ///< row of each step's user among the block's users
  const Code* items;           ///< rows of the rated items
  const Code* others;          ///< rows of the others
  const T* weights;            ///< or null
  Index n;
  T* user_factors;  ///< the first of the block's users
  T* item_factors;
  SgdRow<T>* user_rows;  ///< the biases of users play no part
  SgdRow<T>* item_rows;
  Index stride;
  bool is_plain;    ///< no thresholds and no signs to keep
  T negative_part;  ///< see SgdBlock
};

/// The loops over ratings whose inside is a loss.
///
/// Below, r_hat_i = u . v_items[i] + offset is the estimate of values[i], and g_i the derivative of the weighted loss
/// there. `weights` may be null.
template <class T>
struct LossKernels {
  /// The sum of the losses.
  double (*row_loss)(const PointLoss<T>& loss, const T* u, const T* item_factors, Index stride, const Code* items,
                     const T* values, const T* weights, T offset, Index n);
  /// derivatives[i] = g_i, du += sum g_i v_items[i], total += the sum of the losses. `u` and `du` are rows.
  void (*row_gradient)(const PointLoss<T>& loss, const T* u, const T* item_factors, Index stride, const Code* items,
                       const T* values, const T* weights, T offset, Index n, T* derivatives, T* du, double* total);
  /// One stochastic step for each rating of a block, in order; returns the sum of the losses before each.
  double (*block_sgd)(const PointLoss<T>& loss, const SgdBlock<T>& block);
};

/// A rating of a block of users: which of the block's users and which of its entries.
struct LocalRating {
  std::uint16_t user, entry;
};

/// An item's ratings in a block of users.
struct ItemRun {
  Code item;
  std::uint32_t count;
};

/// A row of ALS: its ratings and the rows of the other side that stay fixed, which need no padding, but are read faster
/// with it.
template <class T>
struct RowProblem {
  const T* fixed;
  Index fixed_stride;  ///< from row to row
  bool is_padded;      ///< whether zeros follow each row of `fixed` up to a whole number of groups
  Index n_factors;
  const Code* codes;
  const T* values;
  Index n;
  Index n_ahead;         ///< how many codes of the next rows lie behind this one's: what to fetch meanwhile
  const Code** fetched;  ///< the caller's note of how far that has been done; null at first
  const T* offsets;      ///< biases of the fixed side, or null
  bool has_bias = true;  ///< whether the row has one: what it needs is accumulated too
  T mean;
  T regularization;
  T bias_regularization;
  /// Of the squares, or null; with them `values` are targets times weights, from which nothing is subtracted any more.
  const T* weights = nullptr;
  double total_weight = 0;            ///< the sum of the weights; n without
  bool has_negative_weights = false;  ///< then the system is definite only thanks to `base`
  const T* base = nullptr;            ///< a symmetric matrix that is added to the system's, in rows as long; or null
  const T* linear = nullptr;          ///< n_factors entries that are added to the right-hand side, or null
  T l1_regularization = 0;            ///< `descend_row` only
  bool nonnegative = false;           ///< `descend_row` only
  const Code* next_codes = nullptr;   ///< by ratings: those of the row that comes next, to be fetched meanwhile
  Index n_next = 0;
};

/// A row that is solved exactly, and what came of it.
template <class T>
struct RowTask {
  RowProblem<T> problem;
  T* solution = nullptr;
  T* bias = nullptr;  ///< or null
  double total = 0;   ///< the sum of the targets
  Index failed = -1;  ///< the index of a pivot that counted as zero: then nothing was written
  double zy = 0;      ///< z . y and y . y (kernels/gram.inl)
  double yy = 0;
};

/// The most lanes that a register has at any level.
inline constexpr Index kMostLanes = 16;

/// Rows whose systems are solved together, at most batch_rows(size) of them; see kernels/row_batch.inl.
template <class T>
struct RowBatch {
  T* memory = nullptr;      ///< row_batch_memory(n_factors) entries, 64-byte aligned
  bool by_ratings = false;  ///< by the n x n systems of their ratings, which must be penalized and have no base
  Index size = 0;           ///< of the largest system: n_factors, or the most ratings, at most n_factors
  Index n = 0;
  RowTask<T> rows[kMostLanes];
};

/// Cyclic coordinate descent updates four factors of a row at a time: for them, and for the pairs of them.
inline constexpr int kCcdFactors = 4;
inline constexpr int kCcdSums = kCcdFactors + kCcdFactors * (kCcdFactors + 1) / 2;

/// Some ratings of a row, and the other side's entries; see kernels/ccd.inl.
template <class T>
struct CcdRow {
  const Code* codes;
  T* residuals;      ///< r - r_hat
  const T* weights;  ///< q, or null
  Index n;
  Index n_ahead;  ///< how many codes lie behind these: what to fetch meanwhile
  /// For each row of the other side the entries that have changed since the residuals were last brought up to date (by
  /// how much), and the four that the update needs.
  const T* pairs;
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
  /// The loops for `squared` without weights, thresholds and signs to keep, with the loss inside; and those for all,
  /// with the loss called for a few ratings at a time.
  LossKernels<T> squared, general;
  /// In the order of the enumeration `Loss`; without a parameter.
  PointLoss<T> losses[kPointLosses];

  /// out[i] = u . v_items[i] - values[i].
  void (*row_residuals)(const T* u, const T* item_factors, Index stride, const Code* items, const T* values, Index n,
                        T* out);
  /// The row items[i] of `matrix` += g[i] u, in order.
  void (*add_outer)(const T* g, const T* u, const Code* items, Index n, Index stride, T* matrix);
  /// For each run: the row `item` of `matrix` += g[entry] times the row `user` of `user_rows`, for its ratings in
  /// order. The runs' ratings follow each other; returns the end of the last.
  const LocalRating* (*add_runs)(const ItemRun* runs, Index n_runs, const LocalRating* ratings, const T* g,
                                 const T* user_rows, Index stride, T* matrix);
  /// A number that tells items from others in their place, the same at every level. Any single change changes it;
  /// several may cancel, of those that have nothing to do with each other one in some 2^32.
  std::uint64_t (*fingerprint)(const Code* items, Index n);
  /// What the squared loss along a direction is made of: with e_i = u . v_i + offset - values[i],
  /// a_i = u . dv_i + du . v_i, b_i = du . dv_i and the weights q_i (`weights` may be null: 1), adds sum q e a,
  /// sum q (a^2 + 2 e b), sum q a b, sum q b^2 to sums[0..3].
  void (*row_line_terms)(const T* u, const T* du, const T* item_factors, const T* item_direction, Index stride,
                         const Code* items, const T* values, const T* weights, T offset, Index n, double* sums);
  /// What any estimate along a direction is made of, u . v_i + offset + t a_i + t^2 b_i: writes the three parts.
  void (*row_line_estimates)(const T* u, const T* du, const T* item_factors, const T* item_direction, Index stride,
                             const Code* items, T offset, Index n, T* estimates, T* a, T* b);
  /// One row of ALS; see gram.inl. `accumulate_row` adds ratings [start, start + count) to a system (sets it if
  /// `is_fresh`) and returns the sum of their targets; `add_system` adds another system; `finish_row` solves it, given
  /// the sum of all targets.
  double (*accumulate_row)(const RowProblem<T>& problem, Index start, Index count, bool is_fresh, T* system, T* panels);
  void (*add_system)(Index n_factors, const T* other, T* system);
  void (*finish_row)(RowTask<T>& row, T* system);
  /// The accumulated system with |x|_1 penalized or x kept from being negative: by coordinate descent from where
  /// `solution` and `bias` are.
  void (*descend_row)(const RowProblem<T>& problem, double total, T* system, T* solution, T* bias);
  /// Entries of T that a system, and what accumulating needs beside it, take (64-byte aligned). A system begins with
  /// the matrix, in rows of the padded number of factors and 64 bytes more, its upper triangle.
  Index (*row_system_size)(Index n_factors);
  Index (*row_panels_size)(Index n_factors);
  /// Several rows at once, with the bits of each alone: `add_to_batch` accumulates a row, `solve_batch` solves all that
  /// are there. Codes and fixed rows must stay until then where rows are solved by their ratings.
  Index (*batch_rows)(Index size);
  Index (*row_batch_memory)(Index n_factors);
  void (*add_to_batch)(RowBatch<T>& batch, const RowProblem<T>& problem, T* solution, T* bias, T* panels);
  void (*solve_batch)(RowBatch<T>& batch);
  /// `steps` steps of conjugate gradients from where `solution` and `bias` are; see conjugate_gradient.inl. The problem
  /// must have weights.
  void (*step_row)(const RowProblem<T>& problem, int steps, T* workspace, T* solution, T* bias);
  Index (*step_row_workspace)(Index n_factors);
  /// out[i] = x . v of row codes[i]; neither need be padded.
  void (*row_estimates)(const T* x, const T* fixed, Index fixed_stride, Index n_factors, const Code* codes, Index n,
                        T* out);
  /// a . b for rows of any length.
  T (*dot)(const T* a, const T* b, Index n);
  /// Appends to each query's `found` those of the items [first, min(first + kRankingStrip, end)) whose score is above
  /// its threshold, by ascending item. There must be room for all.
  void (*score_strip)(const RankingBlock<T>& block, Index first, Index end);
  Index (*ranking_workspace)(Index n_factors);
  /// out[i] = u . v + b of the pair (users[i], items[i]), with the bits that score_strip has before a base is added.
  void (*pair_scores)(const T* user_factors, const T* item_factors, const T* item_biases, Index n_factors,
                      const Code* users, const Code* items, Index n, T* out);
  /// Subtracts from each residual e the sum of scale[j] times what has changed; with the other side's entries y adds
  /// sum q e y_j to sums[j], and the sums of q y_j y_l (j <= l, by j, then l) to those behind.
  void (*ccd_accumulate)(const CcdRow<T>& row, const T* scale, double* sums);
  /// Subtracts sum_j change[j] y_j from each residual; returns the sum of q e^2.
  double (*ccd_move)(const CcdRow<T>& row, const T* change);
  /// One step of `bpr` for each triple; returns the sum of the weighted losses before each.
  double (*block_bpr)(const PairBlock<T>& block);
  /// The first of `candidates` with `difference`, the estimate of `item` minus the candidate's, below `margin`; or n.
  Index (*find_violator)(const PairBlock<T>& block, Index user, Index item, const Code* candidates, Index n, T margin,
                         T* difference);
  /// One step with the derivative g of the loss by the difference.
  void (*pair_step)(const PairBlock<T>& block, Index user, Index item, Index other, T g);
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
