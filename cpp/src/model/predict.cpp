#include <cmath>
#include <limits>

#include "core/sum.hpp"
#include "core/validate.hpp"
#include "kernels/kernels.hpp"
#include "matfac/model.hpp"
#include "model/check.hpp"

namespace matfac {
namespace {

/// What r_hat is without the product of the factors.
template <class T>
T baseline(const ModelView<T>& model, Code user, Code item) {
  double sum = model.global_mean;
  if (user >= 0 && !model.user_biases.empty())
    sum += static_cast<double>(model.user_biases[static_cast<std::size_t>(user)]);
  if (item >= 0 && !model.item_biases.empty())
    sum += static_cast<double>(model.item_biases[static_cast<std::size_t>(item)]);
  return static_cast<T>(sum);
}

template <class T>
T estimate(const Kernels<T>& k, const ModelView<T>& model, Code user, Code item) {
  const T base = baseline(model, user, item);
  if (user < 0 || item < 0) return base;
  return base + k.dot(model.user_factors.row(user), model.item_factors.row(item), model.user_factors.cols);
}

template <class T>
void require_all_finite(const char* name, const T* values, Index n) {
  for (Index i = 0; i < n; ++i) require(std::isfinite(values[i]), name, " holds ", values[i], " at entry ", i);
}

}  // namespace

template <class T>
void require_consistent(const ModelView<T>& model) {
  const Index n_factors = model.user_factors.cols;
  require(n_factors >= 1, "the model must have at least one factor");
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
  require_all_finite("user_factors", model.user_factors.data, model.user_factors.size());
  require_all_finite("item_factors", model.item_factors.data, model.item_factors.size());
  require_all_finite("user_biases", model.user_biases.data(), static_cast<Index>(model.user_biases.size()));
  require_all_finite("item_biases", model.item_biases.data(), static_cast<Index>(model.item_biases.size()));
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
  const auto& k = kernels<T>();
  parallel_chunks(n, 1024, n_threads, [&](Index begin, Index end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      out[i] = estimate(k, model, users[i], items[i]);
    }
  });
}

template <class T>
double rmse(const ModelView<T>& model, const RatingsView<T>& ratings, int n_threads) {
  require_consistent(model);
  require(ratings.n_users == model.user_factors.rows && ratings.n_items == model.item_factors.rows,
          "the ratings have shape (", ratings.n_users, ", ", ratings.n_items, "), the model (", model.user_factors.rows,
          ", ", model.item_factors.rows, ")");
  if (ratings.nnz() == 0) return std::numeric_limits<double>::quiet_NaN();
  const auto& k = kernels<T>();
  const double squares = chunked_sum(ratings.n_users, 256, n_threads, [&](Index begin, Index end) {
    double total = 0;
    for (Index n = begin; n < end; ++n) {
      for (Index i = ratings.offsets[n]; i < ratings.offsets[n + 1]; ++i) {
        const double e = static_cast<double>(estimate(k, model, static_cast<Code>(n), ratings.items[i])) -
                         static_cast<double>(ratings.values[i]);
        total += e * e;
      }
    }
    return total;
  });
  return std::sqrt(squares / static_cast<double>(ratings.nnz()));
}

#define MATFAC_INSTANTIATE(T)                                                                                       \
  template void require_consistent(const ModelView<T>&);                                                            \
  template MATFAC_API void validate(const ModelView<T>&);                                                           \
  template MATFAC_API void predict(const ModelView<T>&, std::span<const Code>, std::span<const Code>, std::span<T>, \
                                   int);                                                                            \
  template MATFAC_API double rmse(const ModelView<T>&, const RatingsView<T>&, int);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac
