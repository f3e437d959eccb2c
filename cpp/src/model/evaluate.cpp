#include <algorithm>

#include "core/aligned.hpp"
#include "core/parallel.hpp"
#include "core/validate.hpp"
#include "matfac/metrics.hpp"
#include "model/candidates.hpp"
#include "model/check.hpp"
#include "model/measure_row.hpp"
#include "model/user_ranking.hpp"

namespace matfac {
namespace {

/// Entries of the lists that are held at a time.
constexpr Index kEntriesHeld = Index{1} << 20;

/// Lists for some users, and how good they are.
template <class T>
class Evaluation {
 public:
  Evaluation(const ModelView<T>& model, Index n, const Candidates& candidates, Index most_users, int n_threads)
      : model_(model),
        n_(n),
        candidates_(candidates),
        n_threads_(n_threads),
        items_(most_users * n),
        scores_(most_users * n) {}

  void run(std::span<const Code> users, MatrixView<double> measures) {
    const auto n_users = static_cast<Index>(users.size());
    RankingQueries<T> queries = user_queries(model_, users);
    candidates_.exclude_seen(queries);
    const MatrixView<Code> lists{items_.data(), n_users, n_};
    rank(queries, ranked_items(model_), n_, lists, MatrixView<T>{scores_.data(), n_users, n_}, n_threads_);
    parallel_chunks(n_users, 256, n_threads_, [&](Index begin, Index end, int) {
      ListMeasurer measurer(n_);
      for (Index i = begin; i < end; ++i) {
        const Code user = users[static_cast<std::size_t>(i)];
        measurer.measure(lists.row(i), candidates_.relevant(user), candidates_.n_relevant(user), i, measures.row(i));
      }
    });
  }

  void count(Index n_users, std::span<Index> times_recommended) const {
    for (Index i = 0; i < n_users * n_; ++i) {
      if (items_[i] >= 0) ++times_recommended[static_cast<std::size_t>(items_[i])];
    }
  }

 private:
  const ModelView<T>& model_;
  Index n_;
  const Candidates& candidates_;
  int n_threads_;
  AlignedBuffer<Code> items_;
  AlignedBuffer<T> scores_;
};

}  // namespace

template <class T>
void evaluate_recommendations(const ModelView<T>& model, std::span<const Code> users, Index n,
                              const PatternView& relevant, const PatternView* seen, MatrixView<double> measures,
                              std::span<Index> times_recommended, int n_threads) {
  require_consistent(model);
  require(n >= 1, "n must be at least 1, not ", n);
  const auto n_users = static_cast<Index>(users.size());
  require_shape("measures", measures, n_users, kRankingMeasures);
  if (!times_recommended.empty()) require_length("times_recommended", times_recommended, model.item_factors.rows);
  const Candidates candidates(model, users, relevant, seen, n_threads);

  const Index most = std::min(n_users, std::max<Index>(kEntriesHeld / n, 1));
  Evaluation<T> evaluation(model, n, candidates, most, n_threads);
  for (Index begin = 0; begin < n_users; begin += most) {
    const Index count = std::min(most, n_users - begin);
    evaluation.run(users.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count)),
                   {measures.row(begin), count, kRankingMeasures});
    if (!times_recommended.empty()) evaluation.count(count, times_recommended);
  }
}

#define MATFAC_INSTANTIATE(T)                                                                                   \
  template MATFAC_API void evaluate_recommendations(const ModelView<T>&, std::span<const Code>, Index,          \
                                                    const PatternView&, const PatternView*, MatrixView<double>, \
                                                    std::span<Index>, int);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac
