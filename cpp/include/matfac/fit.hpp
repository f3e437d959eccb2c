#pragma once

#include <functional>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "matfac/export.hpp"
#include "matfac/ratings.hpp"
#include "matfac/settings.hpp"
#include "matfac/types.hpp"

namespace matfac {

/// The parameters of a model, owned by the caller; `fit` updates them where they lie.
template <class T>
struct FactorsView {
  MatrixView<T> user_factors;  ///< n_users x F
  MatrixView<T> item_factors;  ///< n_items x F
  std::span<T> user_biases;    ///< n_users entries, or none without biases
  std::span<T> item_biases;    ///< n_items entries, or none without biases
};

/// What is known after an iteration.
struct Iteration {
  int iteration = 0;      ///< from 1
  double objective = 0;   ///< loss + regularization (sgd: the loss is measured during the epoch, before each update)
  double train_loss = 0;  ///< the mean loss of a rating, from the same
  double eval_loss = std::numeric_limits<double>::quiet_NaN();   ///< on the held-out ratings, when given
  double train_rmse = std::numeric_limits<double>::quiet_NaN();  ///< with the squared loss: sqrt(2 train_loss)
  double eval_rmse = std::numeric_limits<double>::quiet_NaN();   ///< with the squared loss: sqrt(2 eval_loss)
  double seconds = 0;  ///< since the start of the fit, preparation and evaluations included
};

enum class StopReason {
  max_iter,        ///< all iterations were run
  converged,       ///< the objective fell by less than `tol`
  early_stopping,  ///< the held-out error no longer fell; the factors are those of the best iteration
  cancelled,       ///< the caller asked to stop; the factors are those of the last whole iteration
};

/// Its name in Python and in the model file.
MATFAC_API std::string_view name_of(StopReason reason);

struct FitReport {
  Settings settings;       ///< as they were used, nothing left open
  double global_mean = 0;  ///< mu
  int n_iter = 0;          ///< iterations that were run
  int best_iteration = 0;  ///< the iteration whose factors are returned
  StopReason stop_reason = StopReason::max_iter;
  std::vector<Iteration> history;
};

/// Called after each iteration, on the calling thread; returns false to stop the fit.
using OnIteration = std::function<bool(const Iteration&)>;

/// Factorizes `train`. `eval`, when not null, has the shape of `train` and is measured after each iteration.
///
/// Throws InvalidArgument before any work (settings, shapes, empty or malformed ratings) and DivergenceError, with the
/// iteration and the remedy, when the objective is no longer finite; the factors are then not to be used.
/// The result depends on the data and the settings alone, never on the number of threads.
/// Memory beyond the arguments: `als` and `ccd` at most 12 bytes a rating (float), `sgd` 8, `batch` that of `ItemRuns`
/// (5 for the usual ratings) and 12 more with losses other than the squared one; plus copies of the factors.
template <class T>
MATFAC_API FitReport fit(const RatingsView<T>& train, const Settings& settings, const FactorsView<T>& factors,
                         const RatingsView<T>* eval = nullptr, const OnIteration& on_iteration = {});

}  // namespace matfac
