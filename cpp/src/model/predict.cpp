#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/sum.hpp"
#include "core/validate.hpp"
#include "kernels/kernels.hpp"
#include "matfac/model.hpp"
#include "model/check.hpp"
#include "model/estimator.hpp"

namespace matfac {
template <class T>
void require_consistent(const ModelView<T>& model) {
  const Index n_factors = model.user_factors.cols;
  require(n_factors >= 1, "the model must have at least one factor");
  require_shape("user_factors", model.user_factors, model.user_factors.rows, n_factors);
  require_shape("item_factors", model.item_factors, model.item_factors.rows, n_factors);
  require(model.user_biases.empty() == model.item_biases.empty() || model.user_factors.rows == 0 ||
              model.item_factors.rows == 0,
          "the model must have biases on both sides or on none");
  if (!model.user_biases.empty()) require_length("user_biases", model.user_biases, model.user_factors.rows);
  if (!model.item_biases.empty()) require_length("item_biases", model.item_biases, model.item_factors.rows);
}

void require_codes(const char* side, std::span<const Code> codes, Index n) {
  for (std::size_t i = 0; i < codes.size(); ++i) {
    require(codes[i] >= -1 && codes[i] < n, side, " code ", codes[i], " at position ", i,
            " is out of range: codes must be in [0, ", n, "), or -1 for unknown");
  }
}

template <class T>
void validate(const ModelView<T>& model) {
  require_consistent(model);
  require_finite("user_factors", model.user_factors, "", 1);
  require_finite("item_factors", model.item_factors, "", 1);
  require_finite("user_biases", model.user_biases, "", 1);
  require_finite("item_biases", model.item_biases, "", 1);
  require(std::isfinite(model.global_mean), "global_mean is ", model.global_mean);
}

template <class T>
void predict(const ModelView<T>& model, std::span<const Code> users, std::span<const Code> items, std::span<T> out,
             int n_threads) {
  require_consistent(model);
  const auto n = static_cast<Index>(users.size());
  require_length("items", items, n);
  require_length("out", out, n);
  require_codes("user", users, model.user_factors.rows);
  require_codes("item", items, model.item_factors.rows);
  const Estimator<T> estimator(model);
  parallel_chunks(n, 16 * Estimator<T>::kMost, n_threads, [&](Index begin, Index end, int) {
    for (Index i = begin; i < end; i += Estimator<T>::kMost) {
      estimator.estimate(users.data() + i, items.data() + i, std::min(Estimator<T>::kMost, end - i), out.data() + i);
    }
  });
}

template <class T>
double mean_loss(const ModelView<T>& model, const RatingsView<T>& ratings, const LossFunction& function,
                 int n_threads) {
  require_consistent(model);
  require(static_cast<int>(function.loss) < kPointLosses, "loss '", name_of(function.loss),
          "' is not one of single ratings");
  require(ratings.n_users == model.user_factors.rows && ratings.n_items == model.item_factors.rows,
          "the ratings have shape (", ratings.n_users, ", ", ratings.n_items, "), the model (", model.user_factors.rows,
          ", ", model.item_factors.rows, ")");
  require_rows(ratings);
  if (ratings.nnz() == 0) return std::numeric_limits<double>::quiet_NaN();
  const Estimator<T> estimator(model);
  const auto evaluate = kernels<T>().losses[static_cast<int>(function.loss)].evaluate;
  const T parameter = static_cast<T>(function.huber_threshold);
  const double total = chunked_sum(ratings.n_users, 256, n_threads, [&](Index begin, Index end) {
    constexpr Index kMost = Estimator<T>::kMost;
    Code users[kMost];
    T estimates[kMost];
    double sum = 0;
    Index user = begin;
    for (Index i = ratings.offsets[begin]; i < ratings.offsets[end]; i += kMost) {
      const Index count = std::min(kMost, ratings.offsets[end] - i);
      for (Index k = 0; k < count; ++k) {
        while (ratings.offsets[user + 1] <= i + k) ++user;
        users[k] = static_cast<Code>(user);
      }
      estimator.estimate(users, ratings.items + i, count, estimates);
      sum = evaluate(ratings.values + i, estimates, ratings.weights != nullptr ? ratings.weights + i : nullptr, count,
                     parameter, nullptr, sum);
    }
    return sum;
  });
  double weight = static_cast<double>(ratings.nnz());
  if (ratings.weights != nullptr) {
    weight = chunked_sum(ratings.nnz(), 1 << 16, n_threads, [&](Index begin, Index end) {
      return std::accumulate(ratings.weights + begin, ratings.weights + end, 0.0);
    });
  }
  return total / weight;
}

template <class T>
double rmse(const ModelView<T>& model, const RatingsView<T>& ratings, int n_threads) {
  return std::sqrt(2 * mean_loss(model, ratings, {Loss::squared}, n_threads));
}

#define MATFAC_INSTANTIATE(T)                                                                                       \
  template void require_consistent(const ModelView<T>&);                                                            \
  template MATFAC_API void validate(const ModelView<T>&);                                                           \
  template MATFAC_API void predict(const ModelView<T>&, std::span<const Code>, std::span<const Code>, std::span<T>, \
                                   int);                                                                            \
  template MATFAC_API double mean_loss(const ModelView<T>&, const RatingsView<T>&, const LossFunction&, int);       \
  template MATFAC_API double rmse(const ModelView<T>&, const RatingsView<T>&, int);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac
