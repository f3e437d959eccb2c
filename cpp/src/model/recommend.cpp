#include <cmath>
#include <limits>

#include "core/parallel.hpp"
#include "core/validate.hpp"
#include "kernels/kernels.hpp"
#include "matfac/model.hpp"
#include "model/check.hpp"
#include "model/ranking.hpp"
#include "model/similarity.hpp"
#include "model/user_ranking.hpp"

namespace matfac {
namespace {

template <class T>
void require_output(const MatrixView<Code>& items, const MatrixView<T>& scores, Index n_queries, Index n) {
  require(n >= 1, "n must be at least 1, not ", n);
  require_shape("items", items, n_queries, n);
  require_shape("scores", scores, n_queries, n);
}

/// Refuses a filter that is malformed or has not a row for each query.
void require_filter(const char* name, const PatternView* filter, Index n_queries, Index n_items, int n_threads) {
  if (filter == nullptr) return;
  require(filter->n_users == n_queries || filter->n_users == 1, name, " has ", filter->n_users,
          " rows, expected one for each of the ", n_queries, " queries, or one for all");
  require(filter->n_items == n_items, name, " has ", filter->n_items, " items, the model has ", n_items);
  try {
    validate(*filter, n_threads);
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(message(name, ": ", error.what()));
  }
}

}  // namespace

template <class T>
void recommend(const ModelView<T>& model, std::span<const Code> users, Index n, const Filters& filters,
               MatrixView<Code> items, MatrixView<T> scores, int n_threads) {
  require_consistent(model);
  const auto n_queries = static_cast<Index>(users.size());
  require_output(items, scores, n_queries, n);
  require_codes("user", users, model.user_factors.rows);
  require_filter("exclude", filters.exclude, n_queries, model.item_factors.rows, n_threads);
  require_filter("among", filters.among, n_queries, model.item_factors.rows, n_threads);
  RankingQueries<T> queries = user_queries(model, users);
  if (filters.exclude != nullptr) {
    queries.excluded_offsets = filters.exclude->offsets;
    queries.excluded_items = filters.exclude->items;
    queries.excluded_is_same = filters.exclude->n_users == 1;
  }
  if (filters.among != nullptr) {
    rank_among(model, queries, *filters.among, n, items, scores, n_threads);
  } else {
    rank(queries, ranked_items(model), n, items, scores, n_threads);
  }
}

template <class T>
AlignedBuffer<T> inverse_norms(MatrixView<const T> item_factors, int n_threads) {
  const auto& k = kernels<T>();
  AlignedBuffer<T> norms(item_factors.rows);
  parallel_chunks(item_factors.rows, 1024, n_threads, [&](Index begin, Index end, int) {
    for (Index m = begin; m < end; ++m) {
      const T* const v = item_factors.row(m);
      const T square = k.dot(v, v, item_factors.cols);
      norms[m] = square > T(0) ? T(1) / std::sqrt(square) : T(0);
    }
  });
  return norms;
}

// cos(a, b) = a . b / (|a| |b|).
template <class T>
void rank_similar(const ModelView<T>& model, const AlignedBuffer<T>& norms, std::span<const Code> queries, Index n,
                  MatrixView<Code> items, MatrixView<T> scores, int n_threads) {
  require_output(items, scores, static_cast<Index>(queries.size()), n);
  require_codes("item", queries, model.item_factors.rows);
  RankingQueries<T> queried{model.item_factors, queries, norms.data()};
  queried.excluded_items = queries.data();
  queried.bases.reserve(queries.size());
  for (const Code query : queries) queried.bases.push_back(query < 0 ? -std::numeric_limits<T>::infinity() : T(0));
  const RankedItems<T> ranked{model.item_factors, nullptr, norms.data(), T(-1), T(1)};
  rank(queried, ranked, n, items, scores, n_threads);
}

template <class T>
void similar_items(const ModelView<T>& model, std::span<const Code> queries, Index n, MatrixView<Code> items,
                   MatrixView<T> scores, int n_threads) {
  require_consistent(model);
  rank_similar(model, inverse_norms(model.item_factors, n_threads), queries, n, items, scores, n_threads);
}

#define MATFAC_INSTANTIATE(T)                                                                                 \
  template MATFAC_API void recommend(const ModelView<T>&, std::span<const Code>, Index, const Filters&,       \
                                     MatrixView<Code>, MatrixView<T>, int);                                   \
  template MATFAC_API void similar_items(const ModelView<T>&, std::span<const Code>, Index, MatrixView<Code>, \
                                         MatrixView<T>, int);                                                 \
  template AlignedBuffer<T> inverse_norms(MatrixView<const T>, int);                                          \
  template void rank_similar(const ModelView<T>&, const AlignedBuffer<T>&, std::span<const Code>, Index,      \
                             MatrixView<Code>, MatrixView<T>, int);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac
