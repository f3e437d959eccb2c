// Stochastic gradient descent with rates that depend on how much a row has learnt.
//
// The ratings are standardized, r' = (r - mu) / s, so that nothing below depends on their scale; with u' = u / sqrt(s),
// v' = v / sqrt(s), b' = b / s the objective divided by s^2 is the same one with lambda / s in the place of lambda.
// The penalty of a row with n ratings is spread over them: each step carries w / n of it, w = n^exponent.
//
// For each rating, with g the derivative of the loss (r_hat' - r' for squared) and both rows as before the step:
//   u := (u - eta_u g v) / (1 + eta_u lambda_u),   b := (b - nu_u g) / (1 + nu_u beta_u),   and v, c likewise.
// Dividing is the implicit form of the decay: it cannot overshoot, however large the penalty of a rare row.
// A row of n ratings has, after T epochs, taken about n T steps, and its rates are
//   eta = learning_rate / sqrt(1 + n T / 50),   nu = learning_rate / sqrt(1 + n T):
// like Adagrad's, but known beforehand: no accumulators, no dot products to feed them, one multiplication a row and
// step. Derivatives beyond 3 standard deviations are damped (kernels/sgd.inl). Other losses: see make_schedule.
//
// The order (stochastic/blocks.hpp) is fixed by the ratings and the seed: the same bits at any number of threads.
// Cost of an epoch: about 10F flop a rating. Memory: 8 bytes a rating (float), and the factors once more.
//
// R. Gemulla, P. Haas, E. Nijkamp, Y. Sismanis: Large-Scale Matrix Factorization with Distributed Stochastic Gradient
// Descent. KDD 2011 (blocks). W.-S. Chin, Y. Zhuang, Y.-C. Juan, C.-J. Lin: A Learning-rate Schedule for Stochastic
// Gradient Methods to Matrix Factorization. PAKDD 2015 (rates by row).

#include <algorithm>
#include <cmath>

#include "solvers/solvers.hpp"
#include "solvers/stochastic/schedule.hpp"

namespace matfac {
namespace {

constexpr double kDampingThreshold = 3;

template <class T>
class SgdFit {
 public:
  explicit SgdFit(const FitTask<T>& task)
      : task_(task),
        settings_(task.settings),
        deviation_(task.moments.deviation),
        factor_scale_(static_cast<T>(1 / std::sqrt(deviation_))),
        bias_scale_(static_cast<T>(1 / deviation_)),
        unit_(objective_unit(settings_.loss, deviation_)),
        shifts_values_(is_of_ratings(settings_.loss)),
        blocks_(stochastic::make_blocks<T>(task.train, shifts_values_ ? static_cast<T>(task.moments.center) : T(0),
                                           bias_scale_, settings_.seed, settings_.n_threads)),
        steps_(steps()),
        users_(task.factors.user_factors, task.factors.user_biases, blocks_.user_at, factor_scale_, bias_scale_,
               settings_.n_threads),
        items_(task.factors.item_factors, task.factors.item_biases, blocks_.item_at, factor_scale_, bias_scale_,
               settings_.n_threads),
        user_schedule_(make_schedule(users_, user_counts(), settings_.regularization->user,
                                     settings_.bias_regularization->user, settings_.l1_regularization.user)),
        item_schedule_(make_schedule(items_, item_counts(), settings_.regularization->item,
                                     settings_.bias_regularization->item, settings_.l1_regularization.item)) {}

  FitReport run() {
    const auto publish = [this] {
      users_.publish(task_.factors.user_factors, task_.factors.user_biases, blocks_.user_at, factor_scale_, bias_scale_,
                     settings_.n_threads);
      items_.publish(task_.factors.item_factors, task_.factors.item_biases, blocks_.item_at, factor_scale_, bias_scale_,
                     settings_.n_threads);
    };
    double loss = 0;
    std::int64_t epoch = 0;
    do {
      loss = run_epoch(epoch++);
    } while (task_.monitor(
        unit_ * loss,
        unit_ * (user_schedule_.penalty(settings_.n_threads) + item_schedule_.penalty(settings_.n_threads)), publish));
    return task_.monitor.finish(publish);
  }

