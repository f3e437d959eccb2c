#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "matfac/export.hpp"
#include "matfac/ratings.hpp"
#include "matfac/settings.hpp"
#include "matfac/types.hpp"

/// The mathematics of R = U V^T on the observed pairs, for those who bring their own optimizer.
///
///   E = U V^T - R on the pattern of R        residuals, aligned with the entries of R
///   L = 1/2 sum (r_nm - u_n . v_m)^2         loss
///   dL/dU = E V, dL/dV = E^T U               gradients
///
/// U is (n_users x F), V is (n_items x F). Every function checks the shapes and, but for `pair_gradients`, that nothing
/// is written to memory that is read as another argument (InvalidArgument), runs on `n_threads` threads (0: all) and
/// gives the same bits at any number of them. Sums of losses are carried in double. Each loss (and its derivative)
/// counts as often as the rating's weight says, if the ratings have weights; residuals have none.
namespace matfac {

/// Writes E to `out` (nnz entries). Cost: 2F flop a rating.
template <class T>
MATFAC_API void residuals(const RatingsView<T>& ratings, MatrixView<const T> user_factors,
                          MatrixView<const T> item_factors, std::span<T> out, int n_threads = 0);

/// Returns L, or the sum of another loss. Cost: 2F flop a rating.
template <class T>
MATFAC_API double loss(const RatingsView<T>& ratings, MatrixView<const T> user_factors,
                       MatrixView<const T> item_factors, int n_threads = 0, const LossFunction& loss = {});

/// The pattern of ratings a second time, by item within blocks of users: for those who ask for the gradients of the
/// same ratings more than once. Memory: 4 bytes a rating and 8 for each item of a block (some 65 000 ratings), 5 bytes
/// a rating for the usual ones. To make it, O(nnz), parallel, takes half as long as a call, or as long. It keeps no
/// pointer to the pattern. Where its items have changed since, it is not used. Safe to use from several threads at
/// once.
class MATFAC_API ItemRuns {
 public:
  /// The pattern must be well-formed (`validate`).
  explicit ItemRuns(const PatternView& pattern, int n_threads = 0);
  ItemRuns(ItemRuns&&) noexcept;
  ItemRuns& operator=(ItemRuns&&) noexcept;
  ~ItemRuns();

  /// Whether the pattern has the shape and the numbers of ratings of the one that these were made of.
  bool matches(const PatternView& pattern) const;

  struct Impl;
  const Impl& impl() const;  ///< for the library itself

 private:
  std::unique_ptr<Impl> impl_;
};

/// Overwrites `user_gradient` (n_users x F) with E V and `item_gradient` (n_items x F) with E^T U; returns L. With
/// another loss E holds its derivatives at the estimates (each times the rating's weight, if there are weights). E
/// itself is written to `derivatives` (nnz entries, aligned with the entries of R), unless that is empty. With `runs`
/// of the same pattern it is faster and gives the same bits; runs that do not match are refused. Cost: 6F flop a
/// rating, one pass over the ratings. Memory beyond the result: a number for each of at most some 260 000 ratings and a
/// row for each of their users (at most 8192) a thread, and copies of matrices whose F is not a multiple of 64 bytes or
/// (the items') whose data do not begin at one.
template <class T>
MATFAC_API double gradients(const RatingsView<T>& ratings, MatrixView<const T> user_factors,
                            MatrixView<const T> item_factors, MatrixView<T> user_gradient, MatrixView<T> item_gradient,
                            int n_threads = 0, const LossFunction& loss = {}, std::span<T> derivatives = {},
                            const ItemRuns* runs = nullptr);

/// The gradients of one pair's loss 1/2 (rating - u.v)^2: du = -(rating - u.v) v, dv = -(rating - u.v) u.
/// All four spans have the same length. Returns the residual u.v - rating.
template <class T>
MATFAC_API T pair_gradients(T rating, std::span<const T> user_row, std::span<const T> item_row,
                            std::span<T> user_gradient, std::span<T> item_gradient);

/// One step of gradient descent in place: U -= learning_rate * E V, V -= learning_rate * E^T U, both from the factors
/// before the step. Returns L before the step. `runs` as for `gradients`.
template <class T>
MATFAC_API double batch_step(const RatingsView<T>& ratings, MatrixView<T> user_factors, MatrixView<T> item_factors,
                             double learning_rate, int n_threads = 0, const ItemRuns* runs = nullptr);

/// One epoch of stochastic gradient descent in place: for each rating once, both rows of the pair move by
/// -learning_rate times their pair gradients, taken from the rows before the move.
///
/// The order is a pseudo-random one, fixed by the ratings, `seed` and `epoch`; blocks of ratings that share no user and
/// no item run in parallel, and the result is that of the serial order, bit for bit, at any number of threads.
/// Returns the sum of the pair losses, each measured just before its update.
template <class T>
MATFAC_API double sgd_epoch(const RatingsView<T>& ratings, MatrixView<T> user_factors, MatrixView<T> item_factors,
                            double learning_rate, std::uint64_t seed = 0, std::int64_t epoch = 0, int n_threads = 0);

/// The serial order that `sgd_epoch` is equal to: the numbers of the ratings' entries (positions in `items`, `values`),
/// in the order of their updates.
template <class T>
MATFAC_API std::vector<Index> sgd_order(const RatingsView<T>& ratings, std::uint64_t seed = 0, std::int64_t epoch = 0,
                                        int n_threads = 0);

}  // namespace matfac
