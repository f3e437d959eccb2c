#include <algorithm>
#include <cmath>

#include "core/sum.hpp"
#include "regularizers/l2.hpp"
#include "solvers/sgd/descent.hpp"
#include "solvers/solvers.hpp"

namespace matfac {
namespace {

template <class T>
class SgdFit {
 public:
  explicit SgdFit(const FitTask<T>& task)
      : task_(task),
        settings_(task.settings),
        deviation_(deviation(task.train, task.global_mean, settings_.n_threads)),
        factor_scale_(static_cast<T>(1 / std::sqrt(deviation_))),
        bias_scale_(static_cast<T>(1 / deviation_)),
        blocks_(sgd::make_blocks<T>(task.train, padded<T>(settings_.n_factors) * static_cast<Index>(sizeof(T)),
                                    static_cast<T>(task.global_mean), bias_scale_, settings_.seed,
                                    settings_.n_threads)),
        users_(task.factors.user_factors, task.factors.user_biases, blocks_.user_at, factor_scale_, bias_scale_,
               settings_.n_threads),
        items_(task.factors.item_factors, task.factors.item_biases, blocks_.item_at, factor_scale_, bias_scale_,
               settings_.n_threads) {}

  FitReport run();

 private:
  static double deviation(const RatingsView<T>& train, double mean, int n_threads);

  const FitTask<T>& task_;
  const Settings& settings_;
  double deviation_;
  T factor_scale_, bias_scale_;
  sgd::Blocks<T> blocks_;
  sgd::Rows<T> users_, items_;
};

}  // namespace

template <class T>
FitReport fit_sgd(const FitTask<T>&) { return {}; }
template FitReport fit_sgd(const FitTask<float>&);
template FitReport fit_sgd(const FitTask<double>&);

}  // namespace matfac
