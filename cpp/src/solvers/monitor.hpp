#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
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
  Monitor(const RatingsView<T>& train, const Settings& settings, const FactorsView<T>& factors,
          const RatingsView<T>* eval, const OnIteration& on_iteration, const RatingMoments& moments)
      : settings_(settings),
        factors_(factors),
        eval_(eval),
        on_iteration_(on_iteration),
        n_train_(train.nnz()),
        zero_objective_(0.5 * static_cast<double>(train.nnz()) * moments.deviation * moments.deviation) {
    report_.settings = settings;
    report_.global_mean = moments.center;
  }

  /// Records an iteration with the given loss and penalty; returns whether to run another. `publish` writes the
  /// solver's state to the caller's factors, if it lives elsewhere; it is called only when they are to be looked at.
  template <class Publish>
  bool operator()(double loss, double penalty, const Publish& publish) {
    Iteration now;
    now.iteration = ++report_.n_iter;
    now.objective = loss + penalty;
    now.train_rmse = std::sqrt(2 * loss / static_cast<double>(n_train_));
    require_finite(now);
    if (eval_ != nullptr && eval_->nnz() > 0) {
      publish();
      now.eval_rmse = rmse<T>(view(), *eval_, settings_.n_threads);
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
  ModelView<T> view() const {
    return {factors_.user_factors, factors_.item_factors, factors_.user_biases, factors_.item_biases,
            report_.global_mean};
  }

  // A finite objective far above that of the zero model (r_hat = mu) is of no use either. The first iteration of sgd
  // may stumble; a given start may be anything, so only what follows it is judged.
  void require_finite(const Iteration& now) {
    const bool is_first = report_.history.empty();
    double most = (is_first ? 100 : 4) * zero_objective_;
    if (settings_.init == Init::given) {
      most = is_first ? std::numeric_limits<double>::infinity() : std::max(most, 4 * report_.history.front().objective);
    }
    if (std::isfinite(now.objective) && now.objective <= most) return;
    throw DivergenceError(
        message("the fit diverged at iteration ", now.iteration, " (objective ", now.objective, "): ",
                settings_.solver == Solver::sgd
                    ? message("lower learning_rate (now ", settings_.learning_rate, ") or raise regularization")
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
    if (now.eval_rmse < best_rmse_) {
      best_rmse_ = now.eval_rmse;
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
  Index n_train_;
  double zero_objective_;
  FitReport report_;
  double best_rmse_ = std::numeric_limits<double>::infinity();
  struct {
    std::vector<T> user_factors, item_factors, user_biases, item_biases;
  } best_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace matfac
