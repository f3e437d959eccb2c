#pragma once

#include "solvers/batch/gradient_pass.hpp"
#include "solvers/batch/item_runs.hpp"
#include "solvers/batch/rating_mass.hpp"
#include "solvers/batch/side.hpp"
#include "solvers/solvers.hpp"

namespace matfac::batch {

/// What both ways of descending share: the sides' parameters and the gradient of the smooth part of the objective.
template <class T, template <class> class SideOf>
class Problem {
 public:
  explicit Problem(const FitTask<T>& task)
      : task_(task),
        settings_(task.settings),
        mean_(static_cast<T>(task.moments.center)),
        loops_(loss_loops<T>(settings_.loss, loss_parameter(settings_, task.moments), task.train.weights == nullptr)),
        mass_(rating_mass(task.train, settings_.loss, task.moments.deviation)),
        users_(task.factors.user_factors, task.factors.user_biases, terms(true), settings_.n_threads),
        items_(task.factors.item_factors, task.factors.item_biases, terms(false), settings_.n_threads),
        runs_(task.train, settings_.n_threads),
        pass_(task.train, loops_, users_.stride(), settings_.n_threads, &runs_.impl()) {}

 protected:
  /// Both sides' gradients of loss and smooth penalty; returns the loss.
  double differentiate() {
    const double loss = pass_(users_.matrix(), items_.matrix(), mean_, users_.gradient(), items_.gradient());
    users_.complete_gradient();
    items_.complete_gradient();
    return loss;
  }

  /// Writes the sides' parameters to the caller's arrays.
  void publish() {
    users_.publish();
    items_.publish();
  }

  const T* weights_from(Index i) const { return task_.train.weights != nullptr ? task_.train.weights + i : nullptr; }

  const FitTask<T>& task_;
  const Settings& settings_;
  T mean_;
  LossLoops<T> loops_;

 private:
  SideTerms terms(bool is_user) const {
    const auto& train = task_.train;
    const auto of = [&](const PerSide& value) { return is_user ? value.user : value.item; };
    SideTerms terms;
    terms.is_user = is_user;
    terms.regularization = of(*settings_.regularization);
    terms.l1_regularization = of(settings_.l1_regularization);
    terms.bias_regularization = of(*settings_.bias_regularization);
    terms.masses = is_user ? mass_.users : mass_.items;
    terms.total_mass = mass_.total;
    terms.nonnegative = settings_.nonnegative;
    terms.least_bias = least_bias(settings_.loss, task_.moments.center);
    if (is_user) {
      terms.weights = count_weights(train.offsets, train.n_users, settings_.regularization_exponent);
    } else {
      std::vector<Index> offsets(static_cast<std::size_t>(train.n_items) + 1);
      for (Index i = 0; i < train.nnz(); ++i) ++offsets[static_cast<std::size_t>(train.items[i]) + 1];
      for (std::size_t m = 1; m < offsets.size(); ++m) offsets[m] += offsets[m - 1];
      terms.weights = count_weights(offsets.data(), train.n_items, settings_.regularization_exponent);
    }
    return terms;
  }

  RatingMass mass_;

 protected:
  SideOf<T> users_, items_;

 private:
  ItemRuns runs_;
  GradientPass<T> pass_;
};

}  // namespace matfac::batch
