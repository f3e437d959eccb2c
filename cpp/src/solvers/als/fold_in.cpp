#include "core/validate.hpp"
#include "matfac/model.hpp"
#include "solvers/als/solve_rows.hpp"

namespace matfac {

// Half a sweep of ALS over the new users' rows.
template <class T>
void fold_in(const ModelView<T>& model, const Settings& settings, const RatingsView<T>& ratings,
             MatrixView<T> user_factors, std::span<T> user_biases, int n_threads) {
  require(settings.loss == Loss::squared, "fold_in supports loss 'squared', not '", name_of(settings.loss), "'");
  require(settings.biases == !model.item_biases.empty(), "settings.biases does not agree with the model");
  validate(settings);
  require(settings.regularization && (settings.bias_regularization || !settings.biases),
          "fold_in needs the regularization that the model was fitted with: pass the settings of the fit's report");
  validate(ratings, n_threads);
  require(ratings.n_items == model.item_factors.rows, "the ratings have ", ratings.n_items, " items, the model has ",
          model.item_factors.rows);
  require_shape("user_factors", user_factors, ratings.n_users, model.item_factors.cols);
  require_length("user_biases", user_biases, settings.biases ? ratings.n_users : 0);
  als::solve_rows<T>(
      ratings, 0, ratings.n_users,
      {model.item_factors.data, model.item_factors.cols, model.item_biases.data(), static_cast<T>(model.global_mean)},
      {user_factors.data, user_factors.cols, user_factors.cols, user_biases.data(), settings.regularization->user,
       settings.biases ? settings.bias_regularization->user : 0.0, settings.regularization_exponent},
      n_threads);
}

template MATFAC_API void fold_in(const ModelView<float>&, const Settings&, const RatingsView<float>&, MatrixView<float>,
                                 std::span<float>, int);
template MATFAC_API void fold_in(const ModelView<double>&, const Settings&, const RatingsView<double>&,
                                 MatrixView<double>, std::span<double>, int);

}  // namespace matfac
