// The public epoch of plain stochastic steps, and the order in which it takes the ratings.

#include <cmath>

#include "core/validate.hpp"
#include "matfac/operations.hpp"
#include "matfac/settings.hpp"
#include "solvers/stochastic/descent.hpp"

namespace matfac {
namespace {

void require_epoch(std::int64_t epoch) { require(epoch >= 0, "epoch must be at least 0, not ", epoch); }

}  // namespace

template <class T>
double sgd_epoch(const RatingsView<T>& ratings, MatrixView<T> user_factors, MatrixView<T> item_factors,
                 double learning_rate, std::uint64_t seed, std::int64_t epoch, int n_threads) {
  require(std::isfinite(learning_rate), "learning_rate must be finite, not ", learning_rate);
  require_epoch(epoch);
  require_factors(ratings, user_factors, item_factors);
  require_apart({"user_factors", user_factors}, {{"item_factors", item_factors}, {"R", ratings}});
  const auto blocks = stochastic::make_blocks<T>(ratings, T(0), T(1), seed, n_threads);
  stochastic::Rows<T> users(user_factors, {}, blocks.user_at, T(1), T(1), n_threads);
  stochastic::Rows<T> items(item_factors, {}, blocks.item_at, T(1), T(1), n_threads);
  for (auto& row : users.rows) row.rate = static_cast<T>(learning_rate);
  for (auto& row : items.rows) row.rate = static_cast<T>(learning_rate);
  const double total = stochastic::run_blocks(
      blocks, stochastic::epoch_order(blocks.n_rows(), blocks.n_columns(), seed, epoch), users, items,
      {loss_loops<T>(Loss::squared, 0, ratings.weights == nullptr)}, n_threads, [](Block, Index) {});
  users.publish(user_factors, {}, blocks.user_at, T(1), T(1), n_threads);
  items.publish(item_factors, {}, blocks.item_at, T(1), T(1), n_threads);
  return total;
}

template <class T>
std::vector<Index> sgd_order(const RatingsView<T>& ratings, std::uint64_t seed, std::int64_t epoch, int n_threads) {
  require_epoch(epoch);
  // The same layout with the entries' numbers in the place of their values.
  std::vector<double> numbers(static_cast<std::size_t>(ratings.nnz()));
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<double>(i);
  const RatingsView<double> numbered{{ratings.n_users, ratings.n_items, ratings.offsets, ratings.items},
                                     numbers.data()};
  const auto blocks = stochastic::make_blocks<double>(numbered, 0, 1, seed, n_threads);
  std::vector<Index> order;
  order.reserve(numbers.size());
  for (const Block block : stochastic::epoch_order(blocks.n_rows(), blocks.n_columns(), seed, epoch)) {
    const auto at = static_cast<std::size_t>(block.row * blocks.n_columns() + block.column);
    const Index begin = blocks.offsets[at], n = blocks.offsets[at + 1] - begin, strip = n / kSgdStrips;
    const auto take = [&](Index i) {
      order.push_back(static_cast<Index>(blocks.values[static_cast<std::size_t>(begin + i)]));
    };
    for (Index i = 0; i < kSgdStrips * strip; ++i) take(i % kSgdStrips * strip + i / kSgdStrips);
    for (Index i = kSgdStrips * strip; i < n; ++i) take(i);
  }
  return order;
}

#define MATFAC_INSTANTIATE(T)                                                                                      \
  template MATFAC_API double sgd_epoch(const RatingsView<T>&, MatrixView<T>, MatrixView<T>, double, std::uint64_t, \
                                       std::int64_t, int);                                                         \
  template MATFAC_API std::vector<Index> sgd_order(const RatingsView<T>&, std::uint64_t, std::int64_t, int);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac
