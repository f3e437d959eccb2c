#pragma once

#include "matfac/fit.hpp"
#include "solvers/monitor.hpp"
#include "solvers/resolve.hpp"

namespace matfac {

/// What `fit` hands to a solver, checked and initialized. A solver updates `factors` and calls the monitor after each
/// iteration, until it says stop.
template <class T>
struct FitTask {
  const RatingsView<T>& train;
  const Settings& settings;
  const FactorsView<T>& factors;
  const RatingMoments& moments;
  Monitor<T>& monitor;
};

template <class T>
FitReport fit_als(const FitTask<T>& task);
template <class T>
FitReport fit_batch(const FitTask<T>& task);
template <class T>
FitReport fit_ccd(const FitTask<T>& task);
template <class T>
FitReport fit_sgd(const FitTask<T>& task);
/// sgd for losses of pairs of items.
template <class T>
FitReport fit_pairwise(const FitTask<T>& task);

}  // namespace matfac
