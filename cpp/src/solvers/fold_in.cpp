// The door to fold-in: what all families of rows have in common.

#include <algorithm>

#include "core/validate.hpp"
#include "matfac/model.hpp"
#include "matfac/recommender.hpp"
#include "solvers/loss_loops.hpp"
#include "solvers/resolve.hpp"
#include "solvers/row_finder.hpp"

namespace matfac {
namespace {

template <class T>
std::unique_ptr<const RowFinder<T>> row_finder_for(const ModelView<T>& model, const Settings& settings, int n_threads) {
  if (is_pairwise_loss(settings.loss)) return pairwise::row_finder(model, settings);
  if (settings.loss == Loss::kullback_leibler) return ccd::row_finder(model, settings);
  return als::row_finder(model, settings, n_threads);
}

}  // namespace

template <class T>
struct FoldIn<T>::Impl {
  Settings settings;
  Index n_items, n_factors;
  std::unique_ptr<const RowFinder<T>> finder;
};

template <class T>
FoldIn<T>::FoldIn(const ModelView<T>& model, const Settings& settings, int n_threads) {
  require(settings.biases == !model.item_biases.empty(), "settings.biases does not agree with the model");
  Settings checked = settings;  // a row does not depend on the solver
  checked.solver = settings.loss == Loss::implicit_squared ? Solver::als : Solver::sgd;
  validate(checked);
  require(settings.regularization && (settings.bias_regularization || !settings.biases),
          "fold_in needs the regularization that the model was fitted with: pass the settings of the fit's report");
  require(settings.confidence_scale || settings.loss != Loss::implicit_squared,
          "fold_in needs the confidence_scale that the model was fitted with: pass the settings of the fit's report");
  impl_ = std::make_shared<const Impl>(
      Impl{settings, model.item_factors.rows, model.item_factors.cols, row_finder_for(model, settings, n_threads)});
}

template <class T>
void FoldIn<T>::operator()(const RatingsView<T>& ratings, MatrixView<T> user_factors, std::span<T> user_biases,
                           int n_threads) const {
  require(impl_ != nullptr, "this FoldIn holds no model: it was moved from");
  const Settings& settings = impl_->settings;
  validate(ratings, n_threads);
  require(ratings.n_items == impl_->n_items, "the ratings have ", ratings.n_items, " items, the model has ",
          impl_->n_items);
  require_shape("user_factors", user_factors, ratings.n_users, impl_->n_factors);
  require_length("user_biases", user_biases, settings.biases ? ratings.n_users : 0);
  Settings own = settings;
  own.n_threads = n_threads;
  validate_for_loss(ratings, own);
  std::fill_n(user_factors.data, user_factors.size(), T(0));
  std::fill(user_biases.begin(), user_biases.end(), T(0));
  impl_->finder->find(ratings, user_factors, user_biases, n_threads);
}

template <class T>
void fold_in(const ModelView<T>& model, const Settings& settings, const RatingsView<T>& ratings,
             MatrixView<T> user_factors, std::span<T> user_biases, int n_threads) {
  FoldIn<T>(model, settings, n_threads)(ratings, user_factors, user_biases, n_threads);
}

#define MATFAC_INSTANTIATE(T)                                                                                  \
  template class MATFAC_API FoldIn<T>;                                                                         \
  template MATFAC_API void fold_in(const ModelView<T>&, const Settings&, const RatingsView<T>&, MatrixView<T>, \
                                   std::span<T>, int);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac
