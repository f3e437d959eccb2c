#include <cmath>
#include <limits>

#include "core/aligned.hpp"
#include "core/parallel.hpp"
#include "core/validate.hpp"
#include "kernels/kernels.hpp"
#include "matfac/model.hpp"
#include "model/check.hpp"
#include "model/ranking.hpp"
#include "model/user_ranking.hpp"

namespace matfac {
namespace {

template <class T>
void require_output(const MatrixView<Code>& items, const MatrixView<T>& scores, Index n_queries, Index n) {
  require(n >= 1, "n must be at least 1, not ", n);
  require_shape("items", items, n_queries, n);
  require_shape("scores", scores, n_queries, n);
}

}  // namespace

template <class T>
void recommend(const ModelView<T>& model, std::span<const Code> users, Index n, const PatternView* seen,
               MatrixView<Code> items, MatrixView<T> scores, int n_threads) {
  require_consistent(model);
  const auto n_queries = static_cast<Index>(users.size());
  require_output(items, scores, n_queries, n);
  require_codes("user", users, model.user_factors.rows);
  if (seen != nullptr) {
    require(seen->n_users == n_queries, "seen has ", seen->n_users, " rows, expected one for each of the ", n_queries,
            " users");
    require(seen->n_items == model.item_factors.rows, "seen has ", seen->n_items, " items, the model has ",
            model.item_factors.rows);
    validate(*seen, n_threads);
  }
  RankingQueries<T> queries = user_queries(model, users);
  if (seen != nullptr) {
    queries.excluded_offsets = seen->offsets;
    queries.excluded_items = seen->items;
  }
  rank(queries, ranked_items(model), n, items, scores, n_threads);
}

template <class T>
void similar_items(const ModelView<T>& model, std::span<const Code> queries, Index n, MatrixView<Code> items,
                   MatrixView<T> scores, int n_threads) {
  require_consistent(model);
  const auto n_queries = static_cast<Index>(queries.size());
  const Index n_items = model.item_factors.rows, n_factors = model.item_factors.cols;
  require_output(items, scores, n_queries, n);
  require_codes("item", queries, n_items);
  const auto& k = kernels<T>();
  // cos(a, b) = a . b / (|a| |b|), with 1 / 0 taken as 0.
  AlignedBuffer<T> inverse_norms(n_items);
  parallel_chunks(n_items, 1024, n_threads, [&](Index begin, Index end, int) {
    for (Index m = begin; m < end; ++m) {
      const T* const v = model.item_factors.row(m);
      const T square = k.dot(v, v, n_factors);
      inverse_norms[m] = square > T(0) ? T(1) / std::sqrt(square) : T(0);
    }
  });
  RankingQueries<T> queried{model.item_factors, queries, inverse_norms.data()};
  queried.excluded_items = queries.data();
  queried.bases.reserve(queries.size());
  for (const Code query : queries) queried.bases.push_back(query < 0 ? -std::numeric_limits<T>::infinity() : T(0));
  const RankedItems<T> ranked{model.item_factors, nullptr, inverse_norms.data(), T(-1), T(1)};
  rank(queried, ranked, n, items, scores, n_threads);
}

#define MATFAC_INSTANTIATE(T)                                                                                 \
  template MATFAC_API void recommend(const ModelView<T>&, std::span<const Code>, Index, const PatternView*,   \
                                     MatrixView<Code>, MatrixView<T>, int);                                   \
  template MATFAC_API void similar_items(const ModelView<T>&, std::span<const Code>, Index, MatrixView<Code>, \
                                         MatrixView<T>, int);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac
