// Alternating least squares: with the items held fixed the objective is a separate least-squares problem for each user,
// and the other way round. Both halves of a sweep are solved exactly, so the objective never rises.
//
//   user n:  minimize over (u, b)  1/2 sum_m (r_nm - mu - c_m - b - v_m . u)^2 + 1/2 w_n (lambda_U |u|^2 + beta_U b^2)
//
// The bias is solved together with the factors, not after them (kernels/gram.inl). Cost of a sweep: nnz (2 F^2 + 8 F) +
// (N + M) F^3 / 3 flop; rows are solved in parallel and independently, hence the same bits at any number of threads.
//
// implicit_squared has the pairs that are not rated in one matrix, w_0 V^T V, which all users share:
//
//   user n:  minimize over u  1/2 w_0 u^T V^T V u + 1/2 sum_rated (w_0 + c r) (1 - v_m . u)^2 - 1/2 w_0 (v_m . u)^2 +
//   ...
//
// Other losses are lowered by a parabola above each rating's loss that touches it at the present estimate: a weighted
// least-squares problem, whose minimizer raises no row's objective. An absolute penalty and signs to keep are left to
// coordinate descent on the same system.
//
// Y. Hu, Y. Koren, C. Volinsky: Collaborative Filtering for Implicit Feedback Datasets. ICDM 2008. D. Hunter, K. Lange:
// A Tutorial on MM Algorithms. The American Statistician 58(1), 2004.
// Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan: Large-scale Parallel Collaborative Filtering for the Netflix Prize. AAIM
// 2008 (the count-weighted penalty is theirs).

#include "regularizers/l1.hpp"
#include "regularizers/l2.hpp"
#include "solvers/als/objective.hpp"
#include "solvers/als/solve_rows.hpp"
#include "solvers/loss_loops.hpp"
#include "solvers/solvers.hpp"

namespace matfac {
namespace {

template <class T>
class AlsFit {
 public:
  explicit AlsFit(const FitTask<T>& task)
      : task_(task),
        settings_(task.settings),
        by_item_(transpose(task.train, task.settings.n_threads)),
        users_(task.factors.user_factors, task.settings.n_threads, Access::anywhere),
        items_(task.factors.item_factors, task.settings.n_threads, Access::anywhere),
        user_weights_(count_weights(task.train.offsets, task.train.n_users, settings_.regularization_exponent)),
        item_weights_(count_weights(by_item_.offsets.data(), task.train.n_items, settings_.regularization_exponent)),
        method_(als::method_of<T>(settings_)),
        item_minima_(task.train.n_items),
        is_implicit_(settings_.loss == Loss::implicit_squared) {
    if (is_implicit_) {
      item_gram_ = gram(items_);
      task_.monitor.measure_by([this] { return held_out_loss(); });
    } else {
      loops_ = loss_loops<T>(settings_.loss, loss_parameter(settings_, task_.moments), task_.train.weights == nullptr);
      if (settings_.loss != Loss::squared) method_.loss = &loops_.loss;
    }
  }

  FitReport run() {
    const auto publish = [this] {
      users_.write_back(settings_.n_threads);
      items_.write_back(settings_.n_threads);
      if (is_implicit_) als::give_mean_rows(task_.train, task_.factors.user_factors);
    };
    do {
      solve_users();
      solve_items();
    } while (task_.monitor(loss(), penalties(), publish));
    return task_.monitor.finish(publish);
  }

 private:
  void solve_users() {
    method_.l1_regularization = settings_.l1_regularization.user;
    method_.gram = is_implicit_ ? &item_gram_ : nullptr;
    solve(task_.train, items_, item_biases(), users_, user_biases(), settings_.regularization->user,
          settings_.bias_regularization->user);
    if (is_implicit_) user_gram_ = gram(users_);
  }
  void solve_items() {
    method_.l1_regularization = settings_.l1_regularization.item;
    method_.gram = is_implicit_ ? &user_gram_ : nullptr;
    if (has_minima()) method_.minima = &item_minima_;
    solve(by_item_.view(), users_, user_biases(), items_, item_biases(), settings_.regularization->item,
          settings_.bias_regularization->item);
    method_.minima = nullptr;
    if (is_implicit_) item_gram_ = gram(items_);
  }

