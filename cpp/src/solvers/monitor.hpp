#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <vector>

#include "core/message.hpp"
#include "matfac/error.hpp"
#include "matfac/fit.hpp"
#include "matfac/model.hpp"
#include "solvers/resolve.hpp"

namespace matfac {

/// What every solver does between iterations: measure, record, ask the caller, decide whether to go on; and at the end
/// give back the best factors when stopping early.
template <class T>
class Monitor {
 public:
  Monitor(const Settings& settings, const FactorsView<T>& factors, const RatingsView<T>* eval,
          const OnIteration& on_iteration, const RatingMoments& moments)
      : settings_(settings), factors_(factors), eval_(eval), on_iteration_(on_iteration), moments_(moments) {
    report_.settings = settings;
    report_.global_mean = moments.center;
  }

  /// For losses that are not of single ratings: `held_out_loss` is called when the caller's factors are up to date.
  void measure_by(std::function<double()> held_out_loss) { held_out_loss_ = std::move(held_out_loss); }
  const RatingsView<T>* eval() const { return eval_; }

  /// Records an iteration with the given loss and penalty; returns whether to run another. `publish` writes the
  /// solver's state to the caller's factors, if it lives elsewhere; it is called only when they are to be looked at.
  template <class Publish>
  bool operator()(double loss, double penalty, const Publish& publish) {
    Iteration now;
    now.iteration = ++report_.n_iter;
    now.objective = loss + penalty;
    now.train_loss = loss / moments_.total_weight;
    if (settings_.loss == Loss::squared) now.train_rmse = std::sqrt(2 * now.train_loss);
    require_finite(now);
    if (eval_ != nullptr && eval_->nnz() > 0) {
      publish();
      now.eval_loss = measure_held_out();
      if (settings_.loss == Loss::squared) now.eval_rmse = std::sqrt(2 * now.eval_loss);
    }
    now.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    report_.history.push_back(now);
    if (!settings_.early_stopping) report_.best_iteration = now.iteration;

    bool go_on = now.iteration < settings_.max_iter;
    if (settings_.early_stopping && !improves(now)) go_on = stop(StopReason::early_stopping);
    if (go_on && has_converged()) go_on = stop(StopReason::converged);
    if (on_iteration_ && !on_iteration_(now) && go_on) go_on = stop(StopReason::cancelled);
    return go_on;
  }

  /// Records that the solver can go no further.
  bool stop(StopReason reason) {
    report_.stop_reason = reason;
    return false;
  }

  /// The report; `publish` as above. With early stopping the caller's factors become those of the best iteration.
  template <class Publish>
  FitReport finish(const Publish& publish) {
    if (settings_.early_stopping && report_.best_iteration != report_.n_iter && !best_.user_factors.empty()) {
      restore();
    } else {
      publish();
    }
    return std::move(report_);
  }

 private:
  double measure_held_out() const {
    if (held_out_loss_) return held_out_loss_();
    return mean_loss<T>(view(), *eval_, {settings_.loss, *settings_.huber_threshold}, settings_.n_threads);
  }
  ModelView<T> view() const {
    return {factors_.user_factors, factors_.item_factors, factors_.user_biases, factors_.item_biases,
            report_.global_mean};
  }

  // A finite objective far above that of the zero model (r_hat = mu) is of no use either. The first iteration of sgd
  // may stumble. Where the start may be anything (a given one; the other solvers come down from any), only what follows
  // is judged.
  void require_finite(const Iteration& now) {
    const bool is_first = report_.history.empty();
    double most = (is_first ? 100 : 4) * moments_.zero_loss;
    if (settings_.init == Init::given || settings_.solver != Solver::sgd) {
      most = is_first ? std::numeric_limits<double>::infinity() : std::max(most, 4 * report_.history.front().objective);
    }
    if (std::isfinite(now.objective) && now.objective <= most) return;
    throw DivergenceError(
        message("the fit diverged at iteration ", now.iteration, " (objective ", now.objective, "): ",
                settings_.solver == Solver::sgd
                    ? message("lower learning_rate (now ", settings_.learning_rate, ") or init_std (now ",
                              *settings_.init_std, "), or raise regularization")
                    : message("raise regularization (now ", settings_.regularization->user, ", ",
                              settings_.regularization->item, ") or scale the ratings to a smaller range"),
                "; the factors of this fit are discarded"));
  }

  bool has_converged() const {
    const auto& history = report_.history;
    if (settings_.tol <= 0 || history.size() < 2) return false;
    const double before = history[history.size() - 2].objective, now = history.back().objective;
    return before - now < settings_.tol * std::abs(before);
  }

  // Keeps a copy of the best factors; false when the last `patience` iterations brought no new best.
  bool improves(const Iteration& now) {
    if (now.eval_loss < best_loss_) {
      best_loss_ = now.eval_loss;
      report_.best_iteration = now.iteration;
      const auto& f = factors_;
      best_.user_factors.assign(f.user_factors.data, f.user_factors.data + f.user_factors.size());
      best_.item_factors.assign(f.item_factors.data, f.item_factors.data + f.item_factors.size());
      best_.user_biases.assign(f.user_biases.begin(), f.user_biases.end());
      best_.item_biases.assign(f.item_biases.begin(), f.item_biases.end());
    }
    return now.iteration - report_.best_iteration < settings_.patience;
  }

  void restore() {
    std::copy(best_.user_factors.begin(), best_.user_factors.end(), factors_.user_factors.data);
    std::copy(best_.item_factors.begin(), best_.item_factors.end(), factors_.item_factors.data);
    std::copy(best_.user_biases.begin(), best_.user_biases.end(), factors_.user_biases.begin());
    std::copy(best_.item_biases.begin(), best_.item_biases.end(), factors_.item_biases.begin());
  }

  const Settings& settings_;
  FactorsView<T> factors_;
  const RatingsView<T>* eval_;
  const OnIteration& on_iteration_;
  std::function<double()> held_out_loss_;
  const RatingMoments& moments_;
  FitReport report_;
  double best_loss_ = std::numeric_limits<double>::infinity();
  struct {
    std::vector<T> user_factors, item_factors, user_biases, item_biases;
  } best_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace matfac
