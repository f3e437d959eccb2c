#pragma once

#include <cmath>
#include <limits>

#include "core/sum.hpp"
#include "solvers/batch/problem.hpp"
#include "solvers/batch/proximal_side.hpp"

namespace matfac::batch {

/// Accelerated proximal gradients for objectives f + h: f the loss and the squared penalty, h the absolute penalty and
/// the constraints (factors of at least 0; with `kullback_leibler` biases of at least -mu/2).
///
///   y = x + m (x - x_before)                                    (m: Nesterov's momentum, from 0)
///   z = argmin h(z) + g(y) . z + 1/(2 s) |z - y|^2_D             (D: the rows' mean curvature; row by row, closed)
///
/// s is halved until f(z) <= f(y) + g . (z - y) + 1/(2 s) |z - y|^2_D, which is checked by the loss at z. Where the
/// momentum makes the objective rise it starts again from 0, and the step then is a plain one, which cannot: the
/// objective never rises. Zeros are exact.
///
/// Cost of an iteration: 6F flop a rating for the gradients, 2F for each s tried (about one).
/// A. Beck, M. Teboulle: A Fast Iterative Shrinkage-Thresholding Algorithm. SIAM J. Imaging Sciences 2(1), 2009.
/// B. O'Donoghue, E. Candes: Adaptive Restart for Accelerated Gradient Schemes. Found. Comput. Math. 15, 2015.
template <class T>
class ProximalGradients : Problem<T, ProximalSide> {
  using Base = Problem<T, ProximalSide>;
  using Base::differentiate, Base::items_, Base::loops_, Base::mean_, Base::settings_, Base::task_, Base::users_;

 public:
  explicit ProximalGradients(const FitTask<T>& task) : Base(task) {}

  FitReport run() {
    const auto publish = [this] { Base::publish(); };
    propose(0);
    State best = measure();
    users_.accept();
    items_.accept();
    for (bool go_on = true; go_on;) {
      double inertia = 1;  // Nesterov's sequence
      for (bool is_falling = true; go_on && is_falling;) {
        const double next_inertia = (1 + std::sqrt(1 + 4 * inertia * inertia)) / 2;
        const bool is_plain = inertia == 1;
        const State state = step((inertia - 1) / next_inertia);
        is_falling = state.objective() < best.objective();
        if (is_falling) {
          users_.accept();
          items_.accept();
          best = state;
          inertia = next_inertia;
          go_on = task_.monitor(best.loss, best.objective() - best.loss, publish);
        } else if (is_plain) {  // at the minimum to within rounding
          go_on = task_.monitor(best.loss, best.objective() - best.loss, publish) &&
                  task_.monitor.stop(StopReason::converged);
        }
      }
    }
    return task_.monitor.finish(publish);
  }

 private:
  struct State {
    double loss = 0, squares = 0, absolute = 0;
    double smooth() const { return loss + squares; }
    double objective() const { return loss + squares + absolute; }
  };

  std::array<double, 2> propose(double rate) {
    const auto user = users_.propose(rate, user_curvature_), item = items_.propose(rate, item_curvature_);
    return {user[0] + item[0], user[1] + item[1]};
  }

  /// A proposal from `momentum`, not accepted yet.
  State step(double momentum) {
    users_.extrapolate(momentum);
    items_.extrapolate(momentum);
    const double smooth = differentiate() + users_.penalty() + items_.penalty();
    user_curvature_ = items_.mean_square();
    item_curvature_ = users_.mean_square();
    const double rounding = static_cast<double>(std::numeric_limits<T>::epsilon()) * smooth;
    for (int halvings = 0;; ++halvings) {
      const auto [slope, distance] = propose(rate_);
      const State state = measure();
      if (state.smooth() <= smooth + slope + distance / rate_ + rounding || halvings == 60) {
        if (halvings == 0) rate_ *= 1.2;
        return state;
      }
      rate_ /= 2;
    }
  }

  State measure() const {
    const auto& train = task_.train;
    State state;
    state.loss = chunked_sum(train.n_users, 256, settings_.n_threads, [&](Index begin, Index end) {
      double total = 0;
      for (Index n = begin; n < end; ++n) {
        const Index i = train.offsets[n];
        total += loops_.kernels->row_loss(loops_.loss, users_.proposal(n), items_.proposal(), items_.stride(),
                                          train.items + i, train.values + i, this->weights_from(i), mean_,
                                          train.offsets[n + 1] - i);
      }
      return total;
    });
    state.squares = users_.proposal_penalty() + items_.proposal_penalty();
    state.absolute = users_.proposal_absolute() + items_.proposal_absolute();
    return state;
  }

  double rate_ = 1;
  double user_curvature_ = 0, item_curvature_ = 0;
};

}  // namespace matfac::batch