 private:
  double run_epoch(std::int64_t epoch) {
    const auto order = stochastic::epoch_order(blocks_.n_rows(), blocks_.n_columns(), settings_.seed, epoch);
    // In the first epoch the rates fall so fast that each block sets them anew; later once an epoch is enough.
    if (epoch > 0) {
      const double time = static_cast<double>(epoch) + 0.5;
      user_schedule_.set_all(time, settings_.n_threads);
      item_schedule_.set_all(time, settings_.n_threads);
    }
    const auto before = [&](Block block, Index position) {
      if (epoch > 0) return;
      const double time = (static_cast<double>(position) + 0.5) / static_cast<double>(order.size());
      const auto row = static_cast<std::size_t>(block.row), column = static_cast<std::size_t>(block.column);
      user_schedule_.set(blocks_.user_bounds[row], blocks_.user_bounds[row + 1], time);
      item_schedule_.set(blocks_.item_bounds[column], blocks_.item_bounds[column + 1], time);
    };
    return stochastic::run_blocks(blocks_, order, users_, items_, steps_, settings_.n_threads, before);
  }

  /// Whether mu is subtracted from the ratings; otherwise it is added to the estimates.
  static bool is_of_ratings(Loss loss) {
    return loss == Loss::squared || loss == Loss::absolute || loss == Loss::huber;
  }

  stochastic::Steps<T> steps() const {
    const bool is_plain = task_.train.weights == nullptr && !settings_.nonnegative &&
                          settings_.l1_regularization.user == 0 && settings_.l1_regularization.item == 0;
    stochastic::Steps<T> steps{
        loss_loops<T>(settings_.loss, loss_parameter(settings_, task_.moments) / deviation_, is_plain)};
    if (!shifts_values_) steps.offset = static_cast<T>(task_.moments.center / deviation_);
    steps.damping_threshold = static_cast<T>(kDampingThreshold);
    if (settings_.nonnegative) steps.negative_part = 0;
    steps.least_bias = static_cast<T>(least_bias(settings_.loss, task_.moments.center) / deviation_);
    return steps;
  }

  /// The objective divided by its unit c has lambda s / c in the place of lambda, kappa sqrt(s) / c, beta s^2 / c.
  stochastic::Schedule<T> make_schedule(stochastic::Rows<T>& rows, const std::vector<Index>& counts,
                                        double regularization, double bias_regularization,
                                        double l1_regularization) const {
    const double s = deviation_, c = unit_;
    return {rows,
            counts,
            {},
            settings_.learning_rate,
            settings_.biases,
            {regularization * s / c, bias_regularization * s * s / c, l1_regularization * std::sqrt(s) / c,
             settings_.regularization_exponent}};
  }

  std::vector<Index> user_counts() const {
    std::vector<Index> counts;
    counts.reserve(blocks_.user_at.size());
    for (const Code n : blocks_.user_at) counts.push_back(task_.train.offsets[n + 1] - task_.train.offsets[n]);
    return counts;
  }
  std::vector<Index> item_counts() const {
    std::vector<Index> by_code(blocks_.item_at.size());
    for (Index i = 0; i < task_.train.nnz(); ++i) ++by_code[static_cast<std::size_t>(task_.train.items[i])];
    std::vector<Index> counts;
    counts.reserve(by_code.size());
    for (const Code m : blocks_.item_at) counts.push_back(by_code[static_cast<std::size_t>(m)]);
    return counts;
  }

  const FitTask<T>& task_;
  const Settings& settings_;
  double deviation_;
  T factor_scale_, bias_scale_;
  double unit_;
  bool shifts_values_;
  stochastic::Blocks<T> blocks_;
  stochastic::Steps<T> steps_;
  stochastic::Rows<T> users_, items_;
  stochastic::Schedule<T> user_schedule_, item_schedule_;
};

}  // namespace

template <class T>
FitReport fit_sgd(const FitTask<T>& task) {
  return SgdFit<T>(task).run();
}

template FitReport fit_sgd(const FitTask<float>&);
template FitReport fit_sgd(const FitTask<double>&);

}  // namespace matfac
