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
// step. Derivatives beyond 3 standard deviations are damped (kernels/sgd.inl).
//
// The schedule (blocks.hpp) is fixed by the ratings, F and the seed: the same bits at any number of threads.
// Cost of an epoch: about 10F flop a rating. Memory: 8 bytes a rating (float), and the factors once more.
//
// R. Gemulla, P. Haas, E. Nijkamp, Y. Sismanis: Large-Scale Matrix Factorization with Distributed Stochastic Gradient
// Descent. KDD 2011 (blocks). W.-S. Chin, Y. Zhuang, Y.-C. Juan, C.-J. Lin: A Learning-rate Schedule for Stochastic
// Gradient Methods to Matrix Factorization. PAKDD 2015 (rates by row).

#include <algorithm>
#include <cmath>

#include "core/sum.hpp"
#include "regularizers/l2.hpp"
#include "solvers/sgd/descent.hpp"
#include "solvers/solvers.hpp"

namespace matfac {
namespace {

constexpr double kFactorDecay = 1.0 / 50;
constexpr double kBiasDecay = 1.0;
constexpr double kDampingThreshold = 3;

/// The rates of one side's rows.
template <class T>
class Schedule {
 public:
  Schedule(sgd::Rows<T>& rows, std::vector<Index> counts, const Settings& settings, double regularization,
           double bias_regularization)
      : rows_(rows),
        counts_(std::move(counts)),
        biases_(settings.biases),
        learning_rate_(settings.learning_rate),
        regularization_(regularization),
        bias_regularization_(bias_regularization) {
    per_rating_.reserve(counts_.size());
    for (const Index n : counts_) {
      per_rating_.push_back(
          n > 0 ? static_cast<T>(count_weight(n, settings.regularization_exponent) / static_cast<double>(n)) : T(0));
    }
  }

  /// Sets the rates of rows [begin, end) for the time T, in epochs.
  void set(Index begin, Index end, double time) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const double steps = static_cast<double>(counts_[i]) * time;
      const double rate = learning_rate_ / std::sqrt(1 + kFactorDecay * steps);
      const double bias_rate = biases_ ? learning_rate_ / std::sqrt(1 + kBiasDecay * steps) : 0;
      const double shrink = 1 / (1 + rate * regularization_ * static_cast<double>(per_rating_[i]));
      const double bias_shrink = 1 / (1 + bias_rate * bias_regularization_ * static_cast<double>(per_rating_[i]));
      auto& row = rows_.rows[i];
      row.rate = static_cast<T>(rate * shrink);
      row.shrink = static_cast<T>(shrink);
      row.bias_rate = static_cast<T>(bias_rate * bias_shrink);
      row.bias_shrink = static_cast<T>(bias_shrink);
    }
  }

  /// 1/2 sum w (regularization |x|^2 + bias_regularization b^2), in standardized units.
  double penalty(int n_threads) const {
    const Index stride = rows_.stride;
    return 0.5 * chunked_sum(static_cast<Index>(counts_.size()), 4096, n_threads, [&](Index begin, Index end) {
             double total = 0;
             for (Index i = begin; i < end; ++i) {
               const auto k = static_cast<std::size_t>(i);
               double squares = 0;
               for (Index f = 0; f < stride; ++f) {
                 const double x = static_cast<double>(rows_.factors[i * stride + f]);
                 squares += x * x;
               }
               const double b = static_cast<double>(rows_.rows[k].bias);
               total += static_cast<double>(counts_[k]) * static_cast<double>(per_rating_[k]) *
                        (regularization_ * squares + bias_regularization_ * b * b);
             }
             return total;
           });
  }

 private:
  sgd::Rows<T>& rows_;
  std::vector<Index> counts_;
  std::vector<T> per_rating_;  // w / n
  bool biases_;
  double learning_rate_, regularization_, bias_regularization_;
};

template <class T>
class SgdFit {
 public:
  explicit SgdFit(const FitTask<T>& task)
      : task_(task),
        settings_(task.settings),
        deviation_(task.moments.deviation),
        factor_scale_(static_cast<T>(1 / std::sqrt(deviation_))),
        bias_scale_(static_cast<T>(1 / deviation_)),
        blocks_(sgd::make_blocks<T>(task.train, padded<T>(settings_.n_factors) * static_cast<Index>(sizeof(T)),
                                    static_cast<T>(task.moments.center), bias_scale_, settings_.seed,
                                    settings_.n_threads)),
        users_(task.factors.user_factors, task.factors.user_biases, blocks_.user_at, factor_scale_, bias_scale_,
               settings_.n_threads),
        items_(task.factors.item_factors, task.factors.item_biases, blocks_.item_at, factor_scale_, bias_scale_,
               settings_.n_threads),
        user_schedule_(users_, user_counts(), settings_, settings_.regularization->user / deviation_,
                       settings_.bias_regularization->user),
        item_schedule_(items_, item_counts(), settings_, settings_.regularization->item / deviation_,
                       settings_.bias_regularization->item) {}

  FitReport run() {
    const auto publish = [this] {
      users_.publish(task_.factors.user_factors, task_.factors.user_biases, blocks_.user_at, factor_scale_, bias_scale_,
                     settings_.n_threads);
      items_.publish(task_.factors.item_factors, task_.factors.item_biases, blocks_.item_at, factor_scale_, bias_scale_,
                     settings_.n_threads);
    };
    const double unit = deviation_ * deviation_;
    double loss = 0;
    std::int64_t epoch = 0;
    do {
      loss = run_epoch(epoch++);
    } while (task_.monitor(
        unit * loss, unit * (user_schedule_.penalty(settings_.n_threads) + item_schedule_.penalty(settings_.n_threads)),
        publish));
    return task_.monitor.finish(publish);
  }

 private:
  double run_epoch(std::int64_t epoch) {
    const auto order = sgd::epoch_order(blocks_.n_rows(), blocks_.n_columns(), settings_.seed, epoch);
    // In the first epoch the rates fall so fast that each block sets them anew; later once an epoch is enough.
    if (epoch > 0) {
      const double time = static_cast<double>(epoch) + 0.5;
      const auto set_all = [&](Schedule<T>& schedule, Index n) {
        parallel_chunks(n, 1024, settings_.n_threads,
                        [&](Index begin, Index end, int) { schedule.set(begin, end, time); });
      };
      set_all(user_schedule_, task_.train.n_users);
      set_all(item_schedule_, task_.train.n_items);
    }
    const auto before = [&](Block block, Index position) {
      if (epoch > 0) return;
      const double time = (static_cast<double>(position) + 0.5) / static_cast<double>(order.size());
      const auto row = static_cast<std::size_t>(block.row), column = static_cast<std::size_t>(block.column);
      user_schedule_.set(blocks_.user_bounds[row], blocks_.user_bounds[row + 1], time);
      item_schedule_.set(blocks_.item_bounds[column], blocks_.item_bounds[column + 1], time);
    };
    return sgd::run_blocks(blocks_, order, users_, items_, kernels<T>().losses[static_cast<int>(settings_.loss)],
                           static_cast<T>(kDampingThreshold), settings_.n_threads, before);
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
  sgd::Blocks<T> blocks_;
  sgd::Rows<T> users_, items_;
  Schedule<T> user_schedule_, item_schedule_;
};

}  // namespace

template <class T>
FitReport fit_sgd(const FitTask<T>& task) {
  return SgdFit<T>(task).run();
}

template FitReport fit_sgd(const FitTask<float>&);
template FitReport fit_sgd(const FitTask<double>&);

}  // namespace matfac