  void solve(const RatingsView<T>& ratings, const PaddedMatrix<T>& fixed, const T* fixed_biases,
             const PaddedMatrix<T>& target, T* target_biases, double regularization, double bias_regularization) {
    als::solve_rows<T>(ratings, 0, ratings.n_users,
                       {fixed.data(), fixed.stride(), true, fixed_biases, static_cast<T>(task_.moments.center)},
                       {target.data(), target.stride(), settings_.n_factors, target_biases, regularization,
                        bias_regularization, settings_.regularization_exponent},
                       settings_.n_threads, method_);
  }

  std::vector<double> gram(const PaddedMatrix<T>& factors) const {
    return als::gram_matrix<T>(factors.data(), factors.stride(), factors.rows(), settings_.n_factors,
                               settings_.n_threads);
  }

  /// The items' rows, being solved exactly, say what is left of the objective; only other rows need a pass.
  bool has_minima() const {
    return method_.loss == nullptr && method_.row_solver == RowSolver::cholesky && !method_.nonnegative &&
           settings_.l1_regularization.user == 0 && settings_.l1_regularization.item == 0;
  }

  double loss() {
    if (has_minima()) {
      const auto sum = [](const std::vector<double>& rows) {
        double total = 0;
        for (const double row : rows) total += row;
        return total;
      };
      // A difference of large numbers would lose digits.
      constexpr double kLeastShare = 0.05;
      const double least = sum(item_minima_.least) - item_penalty();
      if (least > kLeastShare * sum(item_minima_.at_zero)) return least;
    }
    const als::Pair<T> pair{users_.data(),   users_.stride(), items_.data(), items_.stride(),
                            users_.stride(), user_biases(),   item_biases(), static_cast<T>(task_.moments.center)};
    if (!is_implicit_) return als::loss(task_.train, pair, loops_, settings_.n_threads);
    return als::unrated_loss(user_gram_, item_gram_, settings_.unobserved_weight) +
           als::rated_loss(task_.train, pair, settings_);
  }

  /// The loss if the held-out pairs were what was chosen and those of the training were unknown, by their
  /// weight.
  double held_out_loss() const {
    const auto &users = task_.factors.user_factors, &items = task_.factors.item_factors;
    const RatingsView<T>& eval = *task_.monitor.eval();
    const als::Pair<T> pair{users.data, users.cols, items.data, items.cols, users.cols, nullptr, nullptr, T(0)};
    const auto gram_of = [&](const MatrixView<T>& factors) {
      return als::gram_matrix<T>(factors.data, factors.cols, factors.rows, factors.cols, settings_.n_threads);
    };
    const double w = settings_.unobserved_weight;
    const double others = als::unrated_loss(gram_of(users), gram_of(items), w) -
                          0.5 * w * als::sum_of_squares(task_.train, pair, settings_.n_threads);
    return (als::rated_loss(eval, pair, settings_) + others) / total_weight(eval, settings_.n_threads);
  }

  double item_penalty() {
    return penalty<T>(items_, item_biases(), item_weights_, settings_.regularization->item,
                      settings_.bias_regularization->item, settings_.n_threads);
  }

  double penalties() {
    return penalty<T>(users_, user_biases(), user_weights_, settings_.regularization->user,
                      settings_.bias_regularization->user, settings_.n_threads) +
           item_penalty() +
           absolute_penalty<T>(users_, user_weights_, settings_.l1_regularization.user, settings_.n_threads) +
           absolute_penalty<T>(items_, item_weights_, settings_.l1_regularization.item, settings_.n_threads);
  }

  T* user_biases() { return task_.factors.user_biases.data(); }
  T* item_biases() { return task_.factors.item_biases.data(); }

  const FitTask<T>& task_;
  const Settings& settings_;
  Ratings<T> by_item_;
  PaddedMatrix<T> users_, items_;
  std::vector<double> user_weights_, item_weights_;
  als::Method<T> method_;
  als::RowMinima item_minima_;
  bool is_implicit_;
  std::vector<double> user_gram_, item_gram_;
  LossLoops<T> loops_{};
};

}  // namespace

template <class T>
FitReport fit_als(const FitTask<T>& task) {
  return AlsFit<T>(task).run();
}

template FitReport fit_als(const FitTask<float>&);
template FitReport fit_als(const FitTask<double>&);

}  // namespace matfac
