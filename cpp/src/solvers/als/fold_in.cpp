// Half a sweep of ALS over new users' rows, each solved exactly where the loss is quadratic.

#include <vector>

#include "solvers/als/solve_rows.hpp"
#include "solvers/loss_loops.hpp"
#include "solvers/row_finder.hpp"

namespace matfac::als {
namespace {

/// Steps that approach a row's minimizer where none reaches it, from a row of zeros: each a parabola above another
/// loss, or a block sweep or a run of conjugate gradients.
constexpr int kFoldInSteps = 30;

/// The loss's parameter; `huber_threshold` holds the scale of the ratings where the caller did not choose it.
double fold_in_parameter(const Settings& settings) {
  const double scale = settings.huber_threshold.value_or(1.0);
  if (settings.loss == Loss::hinge) return 1e-3;
  return settings.loss == Loss::huber ? scale : settings.loss == Loss::absolute ? 1e-3 * scale : 0.0;
}

template <class T>
class AlsRowFinder final : public RowFinder<T> {
 public:
  AlsRowFinder(const ModelView<T>& model, const Settings& settings, int n_threads)
      : model_(model), settings_(settings), method_(method_of<T>(settings)) {
    method_.row_solver = RowSolver::cholesky;
    method_.l1_regularization = settings.l1_regularization.user;
    method_.majorizers = kFoldInSteps;
    if (settings.loss == Loss::implicit_squared) {
      const MatrixView<const T> V = model.item_factors;
      gram_ = gram_matrix<T>(V.data, V.cols, V.rows, V.cols, n_threads);
      method_.gram = &gram_;
    } else if (settings.loss != Loss::squared) {
      loops_ = loss_loops<T>(settings.loss, fold_in_parameter(settings), false);
      method_.loss = &loops_.loss;
    }
  }

  void find(const RatingsView<T>& ratings, MatrixView<T> user_factors, std::span<T> user_biases,
            int n_threads) const override {
    const MatrixView<const T> V = model_.item_factors;
    const T* const item_biases = model_.item_biases.empty() ? nullptr : model_.item_biases.data();
    solve_rows<T>(ratings, 0, ratings.n_users, {V.data, V.cols, false, item_biases, static_cast<T>(model_.global_mean)},
                  {user_factors.data, user_factors.cols, user_factors.cols,
                   user_biases.empty() ? nullptr : user_biases.data(), settings_.regularization->user,
                   settings_.biases ? settings_.bias_regularization->user : 0.0, settings_.regularization_exponent},
                  n_threads, method_);
  }

 private:
  ModelView<T> model_;
  Settings settings_;
  std::vector<double> gram_;
  LossLoops<T> loops_{};
  Method<T> method_;  // points to the two above
};

}  // namespace

template <class T>
std::unique_ptr<const RowFinder<T>> row_finder(const ModelView<T>& model, const Settings& settings, int n_threads) {
  return std::make_unique<const AlsRowFinder<T>>(model, settings, n_threads);
}

template std::unique_ptr<const RowFinder<float>> row_finder(const ModelView<float>&, const Settings&, int);
template std::unique_ptr<const RowFinder<double>> row_finder(const ModelView<double>&, const Settings&, int);

}  // namespace matfac::als
