// Pairwise ranking by stochastic gradient descent: of an item that a user has rated and one that is not, the rated one
// should be estimated higher.
//
// For each rating (n, i) an item j that user n has not rated is drawn; with x = r_hat_ni - r_hat_nj and g the
// derivative of the loss by x (bpr: -1 / (1 + exp(x)); warp, where x < 1: minus the weight of the rank), times the
// rating's weight,
//   u_n := (u_n - eta_u g (v_i - v_j)) / (1 + eta_u lambda_U w_n / n_n)
//   v_i := (v_i - eta_i g u_n) / (1 + eta_i lambda_V w_i / m_i),   c_i := (c_i - nu_i g) / (1 + nu_i beta_V w_i / m_i)
//   v_j := (v_j + eta_j g u_n) / (1 + eta_j lambda_V w_j / m_j),   c_j likewise
// all rows as before the step. Users take n_n steps an epoch, one a rating; items m = n_i + (what is expected to be
// drawn of them: the number of ratings / n_items, or n_i if drawn by popularity), over which their penalty is spread.
// The rates are those of sgd: eta = learning_rate / sqrt(1 + m T / 50), nu = learning_rate / sqrt(1 + m T).
// The biases of users cancel and stay 0.
//
// warp draws until x < 1, at most `max_trials` times; the rank of i among the n_u items that the user has not rated is
// then about floor(n_u / trials), and the loss log(1 + rank) / log(1 + n_items) (1 - x).
//
// `compare_users` exchanges users and items. The schedule (layout.hpp) gives the same bits at any number of threads.
// Cost of an epoch: about 18F flop a rating (bpr). Memory: 4 bytes a rating, and the factors once more.
//
// S. Rendle, C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme: BPR: Bayesian Personalized Ranking from Implicit
// Feedback. UAI 2009. J. Weston, S. Bengio, N. Usunier: WSABIE. IJCAI 2011.

#include <memory>
#include <numeric>

#include "core/ordered_blocks.hpp"
#include "solvers/pairwise/held_out.hpp"
#include "solvers/pairwise/layout.hpp"
#include "solvers/pairwise/steps.hpp"
#include "solvers/solvers.hpp"
#include "solvers/stochastic/blocks.hpp"
#include "solvers/stochastic/schedule.hpp"

namespace matfac {
namespace {

/// `compare_users`: the same with users and items exchanged.
Settings exchanged(Settings settings) {
  for (auto* const value : {&*settings.regularization, &*settings.bias_regularization, &settings.l1_regularization}) {
    std::swap(value->user, value->item);
  }
  return settings;
}
template <class T>
FactorsView<T> exchanged(const FactorsView<T>& factors) {
  return {factors.item_factors, factors.user_factors, factors.item_biases, factors.user_biases};
}

template <class T>
class PairwiseFit {
 public:
  PairwiseFit(const RatingsView<T>& train, const RatingsView<T>* eval, const Settings& settings,
              const FactorsView<T>& factors, Monitor<T>& monitor)
      : train_(train),
        settings_(settings),
        factors_(factors),
        monitor_(monitor),
        layout_(train, padded<T>(settings.n_factors) * static_cast<Index>(sizeof(T)), settings),
        codes_(static_cast<std::size_t>(train.n_items)),
        users_(factors.user_factors, {}, layout_.user_at, T(1), T(1), settings.n_threads),
        items_(factors.item_factors, factors.item_biases, in_order(codes_), T(1), T(1), settings.n_threads),
        user_schedule_(
            users_, user_counts(), {}, settings.learning_rate, false,
            {settings.regularization->user, 0, settings.l1_regularization.user, settings.regularization_exponent}),
        item_schedule_(items_, layout_.item_counts, expected_negatives(), settings.learning_rate, settings.biases,
                       {settings.regularization->item, settings.bias_regularization->item,
                        settings.l1_regularization.item, settings.regularization_exponent}) {
    std::fill(factors.user_biases.begin(), factors.user_biases.end(), T(0));
    if (eval != nullptr && eval->nnz() > 0) {
      held_out_ = std::make_unique<pairwise::HeldOut<T>>(train, *eval, layout_.item_counts, settings);
    }
  }

