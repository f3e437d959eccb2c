// Full-gradient descent without a learning rate: nonlinear conjugate gradients (Polak and Ribiere, with automatic
// restart), preconditioned by the rows' curvature, with a line search; for penalties that are not smooth and for
// constraints proximal gradients instead (proximal.hpp).
//
// Along a direction (dU, dV) each estimate is a quadratic in the step t,
//   r_hat(t) = r_hat + a t + b t^2,   a = u . dv + du . v,   b = du . dv,
// so the squared loss is a quartic whose coefficients one pass over the ratings gives: with e = r_hat - r,
//   phi(t) - phi(0) = t sum e a + t^2/2 sum (a^2 + 2 e b) + t^3 sum a b + t^4/2 sum b^2  (+ the penalty's t and t^2).
// Its minimizer is found to rounding. For the other losses the pass stores r_hat, a and b, and the search looks at
// phi and phi' at a few steps for some operations a rating each. Either way there is nothing to tune, and the objective
// never rises. A fixed rate fails where popular and rare rows differ by orders of magnitude in curvature, which is also
// why the directions are scaled row by row.
//
// Cost of an iteration: 6F flop a rating for the gradients, 8F for the line search.
// J. Nocedal, S. J. Wright: Numerical Optimization, 2nd ed., section 5.2.

#include <algorithm>
#include <cmath>
#include <optional>

#include "solvers/batch/line_pass.hpp"
#include "solvers/batch/line_search.hpp"
#include "solvers/batch/line_side.hpp"
#include "solvers/batch/problem.hpp"
#include "solvers/batch/proximal.hpp"
#include "solvers/solvers.hpp"

namespace matfac {
namespace {

template <class T>
class ConjugateGradients : batch::Problem<T, batch::LineSide> {
  using Base = batch::Problem<T, batch::LineSide>;
  using Base::differentiate, Base::items_, Base::loops_, Base::mean_, Base::settings_, Base::task_, Base::users_;

 public:
  explicit ConjugateGradients(const FitTask<T>& task) : Base(task) {
    if (settings_.loss != Loss::squared) line_.emplace(task.train, loops_, settings_.n_threads);
  }

  FitReport run() {
    const auto publish = [this] { Base::publish(); };
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
  double turn_and_search(double beta, double user_curvature, double item_curvature) {
    users_.turn(beta, user_curvature);
    items_.turn(beta, item_curvature);
    const auto user = users_.penalty_terms(), item = items_.penalty_terms();
    const double first = user[0] + item[0], second = user[1] + item[1];
    const double step = line_ ? search(first, second) : minimize(first, second);
    return std::isfinite(static_cast<T>(step)) ? step : 0;
  }

  double minimize(double first, double second) const {
    const auto loss = loss_terms();
    return minimize_quartic({loss[0] + first, loss[1] / 2 + second, loss[2], loss[3] / 2});
  }

  // Every loss here curves at most as the squared one does, so the first step is too short rather than too long.
  double search(double first, double second) {
    line_->prepare(users_, items_, mean_);
    const auto phi = [&](double t) {
      const LinePoint loss = (*line_)(t);
      return LinePoint{loss.value + t * (first + t * second), loss.slope + first + 2 * t * second};
    };
    const LinePoint start = phi(0);
    const double bound = settings_.loss == Loss::logistic ? 0.25 : 1.0;
    return minimize_along(phi, start, -start.slope / (bound * line_->squared_slopes() + 2 * second));
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
                         train.items + i, train.values + i, this->weights_from(i), mean_, train.offsets[n + 1] - i,
                         chunk.data());
      }
    });
    std::array<double, 4> total{};
    for (const auto& chunk : sums) {
      for (std::size_t j = 0; j < 4; ++j) total[j] += chunk[j];
    }
    return total;
  }

  std::optional<batch::LinePass<T>> line_;  // none where the line search is exact
};

}  // namespace

template <class T>
FitReport fit_batch(const FitTask<T>& task) {
  const auto& l1 = task.settings.l1_regularization;
  if (task.settings.nonnegative || l1.user > 0 || l1.item > 0) return batch::ProximalGradients<T>(task).run();
  return ConjugateGradients<T>(task).run();
}

template FitReport fit_batch(const FitTask<float>&);
template FitReport fit_batch(const FitTask<double>&);

}  // namespace matfac
