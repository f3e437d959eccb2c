// Cyclic coordinate descent: the objective is minimized by one factor of a row at a time, all others held fixed, which
// has a formula even where factors are penalized by their magnitude or must not be negative. With e the residuals
// r - r_hat, a factor x of a row whose ratings meet the factors y of the other side becomes
//
//   soft(sum q (e + x y) y, w kappa) / (sum q y^2 + w lambda),   soft(z, t) = sign(z) max(|z| - t, 0),
//
// or 0 if that is negative and must not be. Each such step is exact, so the objective never rises.
//
// The order is that of CCD++ (all users' factors f, then all items' factors f, then f + 1), but for four factors at a
// time: a pass over the ratings reads the residuals once for the four, and the sums q y y^T of a row for all pairs of
// them let it go over its four factors as often as it likes. It converges per sweep as CCD++ does, with a quarter of
// the memory traffic. The biases are factors whose other side is 1: user row [b, 1, u], item row [1, c, v], so the
// first block holds them and two factors.
//
// The residuals are kept by user and by item. A pass over the users' rows changes those by user and leaves a note of
// what has changed, by which the next pass over the items' rows, which reads the note along with the factors it needs,
// brings its own up to date first; and so on in turn. So a residual is read and written twice a block and side, the
// second time while the row is still in the nearest caches. Rounding adds up in them: every kRefresh sweeps they are
// computed anew.
//
// A sweep costs about 90 flop a rating and block of four. Memory: both residuals and the pattern by item, 12 bytes a
// rating (float), 4 more with weights, and the parameters twice.
//
// H.-F. Yu, C.-J. Hsieh, S. Si, I. Dhillon: Scalable Coordinate Descent Approaches to Parallel Matrix Factorization for
// Recommender Systems. ICDM 2012.

#include "core/padded_matrix.hpp"
#include "solvers/ccd/pass.hpp"
#include "solvers/solvers.hpp"

namespace matfac {
namespace {

constexpr int kRefresh = 16;

std::vector<Index> item_offsets(const PatternView& pattern) {
  std::vector<Index> offsets(static_cast<std::size_t>(pattern.n_items) + 1);
  for (Index i = 0; i < pattern.nnz(); ++i) ++offsets[static_cast<std::size_t>(pattern.items[i]) + 1];
  for (std::size_t m = 1; m < offsets.size(); ++m) offsets[m] += offsets[m - 1];
  return offsets;
}

template <class T>
class CcdFit {
 public:
  explicit CcdFit(const FitTask<T>& task)
      : task_(task),
        settings_(task.settings),
        item_offsets_(item_offsets(task.train)),
        users_(task.factors.user_factors, task.factors.user_biases, true, task.train.offsets,
               factor_rule(settings_.regularization->user, settings_.l1_regularization.user),
               bias_rule(settings_.bias_regularization->user), settings_.regularization_exponent, settings_.n_threads),
        items_(task.factors.item_factors, task.factors.item_biases, false, item_offsets_.data(),
               factor_rule(settings_.regularization->item, settings_.l1_regularization.item),
               bias_rule(settings_.bias_regularization->item), settings_.regularization_exponent, settings_.n_threads) {
  }

  FitReport run() {
    const auto publish = [this] { this->publish(); };
    double loss = 0;
    int sweep = 0;
    do {
      if (sweep++ % kRefresh == 0) refresh();
      loss = run_sweep();
    } while (task_.monitor(loss, users_.penalty() + items_.penalty(), publish));
    return task_.monitor.finish(publish);
  }

 private:
  ccd::ColumnRule factor_rule(double l2, double l1) const {
    ccd::ColumnRule rule{.l2 = l2, .l1 = l1, .is_fixed = false};
    if (settings_.nonnegative) rule.least = 0;
    return rule;
  }
  static ccd::ColumnRule bias_rule(double l2) { return {.l2 = l2, .is_fixed = false}; }

  /// Returns the loss after the sweep.
  double run_sweep() {
    const RatingsView<T>& train = task_.train;
    const ccd::Pass<T> update_users(users_, items_, {train.items, residuals_.data(), train.weights},
                                    settings_.n_threads);
    const ccd::Pass<T> update_items(items_, users_, {by_item_.items.data(), by_item_.values.data(), item_weights()},
                                    settings_.n_threads);
    const Index n_blocks = users_.n_blocks();
    double squares = 0;
    for (Index block = 0; block < n_blocks; ++block) {
      const Index before = (block + n_blocks - 1) % n_blocks, after = (block + 1) % n_blocks;
      update_users({block, before, block, false});
      squares = update_items({block, block, after, block + 1 == n_blocks});
    }
    return 0.5 * squares;
  }

  const T* item_weights() const { return by_item_.weights.empty() ? nullptr : by_item_.weights.data(); }

  void publish() {
    users_.publish();
    items_.publish();
  }

  /// Computes the residuals from the parameters.
  void refresh() {
    const RatingsView<T>& train = task_.train;
    by_item_ = {};  // room for the new one
    if (residuals_.size() == 0) residuals_ = AlignedBuffer<T>(train.nnz());
    publish();
    {
      const PaddedMatrix<const T> users(as_const(task_.factors.user_factors), settings_.n_threads),
          items(as_const(task_.factors.item_factors), settings_.n_threads);
      parallel_chunks(train.n_users, 256, settings_.n_threads, [&](Index begin, Index end, int) {
        for (Index n = begin; n < end; ++n) find_residuals(n, users.row(n), items.data(), items.stride());
      });
    }
    RatingsView<T> found = train;
    found.values = residuals_.data();
    by_item_ = transpose(found, settings_.n_threads);
    users_.reset_pairs();
    items_.reset_pairs();
  }

  static MatrixView<const T> as_const(const MatrixView<T>& x) { return {x.data, x.rows, x.cols}; }

  void find_residuals(Index n, const T* u, const T* items, Index stride) {
    const RatingsView<T>& train = task_.train;
    const Index start = train.offsets[n], end = train.offsets[n + 1];
    kernels<T>().row_residuals(u, items, stride, train.items + start, train.values + start, end - start,
                               residuals_.data() + start);
    const auto& b = task_.factors.user_biases;
    const auto& c = task_.factors.item_biases;
    const T base = static_cast<T>(task_.moments.center) + (b.empty() ? T(0) : b[static_cast<std::size_t>(n)]);
    for (Index i = start; i < end; ++i) {
      const T bias = c.empty() ? T(0) : c[static_cast<std::size_t>(train.items[i])];
      residuals_[i] = -(residuals_[i] + (base + bias));
    }
  }

  const FitTask<T>& task_;
  const Settings& settings_;
  std::vector<Index> item_offsets_;
  ccd::Side<T> users_, items_;
  AlignedBuffer<T> residuals_;  // by user, in the order of the ratings
  Ratings<T> by_item_;          // its values are the residuals by item
};

}  // namespace

template <class T>
FitReport fit_ccd(const FitTask<T>& task) {
  return CcdFit<T>(task).run();
}

template FitReport fit_ccd(const FitTask<float>&);
template FitReport fit_ccd(const FitTask<double>&);

}  // namespace matfac
