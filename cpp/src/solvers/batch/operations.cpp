#include "matfac/operations.hpp"

#include <cmath>

#include "core/sum.hpp"
#include "core/validate.hpp"
#include "matfac/settings.hpp"
#include "solvers/batch/gradient_pass.hpp"
#include "solvers/batch/item_runs.hpp"
#include "solvers/resolve.hpp"

namespace matfac {
namespace {

constexpr Index kRowsPerChunk = 256;

template <class T>
LossLoops<T> loops_for(const RatingsView<T>& ratings, const LossFunction& loss, int n_threads) {
  require(is_point_loss(loss.loss), "loss '", name_of(loss.loss),
          "' is not one of single ratings, as 'squared' and 'logistic' are");
  require(std::isfinite(loss.huber_threshold) && loss.huber_threshold > 0,
          "huber_threshold must be a finite number above 0, not ", loss.huber_threshold);
  Settings settings;
  settings.loss = loss.loss;
  settings.n_threads = n_threads;
  validate_for_loss(ratings, settings);
  return loss_loops<T>(loss.loss, loss.huber_threshold, ratings.weights == nullptr);
}

}  // namespace

template <class T>
void residuals(const RatingsView<T>& ratings, MatrixView<const T> user_factors, MatrixView<const T> item_factors,
               std::span<T> out, int n_threads) {
  require_factors(ratings, user_factors, item_factors);
  require_length("out", out, ratings.nnz());
  require_apart({"out", out}, {{"user_factors", user_factors}, {"item_factors", item_factors}, {"R", ratings}});
  const PaddedMatrix<const T> users(user_factors, n_threads), items(item_factors, n_threads);
  const auto& k = kernels<T>();
  parallel_chunks(ratings.n_users, kRowsPerChunk, n_threads, [&](Index begin, Index end, int) {
    for (Index n = begin; n < end; ++n) {
      const Index i = ratings.offsets[n];
      k.row_residuals(users.row(n), items.data(), items.stride(), ratings.items + i, ratings.values + i,
                      ratings.offsets[n + 1] - i, out.data() + i);
    }
  });
}

template <class T>
double loss(const RatingsView<T>& ratings, MatrixView<const T> user_factors, MatrixView<const T> item_factors,
            int n_threads, const LossFunction& function) {
  require_factors(ratings, user_factors, item_factors);
  const PaddedMatrix<const T> users(user_factors, n_threads), items(item_factors, n_threads);
  const LossLoops<T> loops = loops_for(ratings, function, n_threads);
  return chunked_sum(ratings.n_users, kRowsPerChunk, n_threads, [&](Index begin, Index end) {
    double total = 0;
    for (Index n = begin; n < end; ++n) {
      const Index i = ratings.offsets[n];
      total += loops.kernels->row_loss(loops.loss, users.row(n), items.data(), items.stride(), ratings.items + i,
                                       ratings.values + i, ratings.weights != nullptr ? ratings.weights + i : nullptr,
                                       T(0), ratings.offsets[n + 1] - i);
    }
    return total;
  });
}

template <class T>
double gradients(const RatingsView<T>& ratings, MatrixView<const T> user_factors, MatrixView<const T> item_factors,
                 MatrixView<T> user_gradient, MatrixView<T> item_gradient, int n_threads, const LossFunction& function,
                 std::span<T> derivatives, const ItemRuns* runs) {
  require_factors(ratings, user_factors, item_factors);
  require_shape("user_gradient", user_gradient, user_factors.rows, user_factors.cols);
  require_shape("item_gradient", item_gradient, item_factors.rows, item_factors.cols);
  if (!derivatives.empty()) require_length("derivatives", derivatives, ratings.nnz());
  const NamedMemory u{"user_factors", user_factors}, v{"item_factors", item_factors}, r{"R", ratings};
  const NamedMemory du{"user_gradient", user_gradient}, dv{"item_gradient", item_gradient};
  require_apart(du, {u, v, r, dv});
  require_apart(dv, {u, v, r});
  require_apart({"derivatives", derivatives}, {u, v, r, du, dv});
  require(runs == nullptr || runs->matches(ratings),
          "the item runs are of other ratings: make them from the pattern that they are used with");
  const PaddedMatrix<const T> users(user_factors, n_threads), items(item_factors, n_threads, Access::anywhere);
  PaddedMatrix<T> user_out(user_gradient, n_threads), item_out(item_gradient, n_threads, Access::anywhere);
  const GradientPass<T> pass(ratings, loops_for(ratings, function, n_threads), users.stride(), n_threads,
                             runs != nullptr ? &runs->impl() : nullptr);
  const double total = pass(users, items, T(0), user_out.data(), item_out.data(),
                            derivatives.empty() ? nullptr : derivatives.data());
  user_out.write_back(n_threads);
  item_out.write_back(n_threads);
  return total;
}

template <class T>
T pair_gradients(T rating, std::span<const T> user_row, std::span<const T> item_row, std::span<T> user_gradient,
                 std::span<T> item_gradient) {
  const auto n_factors = static_cast<Index>(user_row.size());
  require_length("item_row", item_row, n_factors);
  require_length("user_gradient", user_gradient, n_factors);
  require_length("item_gradient", item_gradient, n_factors);
  const T e = kernels<T>().dot(user_row.data(), item_row.data(), n_factors) - rating;
  for (std::size_t f = 0; f < user_row.size(); ++f) {
    const T u = user_row[f], v = item_row[f];
    user_gradient[f] = e * v;
    item_gradient[f] = e * u;
  }
  return e;
}

template <class T>
double batch_step(const RatingsView<T>& ratings, MatrixView<T> user_factors, MatrixView<T> item_factors,
                  double learning_rate, int n_threads, const ItemRuns* runs) {
  require(std::isfinite(learning_rate), "learning_rate must be finite, not ", learning_rate);
  require_factors(ratings, user_factors, item_factors);
  require_apart({"user_factors", user_factors}, {{"item_factors", item_factors}, {"R", ratings}});
  AlignedBuffer<T> user_gradient(user_factors.size()), item_gradient(item_factors.size());
  const double total = gradients<T>(
      ratings, user_factors, item_factors, {user_gradient.data(), user_factors.rows, user_factors.cols},
      {item_gradient.data(), item_factors.rows, item_factors.cols}, n_threads, {}, {}, runs);
  const T rate = static_cast<T>(learning_rate);
  const auto descend = [&](MatrixView<T> x, const T* gradient) {
    parallel_chunks(x.size(), 1 << 16, n_threads, [&](Index begin, Index end, int) {
      for (Index i = begin; i < end; ++i) x.data[i] -= rate * gradient[i];
    });
  };
  descend(user_factors, user_gradient.data());
  descend(item_factors, item_gradient.data());
  return total;
}

#define MATFAC_INSTANTIATE(T)                                                                                          \
  template MATFAC_API void residuals(const RatingsView<T>&, MatrixView<const T>, MatrixView<const T>, std::span<T>,    \
                                     int);                                                                             \
  template MATFAC_API double loss(const RatingsView<T>&, MatrixView<const T>, MatrixView<const T>, int,                \
                                  const LossFunction&);                                                                \
  template MATFAC_API double gradients(const RatingsView<T>&, MatrixView<const T>, MatrixView<const T>, MatrixView<T>, \
                                       MatrixView<T>, int, const LossFunction&, std::span<T>, const ItemRuns*);        \
  template MATFAC_API T pair_gradients(T, std::span<const T>, std::span<const T>, std::span<T>, std::span<T>);         \
  template MATFAC_API double batch_step(const RatingsView<T>&, MatrixView<T>, MatrixView<T>, double, int,              \
                                        const ItemRuns*);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac
