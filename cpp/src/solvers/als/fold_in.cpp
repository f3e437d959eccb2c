#include <algorithm>

#include "core/validate.hpp"
#include "matfac/model.hpp"
#include "solvers/als/solve_rows.hpp"
#include "solvers/loss_loops.hpp"
#include "solvers/resolve.hpp"

namespace matfac {

namespace {

/// Steps that approach a row's minimizer where none reaches it, from a row of zeros: each a parabola above another
/// loss, or a block sweep or a run of conjugate gradients.
constexpr int kFoldInSteps = 30;

/// The loss's parameter; `huber_threshold` holds the scale of the ratings where the caller did not choose it.
double fold_in_parameter(const Settings& settings) {
  const double scale = settings.huber_threshold.value_or(1.0);
  return settings.loss == Loss::huber ? scale : settings.loss == Loss::absolute ? 1e-3 * scale : 0.0;
}

}  // namespace

// Half a sweep of ALS over the new users' rows, each solved exactly where the loss is quadratic.
template <class T>
void fold_in(const ModelView<T>& model, const Settings& settings, const RatingsView<T>& ratings,
             MatrixView<T> user_factors, std::span<T> user_biases, int n_threads) {
  const std::vector<Loss> supported = losses_of(Solver::als);
  require(std::find(supported.begin(), supported.end(), settings.loss) != supported.end(),
          "fold_in solves rows as solver 'als' does, which does not support loss '", name_of(settings.loss), "'");
  require(settings.biases == !model.item_biases.empty(), "settings.biases does not agree with the model");
  validate(settings);
  require(settings.regularization && (settings.bias_regularization || !settings.biases),
          "fold_in needs the regularization that the model was fitted with: pass the settings of the fit's report");
  validate(ratings, n_threads);
  require(ratings.n_items == model.item_factors.rows, "the ratings have ", ratings.n_items, " items, the model has ",
          model.item_factors.rows);
  require_shape("user_factors", user_factors, ratings.n_users, model.item_factors.cols);
  require_length("user_biases", user_biases, settings.biases ? ratings.n_users : 0);
  validate_for_loss(ratings, settings);
  auto method = als::method_of<T>(settings);
  method.row_solver = RowSolver::cholesky;
  method.l1_regularization = settings.l1_regularization.user;
  method.majorizers = kFoldInSteps;
  LossLoops<T> loops{};
  std::vector<double> gram;
  if (settings.loss == Loss::implicit_squared) {
    gram = als::gram_matrix<T>(model.item_factors.data, model.item_factors.cols, model.item_factors.rows,
                               model.item_factors.cols, n_threads);
    method.gram = &gram;
  } else if (settings.loss != Loss::squared) {
    loops = loss_loops<T>(settings.loss, fold_in_parameter(settings), false);
    method.loss = &loops.loss;
  }
  std::fill_n(user_factors.data, user_factors.size(), T(0));
  std::fill(user_biases.begin(), user_biases.end(), T(0));
  als::solve_rows<T>(
      ratings, 0, ratings.n_users,
      {model.item_factors.data, model.item_factors.cols, model.item_biases.data(), static_cast<T>(model.global_mean)},
      {user_factors.data, user_factors.cols, user_factors.cols, user_biases.data(), settings.regularization->user,
       settings.biases ? settings.bias_regularization->user : 0.0, settings.regularization_exponent},
      n_threads, method);
}

template MATFAC_API void fold_in(const ModelView<float>&, const Settings&, const RatingsView<float>&, MatrixView<float>,
                                 std::span<float>, int);
template MATFAC_API void fold_in(const ModelView<double>&, const Settings&, const RatingsView<double>&,
                                 MatrixView<double>, std::span<double>, int);

}  // namespace matfac
