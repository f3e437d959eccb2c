#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <memory>
#include <vector>

#include "core/parallel.hpp"
#include "core/validate.hpp"
#include "kernels/kernels.hpp"
#include "matfac/metrics.hpp"
#include "model/candidates.hpp"
#include "model/check.hpp"
#include "model/packed_queries.hpp"
#include "model/user_ranking.hpp"

namespace matfac {
namespace {

/// Four sums at a time; the compiler has registers for this on every processor.
template <class T>
struct Lanes {
  static constexpr Index kWidth = 16 / sizeof(T), kVectors = 4, kScores = kVectors * kWidth;
  using Vector [[gnu::vector_size(16)]] = T;

  static Vector load(const T* from) {
    Vector v;
    std::memcpy(&v, from, sizeof(v));
    return v;
  }
};

/// Of n >= 1 ascending scores, how many are less than x. Without a branch on what they are.
template <class T>
Index count_below(const T* scores, Index n, T x) {
  const T* base = scores;
  while (n > 1) {
    const Index half = n / 2;
    base += half * static_cast<Index>(base[half - 1] < x);
    n -= half;
  }
  return base - scores + (*base < x);
}

/// The relevant scores p of a user, ascending.
template <class T>
class RelevantScores {
 public:
  /// To be filled; then comes `sort`.
  T* resize(Index n) {
    n_ = n;
    // Filled up with what is above nothing.
    scores_.assign(static_cast<std::size_t>((n + kBlock - 1) / kBlock * kBlock), -std::numeric_limits<T>::infinity());
    return scores_.data();
  }
  void sort() { std::sort(scores_.begin(), scores_.begin() + n_); }
  Index size() const { return n_; }
  T lowest() const { return scores_.front(); }

  /// The sum over the entries of #{p > x} + #{p >= x}, where no x is -infinity.
  Index count_above(const ScoredItem<T>* entries, Index n) const {
    return n_ <= kMostCompared ? by_comparing(entries, n) : by_searching(entries, n);
  }

 private:
  using Vector = typename Lanes<T>::Vector;
  static constexpr Index kBlock = Lanes<T>::kScores;
  static constexpr Index kMostCompared = 4 * kBlock;  // beyond that a search takes less time

  Index by_comparing(const ScoredItem<T>* entries, Index n) const {
    Index total = 0;
    for (Index i = 0; i < n_; i += kBlock) {
      const T* const p = scores_.data() + i;
      const Vector a = Lanes<T>::load(p), b = Lanes<T>::load(p + Lanes<T>::kWidth),
                   c = Lanes<T>::load(p + 2 * Lanes<T>::kWidth), d = Lanes<T>::load(p + 3 * Lanes<T>::kWidth);
      auto sum = a > a;  // true is -1
      for (Index k = 0; k < n; ++k) {
        const Vector x = entries[k].score - Vector{};
        sum += ((a > x) + (a >= x)) + ((b > x) + (b >= x)) + (((c > x) + (c >= x)) + ((d > x) + (d >= x)));
      }
      for (Index lane = 0; lane < Lanes<T>::kWidth; ++lane) total -= sum[lane];
    }
    return total;
  }

  Index by_searching(const ScoredItem<T>* entries, Index n) const {
    Index total = 0;
    for (Index k = 0; k < n; ++k) {
      const Index below = count_below(scores_.data(), n_, entries[k].score);
      Index not_above = below;
      while (not_above < n_ && scores_[static_cast<std::size_t>(not_above)] == entries[k].score) ++not_above;
      total += 2 * n_ - below - not_above;
    }
    return total;
  }

  std::vector<T> scores_;
  Index n_ = 0;
};

/// Some users against all items.
///
/// With P relevant items (scores p), Q others (scores q), W = #{(i, j) : p_i > q_j} and E = #{p_i = q_j},
///   2 P Q AUC = 2 W + E.
/// An item below the lowest p loses against all of them, so only the others are asked for: the kernel lets nothing else
/// through. A candidate that scores x adds #{p_i > x} + #{p_i >= x}; over the relevant ones themselves that is P^2,
/// which is taken off at the end. All counts are integers, so the order of the items does not matter.
template <class T>
class AucBlock {
 public:
  static constexpr Index kMostUsers = 16 * kRankingGroup;

  AucBlock(const ModelView<T>& model, const RankedItems<T>& ranked, const Candidates& candidates)
      : kernels_(kernels<T>()),
        model_(model),
        ranked_(ranked),
        candidates_(candidates),
        queries_(kMostUsers, ranked.factors.cols),
        thresholds_(PackedQueries<T>::padded_to_groups(kMostUsers)),
        counts_(thresholds_.size()),
        found_(thresholds_.size() * kRankingStrip),
        workspace_(kernels_.ranking_workspace(ranked.factors.cols)),
        states_(static_cast<std::size_t>(kMostUsers)) {}

  /// The users [begin, end) of `users`, at most kMostUsers.
  void run(const RankingQueries<T>& users, Index begin, Index end, double* out) {
    queries_.load(users, begin, end);
    for (Index q = 0; q < thresholds_.size(); ++q) {
      thresholds_[q] = std::numeric_limits<T>::infinity();
      counts_[q] = 0;
    }
    for (Index q = 0; q < queries_.size(); ++q) prepare(q, users, begin + q);
    const RankingBlock<T> block = queries_.block(ranked_, thresholds_.data(), found_.data(), kRankingStrip,
                                                 counts_.data(), workspace_.data());
    for (Index strip = 0; strip < ranked_.factors.rows; strip += kRankingStrip) {
      kernels_.score_strip(block, strip, ranked_.factors.rows);
      for (Index q = 0; q < queries_.size(); ++q) take(q);
    }
    for (Index q = 0; q < queries_.size(); ++q) out[begin + q] = auc(q);
  }

