#include "matfac/fit.hpp"

#include <cmath>

#include "core/parallel.hpp"
#include "core/validate.hpp"
#include "matfac/model.hpp"
#include "solvers/initialize.hpp"
#include "solvers/loss_loops.hpp"
#include "solvers/resolve.hpp"
#include "solvers/solvers.hpp"

namespace matfac {
namespace {

template <class T>
void validate_fit(const RatingsView<T>& train, const Settings& settings, const FactorsView<T>& factors,
                  const RatingsView<T>* eval) {
  validate(settings);
  validate(train, settings.n_threads);
  require(train.nnz() > 0, "there are no ratings to fit (", train.n_users, " users, ", train.n_items, " items)");
  validate_for_loss(train, settings);
  require_shape("user_factors", factors.user_factors, train.n_users, settings.n_factors);
  require_shape("item_factors", factors.item_factors, train.n_items, settings.n_factors);
  require_length("user_biases", factors.user_biases, settings.biases ? train.n_users : 0);
  require_length("item_biases", factors.item_biases, settings.biases ? train.n_items : 0);
  require(!settings.early_stopping || (eval != nullptr && eval->nnz() > 0),
          "early_stopping needs held-out ratings to watch: give an eval set with at least one rating");
  if (eval != nullptr) {
    require(eval->n_users == train.n_users && eval->n_items == train.n_items, "the eval set has shape (", eval->n_users,
            ", ", eval->n_items, "), expected that of the training ratings, (", train.n_users, ", ", train.n_items,
            ")");
    validate(*eval, settings.n_threads);
    validate_for_loss(*eval, settings);
    require(eval->nnz() == 0 || total_weight(*eval, settings.n_threads) > 0,
            "all weights of the eval set are 0: there is nothing to measure");
  }
  if (settings.init == Init::given) {
    constexpr const char* kRule = ": the given start must be finite";
    require_finite("user_factors", factors.user_factors, kRule, settings.n_threads);
    require_finite("item_factors", factors.item_factors, kRule, settings.n_threads);
    require_finite("user_biases", factors.user_biases, kRule, settings.n_threads);
    require_finite("item_biases", factors.item_biases, kRule, settings.n_threads);
  }
}

}  // namespace

std::string_view name_of(StopReason reason) {
  switch (reason) {
    case StopReason::max_iter: return "max_iter";
    case StopReason::converged: return "converged";
    case StopReason::early_stopping: return "early_stopping";
    case StopReason::cancelled: return "cancelled";
  }
  throw InvalidArgument(message("unknown stop reason number ", static_cast<int>(reason)));
}

template <class T>
FitReport fit(const RatingsView<T>& train, const Settings& given, const FactorsView<T>& factors,
              const RatingsView<T>* eval, const OnIteration& on_iteration) {
  validate_fit(train, given, factors, eval);
  const auto moments = rating_moments(train, given);
  const Settings settings = resolve(given, moments);
  Monitor<T> monitor(settings, factors, eval, on_iteration, moments);
  if (settings.init == Init::random) initialize(factors, settings);
  clear_unrated(train, factors);
  const FitTask<T> task{train, settings, factors, moments, monitor};
  switch (settings.solver) {
    case Solver::als: return fit_als(task);
    case Solver::sgd: return is_pairwise_loss(settings.loss) ? fit_pairwise(task) : fit_sgd(task);
    case Solver::batch: return fit_batch(task);
    case Solver::ccd: return fit_ccd(task);
  }
  throw InvalidArgument(message("unknown solver number ", static_cast<int>(settings.solver)));
}

template <class T>
Model<T> fit(const RatingsView<T>& train, const Settings& settings, const RatingsView<T>* eval,
             const OnIteration& on_iteration) {
  validate(settings);
  require(settings.init == Init::random,
          "a model of its own starts at random: use the fit on your own arrays to give them");
  Model<T> model;
  model.n_users = train.n_users;
  model.n_items = train.n_items;
  model.n_factors = settings.n_factors;
  const auto rows = static_cast<std::size_t>(train.n_users), columns = static_cast<std::size_t>(train.n_items);
  const auto n_factors = static_cast<std::size_t>(settings.n_factors);
  model.user_factors.resize(rows * n_factors);
  model.item_factors.resize(columns * n_factors);
  if (settings.biases) {
    model.user_biases.resize(rows);
    model.item_biases.resize(columns);
  }
  const FactorsView<T> factors{{model.user_factors.data(), model.n_users, model.n_factors},
                               {model.item_factors.data(), model.n_items, model.n_factors},
                               model.user_biases,
                               model.item_biases};
  model.report = fit(train, settings, factors, eval, on_iteration);
  model.global_mean = model.report.global_mean;
  return model;
}

#define MATFAC_INSTANTIATE(T)                                                                      \
  template MATFAC_API FitReport fit(const RatingsView<T>&, const Settings&, const FactorsView<T>&, \
                                    const RatingsView<T>*, const OnIteration&);                    \
  template MATFAC_API Model<T> fit(const RatingsView<T>&, const Settings&, const RatingsView<T>*, const OnIteration&);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac
