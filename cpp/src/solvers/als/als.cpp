// Alternating least squares: with the items held fixed the objective is a separate least-squares problem for each user,
// and the other way round. Both halves of a sweep are solved exactly, so the objective never rises.
//
//   user n:  minimize over (u, b)  1/2 sum_m (r_nm - mu - c_m - b - v_m . u)^2 + 1/2 w_n (lambda_U |u|^2 + beta_U b^2)
//
// The bias is solved together with the factors, not after them (kernels/gram.inl). Cost of a sweep: nnz (2 F^2 + 8 F) +
// (N + M) F^3 / 3 flop; rows are solved in parallel and independently, hence the same bits at any number of threads.
//
// Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan: Large-scale Parallel Collaborative Filtering for the Netflix Prize. AAIM
// 2008 (the count-weighted penalty is theirs).

#include "core/sum.hpp"
#include "kernels/kernels.hpp"
#include "regularizers/l2.hpp"
#include "solvers/als/solve_rows.hpp"
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
        users_(task.factors.user_factors, task.settings.n_threads),
        items_(task.factors.item_factors, task.settings.n_threads),
        user_weights_(count_weights(task.train.offsets, task.train.n_users, settings_.regularization_exponent)),
        item_weights_(count_weights(by_item_.offsets.data(), task.train.n_items, settings_.regularization_exponent)) {}

  FitReport run() {
    const auto publish = [this] {
      users_.write_back(settings_.n_threads);
      items_.write_back(settings_.n_threads);
    };
    do {
      solve_users();
      solve_items();
    } while (task_.monitor(loss(), penalties(), publish));
    return task_.monitor.finish(publish);
  }

 private:
  void solve_users() {
    solve(task_.train, items_, item_biases(), users_, user_biases(), settings_.regularization->user,
          settings_.bias_regularization->user);
  }
  void solve_items() {
    solve(by_item_.view(), users_, user_biases(), items_, item_biases(), settings_.regularization->item,
          settings_.bias_regularization->item);
  }

  void solve(const RatingsView<T>& ratings, const PaddedMatrix<T>& fixed, const T* fixed_biases,
             const PaddedMatrix<T>& target, T* target_biases, double regularization, double bias_regularization) {
    als::solve_rows<T>(ratings, 0, ratings.n_users,
                       {fixed.data(), fixed.stride(), fixed_biases, static_cast<T>(task_.moments.center)},
                       {target.data(), target.stride(), settings_.n_factors, target_biases, regularization,
                        bias_regularization, settings_.regularization_exponent},
                       settings_.n_threads);
  }

  double loss() const {
    const auto& k = kernels<T>();
    const RatingsView<T>& train = task_.train;
    return chunked_sum(train.n_users, 256, settings_.n_threads, [&](Index begin, Index end) {
      double total = 0;
      for (Index n = begin; n < end; ++n) total += row_loss(k, train, n);
      return total;
    });
  }

  // The items' biases differ from rating to rating: they go to the values' side of the residual.
  double row_loss(const Kernels<T>& k, const RatingsView<T>& train, Index n) const {
    constexpr Index kChunk = 512;
    T targets[kChunk];
    const T* const biases = task_.factors.item_biases.data();
    const T offset = static_cast<T>(task_.moments.center) +
                     (biases != nullptr ? task_.factors.user_biases[static_cast<std::size_t>(n)] : T(0));
    double total = 0;
    for (Index start = train.offsets[n]; start < train.offsets[n + 1]; start += kChunk) {
      const Index count = std::min(kChunk, train.offsets[n + 1] - start);
      for (Index i = 0; i < count; ++i) {
        targets[i] = train.values[start + i] - (biases != nullptr ? biases[train.items[start + i]] : T(0));
      }
      total += k.losses[static_cast<int>(settings_.loss)].row_loss(users_.row(n), items_.data(), items_.stride(),
                                                                   train.items + start, targets, offset, count);
    }
    return total;
  }

  double penalties() {
    return penalty<T>(users_, user_biases(), user_weights_, settings_.regularization->user,
                      settings_.bias_regularization->user, settings_.n_threads) +
           penalty<T>(items_, item_biases(), item_weights_, settings_.regularization->item,
                      settings_.bias_regularization->item, settings_.n_threads);
  }

  T* user_biases() { return task_.factors.user_biases.data(); }
  T* item_biases() { return task_.factors.item_biases.data(); }

  const FitTask<T>& task_;
  const Settings& settings_;
  Ratings<T> by_item_;
  PaddedMatrix<T> users_, items_;
  std::vector<double> user_weights_, item_weights_;
};

}  // namespace

template <class T>
FitReport fit_als(const FitTask<T>& task) {
  return AlsFit<T>(task).run();
}

template FitReport fit_als(const FitTask<float>&);
template FitReport fit_als(const FitTask<double>&);

}  // namespace matfac
