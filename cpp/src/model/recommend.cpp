#include <cmath>

#include "core/aligned.hpp"
#include "core/parallel.hpp"
#include "core/validate.hpp"
#include "kernels/kernels.hpp"
#include "matfac/model.hpp"
#include "model/check.hpp"
#include "model/top_n.hpp"

namespace matfac {
namespace {

constexpr Index kItemsPerTile = 512;
constexpr Index kQueriesPerTask = 16;

template <class T>
void require_output(const MatrixView<Code>& items, const MatrixView<T>& scores, Index n_queries, Index n) {
  require(n >= 1, "n must be at least 1, not ", n);
  require_shape("items", items, n_queries, n);
  require_shape("scores", scores, n_queries, n);
}

/// Scores all items for each of a task's queries, tile by tile (the tile stays in cache from one query to the next),
/// and keeps the best. `score_tile(query, first, count, out)` writes the scores of items [first, first + count);
/// `excluded(query)` is the ascending list of items to leave out.
template <class T, class ScoreTile, class Excluded>
void select_best(Index n_queries, Index n_items, Index n, MatrixView<Code> items, MatrixView<T> scores, int n_threads,
                 const ScoreTile& score_tile, const Excluded& excluded) {
  parallel_chunks(n_queries, kQueriesPerTask, n_threads, [&](Index begin, Index end, int) {
    std::vector<TopN<T>> best(static_cast<std::size_t>(end - begin), TopN<T>(std::min(n, n_items)));
    std::vector<const Code*> next_excluded(best.size());
    T tile[kItemsPerTile];
    for (Index first = 0; first < n_items; first += kItemsPerTile) {
      const Index count = std::min(kItemsPerTile, n_items - first);
      for (Index q = begin; q < end; ++q) {
        const auto k = static_cast<std::size_t>(q - begin);
        auto& top = best[k];
        const std::span<const Code> out = excluded(q);
        if (first == 0) next_excluded[k] = out.data();
        score_tile(q, first, count, tile);
        const Code*& skip = next_excluded[k];
        const Code* const skip_end = out.data() + out.size();
        for (; skip != skip_end && *skip < first + count; ++skip) {
          if (*skip >= first) tile[*skip - first] = -std::numeric_limits<T>::infinity();
        }
        T threshold = top.threshold();
        for (Index i = 0; i < count; ++i) {
          if (!(tile[i] > threshold)) continue;
          top.push(static_cast<Code>(first + i), tile[i]);
          threshold = top.threshold();
        }
      }
    }
    for (Index q = begin; q < end; ++q) {
      std::fill_n(items.row(q), n, Code{-1});
      std::fill_n(scores.row(q), n, -std::numeric_limits<T>::infinity());
      best[static_cast<std::size_t>(q - begin)].write(items.row(q), scores.row(q));
    }
  });
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
  const auto& k = kernels<T>();
  const Index n_factors = model.item_factors.cols;
  select_best<T>(
      n_queries, model.item_factors.rows, n, items, scores, n_threads,
      [&](Index q, Index first, Index count, T* out) {
        const Code user = users[static_cast<std::size_t>(q)];
        double base = model.global_mean;
        if (user >= 0) {
          k.scores(model.user_factors.row(user), model.item_factors.row(first), n_factors, count, out);
          if (!model.user_biases.empty())
            base += static_cast<double>(model.user_biases[static_cast<std::size_t>(user)]);
        } else {
          std::fill_n(out, count, T(0));
        }
        const T* const biases = model.item_biases.empty() ? nullptr : model.item_biases.data() + first;
        for (Index i = 0; i < count; ++i) {
          out[i] += static_cast<T>(base + (biases != nullptr ? static_cast<double>(biases[i]) : 0.0));
        }
      },
      [&](Index q) -> std::span<const Code> {
        if (seen == nullptr) return {};
        return {seen->items + seen->offsets[q], seen->items + seen->offsets[q + 1]};
      });
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
  select_best<T>(
      n_queries, n_items, n, items, scores, n_threads,
      [&](Index q, Index first, Index count, T* out) {
        const Code query = queries[static_cast<std::size_t>(q)];
        if (query < 0) {
          std::fill_n(out, count, -std::numeric_limits<T>::infinity());
          return;
        }
        k.scores(model.item_factors.row(query), model.item_factors.row(first), n_factors, count, out);
        for (Index i = 0; i < count; ++i)
          out[i] = std::clamp(out[i] * inverse_norms[query] * inverse_norms[first + i], T(-1), T(1));
      },
      [&](Index q) -> std::span<const Code> { return queries.subspan(static_cast<std::size_t>(q), 1); });
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
