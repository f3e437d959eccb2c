#include "matfac/recommender.hpp"

#include <cmath>
#include <optional>

#include "core/aligned.hpp"
#include "core/parallel.hpp"
#include "core/validate.hpp"
#include "model/check.hpp"
#include "model/similarity.hpp"

namespace matfac {

template <class T>
struct Recommender<T>::Impl {
  ModelView<T> model;
  AlignedBuffer<T> norms;
  std::optional<FoldIn<T>> fold_in;
};

namespace {

template <class Impl>
const Impl& made(const std::shared_ptr<Impl>& impl) {
  require(impl != nullptr, "this Recommender holds no model: it was moved from");
  return *impl;
}

}  // namespace

template <class T>
Recommender<T>::Recommender(const ModelView<T>& model, const Settings* settings, int n_threads) {
  require_consistent(model);
  const MatrixView<const T> V = model.item_factors;
  parallel_chunks(V.rows, 1024, n_threads, [&](Index begin, Index end, int) {
    for (Index m = begin; m < end; ++m) {
      for (Index f = 0; f < V.cols; ++f) {
        require(std::isfinite(V.row(m)[f]), "item_factors holds ", V.row(m)[f], " in row ", m, ", column ", f,
                ": every number of a model must be finite");
      }
    }
  });
  require_finite("item_biases", model.item_biases, ": every number of a model must be finite", n_threads);
  require(std::isfinite(model.global_mean), "global_mean is ", model.global_mean, ": it must be finite");
  std::optional<FoldIn<T>> fold_in;
  if (settings != nullptr) fold_in.emplace(model, *settings, n_threads);
  impl_ = std::make_shared<const Impl>(Impl{model, inverse_norms(V, n_threads), std::move(fold_in)});
}

template <class T>
const ModelView<T>& Recommender<T>::model() const {
  return made(impl_).model;
}

template <class T>
void Recommender<T>::predict(std::span<const Code> users, std::span<const Code> items, std::span<T> out,
                             int n_threads) const {
  matfac::predict<T>(made(impl_).model, users, items, out, n_threads);
}

template <class T>
void Recommender<T>::recommend(std::span<const Code> users, Index n, const Filters& filters, MatrixView<Code> items,
                               MatrixView<T> scores, int n_threads) const {
  matfac::recommend<T>(made(impl_).model, users, n, filters, items, scores, n_threads);
}

template <class T>
void Recommender<T>::similar_items(std::span<const Code> queries, Index n, MatrixView<Code> items, MatrixView<T> scores,
                                   int n_threads) const {
  rank_similar(made(impl_).model, made(impl_).norms, queries, n, items, scores, n_threads);
}

template <class T>
void Recommender<T>::fold_in(const RatingsView<T>& ratings, MatrixView<T> user_factors, std::span<T> user_biases,
                             int n_threads) const {
  const std::optional<FoldIn<T>>& kept = made(impl_).fold_in;
  require(kept.has_value(),
          "this Recommender was made without settings, which fold_in needs: pass those of the fit's report, or "
          "ModelFile::settings()");
  (*kept)(ratings, user_factors, user_biases, n_threads);
}

template <class T>
void Recommender<T>::recommend_new(const RatingsView<T>& ratings, Index n, const Filters& filters,
                                   MatrixView<Code> items, MatrixView<T> scores, int n_threads) const {
  const Index n_users = ratings.n_users, n_factors = made(impl_).model.item_factors.cols;
  require(n_users >= 0 && n_users < kMaxCodes, "the ratings have ", n_users, " users: expected 0 to 2^31 - 1");
  std::vector<T> factors(static_cast<std::size_t>(n_users * n_factors));
  std::vector<T> biases(made(impl_).model.item_biases.empty() ? 0 : static_cast<std::size_t>(n_users));
  const MatrixView<T> rows{factors.data(), n_users, n_factors};
  fold_in(ratings, rows, biases, n_threads);
  std::vector<Code> users(static_cast<std::size_t>(n_users));
  for (std::size_t i = 0; i < users.size(); ++i) users[i] = static_cast<Code>(i);
  matfac::recommend<T>(made(impl_).model.with_users(rows, biases), users, n, filters, items, scores, n_threads);
}

template class MATFAC_API Recommender<float>;
template class MATFAC_API Recommender<double>;

}  // namespace matfac
