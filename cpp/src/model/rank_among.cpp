#include <algorithm>
#include <limits>
#include <vector>

#include "core/parallel.hpp"
#include "model/estimator.hpp"
#include "model/keep_best.hpp"
#include "model/ranking.hpp"

namespace matfac {
namespace {

/// The n best of the estimates that it is shown, one query after the other. One a thread.
template <class T>
class AmongRanker {
 public:
  AmongRanker(const ModelView<T>& model, Index n) : estimator_(model), n_(n) {
    found_.reserve(static_cast<std::size_t>(2 * n + kMost));
  }

  /// Both lists ascend; excluded items are left out.
  void rank(Code user, std::span<const Code> allowed, std::span<const Code> excluded) {
    found_.clear();
    users_.assign(static_cast<std::size_t>(kMost), user);
    const Code* skip = excluded.data();
    const Code* const skip_end = skip + excluded.size();
    Index count = 0;
    for (const Code item : allowed) {
      skip = std::lower_bound(skip, skip_end, item);
      if (skip != skip_end && *skip == item) continue;
      candidates_[count++] = item;
      if (count == kMost) estimate(count), count = 0;
    }
    estimate(count);
    cut();
    std::sort(found_.begin(), found_.end(), RanksBefore{});
  }

  const std::vector<ScoredItem<T>>& best() const { return found_; }

 private:
  static constexpr Index kMost = Estimator<T>::kMost;

  void estimate(Index count) {
    estimator_.estimate(users_.data(), candidates_, count, estimates_);
    for (Index i = 0; i < count; ++i) {
      if (estimates_[i] > -std::numeric_limits<T>::infinity()) found_.push_back({estimates_[i], candidates_[i]});
    }
    if (static_cast<Index>(found_.size()) >= 2 * n_) cut();
  }

  void cut() {
    const auto count = static_cast<Index>(found_.size());
    if (count <= n_) return;
    spare_.resize(found_.size());
    keep_best(found_.data(), n_, count, spare_.data());
    found_.resize(static_cast<std::size_t>(n_));
  }

  const Estimator<T> estimator_;
  Index n_;
  std::vector<Code> users_;
  Code candidates_[kMost] = {};
  T estimates_[kMost] = {};
  std::vector<ScoredItem<T>> found_, spare_;
};

}  // namespace

template <class T>
void rank_among(const ModelView<T>& model, const RankingQueries<T>& queries, const PatternView& among, Index n,
                MatrixView<Code> items, MatrixView<T> scores, int n_threads) {
  const Index n_queries = queries.size(), kept = std::min(n, std::max<Index>(among.n_items, 1));
  constexpr Index kChunk = 8;
  parallel_chunks(n_queries, kChunk, n_threads, [&](Index begin, Index end, int) {
    AmongRanker<T> ranker(model, kept);
    for (Index q = begin; q < end; ++q) {
      const Index list = among.n_users == 1 ? 0 : q;
      const std::span<const Code> allowed{among.items + among.offsets[list], among.items + among.offsets[list + 1]};
      ranker.rank(queries.rows[static_cast<std::size_t>(q)], allowed, queries.excluded(q));
      const auto& best = ranker.best();
      for (Index i = 0; i < n; ++i) {
        const bool is_found = i < static_cast<Index>(best.size());
        const ScoredItem<T> none{-std::numeric_limits<T>::infinity(), -1};
        const ScoredItem<T> entry = is_found ? best[static_cast<std::size_t>(i)] : none;
        items.row(q)[i] = entry.item;
        scores.row(q)[i] = entry.score;
      }
    }
  });
}

template void rank_among(const ModelView<float>&, const RankingQueries<float>&, const PatternView&, Index,
                         MatrixView<Code>, MatrixView<float>, int);
template void rank_among(const ModelView<double>&, const RankingQueries<double>&, const PatternView&, Index,
                         MatrixView<Code>, MatrixView<double>, int);

}  // namespace matfac