  FitReport run() {
    const auto publish = [this] {
      users_.publish(factors_.user_factors, {}, layout_.user_at, T(1), T(1), settings_.n_threads);
      items_.publish(factors_.item_factors, factors_.item_biases, codes_, T(1), T(1), settings_.n_threads);
    };
    if (held_out_) monitor_.measure_by([this] { return held_out_->mean_loss(factors_); });
    double loss = 0;
    std::int64_t epoch = 0;
    do {
      loss = run_epoch(epoch++);
    } while (monitor_(loss, user_schedule_.penalty(settings_.n_threads) + item_schedule_.penalty(settings_.n_threads),
                      publish));
    return monitor_.finish(publish);
  }

 private:
  double run_epoch(std::int64_t number) {
    layout_.arrange(number);
    const double start = static_cast<double>(number);
    if (number > 0) user_schedule_.set_all(start + 0.5, settings_.n_threads);
    if (number > 0) item_schedule_.set_all(start + 0.5, settings_.n_threads);
    const auto order = stochastic::epoch_order(layout_.n_rows(), layout_.n_columns(), settings_.seed, number);
    std::vector<double> losses(order.size());
    const pairwise::Epoch<T> epoch{layout_, train_, settings_, number, users_, items_};
    run_ordered_blocks(
        order, layout_.n_rows(), layout_.n_columns(), settings_.n_threads, [&](Block block, Index position, int) {
          // In the first epoch the rates fall so fast that each block sets them anew.
          if (number == 0) set_rates(block, (static_cast<double>(position) + 0.5) / static_cast<double>(order.size()));
          losses[static_cast<std::size_t>(position)] = pairwise::run_block(epoch, block.row, block.column);
        });
    return std::accumulate(losses.begin(), losses.end(), 0.0);
  }

  void set_rates(Block block, double time) {
    const auto row = static_cast<std::size_t>(block.row), column = static_cast<std::size_t>(block.column);
    user_schedule_.set(layout_.user_bounds[row], layout_.user_bounds[row + 1], time);
    for (Index p = layout_.item_bounds[column]; p < layout_.item_bounds[column + 1]; ++p) {
      const Code m = layout_.item_at[static_cast<std::size_t>(p)];
      item_schedule_.set(m, m + 1, time);
    }
  }

  static const std::vector<Code>& in_order(std::vector<Code>& codes) {
    std::iota(codes.begin(), codes.end(), Code{0});
    return codes;
  }
  std::vector<Index> user_counts() const {
    std::vector<Index> counts;
    counts.reserve(layout_.user_at.size());
    for (const Code n : layout_.user_at) counts.push_back(train_.offsets[n + 1] - train_.offsets[n]);
    return counts;
  }
  std::vector<double> expected_negatives() const {
    if (settings_.negatives == Negatives::popularity) return {layout_.item_counts.begin(), layout_.item_counts.end()};
    const double each = static_cast<double>(train_.nnz()) / static_cast<double>(train_.n_items);
    return std::vector<double>(layout_.item_counts.size(), each);
  }

  const RatingsView<T>& train_;
  const Settings& settings_;
  const FactorsView<T>& factors_;
  Monitor<T>& monitor_;
  pairwise::Layout<T> layout_;
  std::vector<Code> codes_;  // 0, 1, ...: items lie as they are, for columns change with every epoch
  stochastic::Rows<T> users_, items_;
  stochastic::Schedule<T> user_schedule_, item_schedule_;
  std::unique_ptr<pairwise::HeldOut<T>> held_out_;
};

}  // namespace

template <class T>
FitReport fit_pairwise(const FitTask<T>& task) {
  const RatingsView<T>* const eval = task.monitor.eval();
  if (!task.settings.compare_users) {
    return PairwiseFit<T>(task.train, eval, task.settings, task.factors, task.monitor).run();
  }
  const int n_threads = task.settings.n_threads;
  const Ratings<T> train = transpose(task.train, n_threads);
  const Ratings<T> held_out = eval != nullptr ? transpose(*eval, n_threads) : Ratings<T>{};
  const RatingsView<T> train_view = train, held_out_view = held_out;
  const Settings settings = exchanged(task.settings);
  const FactorsView<T> factors = exchanged(task.factors);
  return PairwiseFit<T>(train_view, &held_out_view, settings, factors, task.monitor).run();
}

template FitReport fit_pairwise(const FitTask<float>&);
template FitReport fit_pairwise(const FitTask<double>&);

}  // namespace matfac