 private:
  struct State {
    RelevantScores<T> relevant;
    std::span<const Code> seen;  // those that may still come
    Index n_candidates;
    Index n_found;      // of the candidates
    Index n_above = 0;  // the sum over them of #{p_i > x} + #{p_i >= x}
  };
  State& state_of(Index q) { return states_[static_cast<std::size_t>(q)]; }

  void prepare(Index q, const RankingQueries<T>& users, Index i) {
    const Code user = users.rows[static_cast<std::size_t>(i)];
    State& state = state_of(q);
    state.seen = candidates_.seen(user);
    state.n_candidates = ranked_.factors.rows - static_cast<Index>(state.seen.size());
    state.n_found = state.n_above = 0;
    codes_.clear();
    std::set_difference(candidates_.relevant(user).begin(), candidates_.relevant(user).end(), state.seen.begin(),
                        state.seen.end(), std::back_inserter(codes_));
    rows_.assign(codes_.size(), user);
    const auto n = static_cast<Index>(codes_.size());
    T* const scores = state.relevant.resize(n);
    if (n == 0) return;
    kernels_.pair_scores(model_.user_factors.data, model_.item_factors.data, ranked_.biases, ranked_.factors.cols,
                         rows_.data(), codes_.data(), n, scores);
    for (Index k = 0; k < n; ++k) {
      scores[k] += users.bases[static_cast<std::size_t>(i)];
      require(std::isfinite(scores[k]), "the model estimates ", scores[k], " for user code ", user, " and item code ",
              codes_[static_cast<std::size_t>(k)], ": only finite scores can be ranked");
    }
    state.relevant.sort();
    thresholds_[q] = std::nextafter(state.relevant.lowest(), -std::numeric_limits<T>::infinity());
  }

  void take(Index q) {
    State& state = state_of(q);
    ScoredItem<T>* const found = found_.data() + q * kRankingStrip;
    const Code* skip = state.seen.data();
    const Code* const skip_end = skip + state.seen.size();
    Index n = counts_[q];
    if (n > 0 && skip != skip_end && *skip <= found[n - 1].item) {
      Index kept = 0;
      for (Index k = 0; k < n; ++k) {
        while (skip != skip_end && *skip < found[k].item) ++skip;
        found[kept] = found[k];
        kept += skip == skip_end || *skip != found[k].item;
      }
      n = kept;
    }
    state.seen = {skip, skip_end};
    state.n_found += n;
    state.n_above += state.relevant.count_above(found, n);
    counts_[q] = 0;
  }

  double auc(Index q) {
    const State& state = state_of(q);
    const Index n_relevant = state.relevant.size();
    const Index n_others = state.n_candidates - n_relevant;
    if (n_relevant == 0 || n_others == 0) return std::numeric_limits<double>::quiet_NaN();
    const Index twice_wins = 2 * n_relevant * (state.n_candidates - state.n_found) + state.n_above -
                             n_relevant * n_relevant;
    return static_cast<double>(twice_wins) / (2 * static_cast<double>(n_relevant) * static_cast<double>(n_others));
  }

  const Kernels<T>& kernels_;
  const ModelView<T>& model_;
  const RankedItems<T>& ranked_;
  const Candidates& candidates_;
  PackedQueries<T> queries_;
  AlignedBuffer<T> thresholds_;
  AlignedBuffer<std::int32_t> counts_;
  AlignedBuffer<ScoredItem<T>> found_;
  AlignedBuffer<T> workspace_;
  std::vector<State> states_;
  std::vector<Code> codes_, rows_;
};

}  // namespace

template <class T>
void ranking_auc(const ModelView<T>& model, std::span<const Code> users, const PatternView& relevant,
                 const PatternView* seen, std::span<double> out, int n_threads) {
  require_consistent(model);
  const auto n_users = static_cast<Index>(users.size());
  require_length("out", out, n_users);
  const Candidates candidates(model, users, relevant, seen, n_threads);
  const RankingQueries<T> queries = user_queries(model, users);
  const RankedItems<T> ranked = ranked_items(model);
  const int threads = resolve_threads(n_threads);
  std::vector<std::unique_ptr<AucBlock<T>>> blocks(static_cast<std::size_t>(threads));
  parallel_for((n_users + AucBlock<T>::kMostUsers - 1) / AucBlock<T>::kMostUsers, threads, [&](Index i, int thread) {
    auto& block = blocks[static_cast<std::size_t>(thread)];
    if (!block) block = std::make_unique<AucBlock<T>>(model, ranked, candidates);
    const Index begin = i * AucBlock<T>::kMostUsers;
    block->run(queries, begin, std::min(begin + AucBlock<T>::kMostUsers, n_users), out.data());
  });
}

#define MATFAC_INSTANTIATE(T)                                                                          \
  template MATFAC_API void ranking_auc(const ModelView<T>&, std::span<const Code>, const PatternView&, \
                                       const PatternView*, std::span<double>, int);
MATFAC_INSTANTIATE(float)
MATFAC_INSTANTIATE(double)
#undef MATFAC_INSTANTIATE

}  // namespace matfac
