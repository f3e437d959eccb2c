// Full-gradient descent without a learning rate: nonlinear conjugate gradients (Polak and Ribiere, with automatic
// restart), preconditioned by the rows' curvature, with an exact line search.
//
// Along a direction (dU, dV) each residual is a quadratic in the step t,
//   e(t) = e + a t + b t^2,   a = u . dv + du . v,   b = du . dv,
// so the squared loss is a quartic whose coefficients one pass over the ratings gives:
//   phi(t) - phi(0) = t sum e a + t^2/2 sum (a^2 + 2 e b) + t^3 sum a b + t^4/2 sum b^2  (+ the penalty's t and t^2).
// Its minimizer is found to rounding: nothing to tune, and the objective never rises. A backtracking search would need
// about as many passes and an initial step; a fixed rate fails where popular and rare rows differ by orders of
// magnitude in curvature, which is also why the directions are scaled row by row.
//
// Cost of an iteration: 6F flop a rating for the gradients, 8F for the line search.
// J. Nocedal, S. J. Wright: Numerical Optimization, 2nd ed., section 5.2.

#include <algorithm>
#include <cmath>

#include "solvers/batch/gradient_pass.hpp"
#include "solvers/batch/line_search.hpp"
#include "solvers/batch/side.hpp"
#include "solvers/solvers.hpp"

namespace matfac {
namespace {

template <class T>
class BatchFit {
 public:
  explicit BatchFit(const FitTask<T>& task)
      : task_(task),
        settings_(task.settings),
        mean_(static_cast<T>(task.moments.center)),
        item_offsets_(count_items(task.train)),
        users_(task.factors.user_factors, task.factors.user_biases, true, task.train.offsets,
               settings_.regularization->user, settings_.bias_regularization->user, settings_.regularization_exponent,
               settings_.n_threads),
        items_(task.factors.item_factors, task.factors.item_biases, false, item_offsets_.data(),
               settings_.regularization->item, settings_.bias_regularization->item, settings_.regularization_exponent,
               settings_.n_threads),
        pass_(task.train, kernels<T>().losses[static_cast<int>(settings_.loss)], settings_.n_threads) {}

  FitReport run() {
    const auto publish = [this] {
      users_.publish();
      items_.publish();
    };
    double loss = differentiate();
    double objective = loss + users_.penalty() + items_.penalty();
    double slope_before = 0;  // g . P g of the iteration before; 0: start along the preconditioned gradient
    for (bool go_on = true; go_on;) {
      const double user_curvature = items_.mean_square(), item_curvature = users_.mean_square();
      const double slope = users_.gradient_dot(user_curvature) + items_.gradient_dot(item_curvature);
      double beta = 0;
      if (slope_before > 0) {
        const double overlap = users_.gradient_dot_previous(user_curvature) +
                               items_.gradient_dot_previous(item_curvature);
        beta = std::max(0.0, (slope - overlap) / slope_before);
        if (!std::isfinite(static_cast<T>(beta))) beta = 0;  // gradients that underflow
      }
      double step = turn_and_search(beta, user_curvature, item_curvature);
      if (step == 0 && beta > 0) step = turn_and_search(0, user_curvature, item_curvature);
      slope_before = slope;
      users_.move(step);
      items_.move(step);
      users_.keep_gradient();
      items_.keep_gradient();
      const double next_loss = differentiate();
      const double penalty = users_.penalty() + items_.penalty();
      if (step == 0 || !(next_loss + penalty <= objective)) {
        // At the minimum to within rounding: undo what rounding made worse.
        users_.move(-step);
        items_.move(-step);
        go_on = task_.monitor(loss, objective - loss, publish) && task_.monitor.stop(StopReason::converged);
      } else {
        loss = next_loss;
        objective = next_loss + penalty;
        go_on = task_.monitor(loss, penalty, publish);
      }
    }
    return task_.monitor.finish(publish);
  }

 private:
  static std::vector<Index> count_items(const RatingsView<T>& train) {
    std::vector<Index> offsets(static_cast<std::size_t>(train.n_items) + 1);
    for (Index i = 0; i < train.nnz(); ++i) ++offsets[static_cast<std::size_t>(train.items[i]) + 1];
    for (std::size_t m = 1; m < offsets.size(); ++m) offsets[m] += offsets[m - 1];
    return offsets;
  }

  /// Both sides' gradients of the objective; returns the loss.
  double differentiate() {
    const double loss = pass_(users_.matrix(), items_.matrix(), mean_, users_.gradient(), items_.gradient());
    users_.complete_gradient();
    items_.complete_gradient();
    return loss;
  }

  double turn_and_search(double beta, double user_curvature, double item_curvature) {
    users_.turn(beta, user_curvature);
    items_.turn(beta, item_curvature);
    const auto loss = loss_terms();
    const auto user = users_.penalty_terms(), item = items_.penalty_terms();
    const double step = minimize_quartic(
        {loss[0] + user[0] + item[0], loss[1] / 2 + user[1] + item[1], loss[2], loss[3] / 2});
    return std::isfinite(static_cast<T>(step)) ? step : 0;
  }

  std::array<double, 4> loss_terms() const {
    const auto& train = task_.train;
    const auto& k = kernels<T>();
    constexpr Index kChunk = 256;
    std::vector<std::array<double, 4>> sums(static_cast<std::size_t>((train.n_users + kChunk - 1) / kChunk));
    parallel_chunks(train.n_users, kChunk, settings_.n_threads, [&](Index begin, Index end, int) {
      auto& chunk = sums[static_cast<std::size_t>(begin / kChunk)];
      for (Index n = begin; n < end; ++n) {
        const Index i = train.offsets[n];
        k.row_line_terms(users_.x(n), users_.direction(n), items_.x(), items_.direction(), items_.stride(),
                         train.items + i, train.values + i, mean_, train.offsets[n + 1] - i, chunk.data());
      }
    });
    std::array<double, 4> total{};
    for (const auto& chunk : sums) {
      for (std::size_t j = 0; j < 4; ++j) total[j] += chunk[j];
    }
    return total;
  }

  const FitTask<T>& task_;
  const Settings& settings_;
  T mean_;
  std::vector<Index> item_offsets_;
  batch::Side<T> users_, items_;
  GradientPass<T> pass_;
};

}  // namespace

template <class T>
FitReport fit_batch(const FitTask<T>& task) {
  return BatchFit<T>(task).run();
}

template FitReport fit_batch(const FitTask<float>&);
template FitReport fit_batch(const FitTask<double>&);

}  // namespace matfac
