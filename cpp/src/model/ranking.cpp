#include "model/ranking.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "core/parallel.hpp"
#include "model/query_block.hpp"

namespace matfac {
namespace {

constexpr Index divide_up(Index a, Index b) { return (a + b - 1) / b; }

/// Blocks of queries against parts of the items. The result does not depend on it.
struct Plan {
  Index block, n_blocks;  // queries in a block
  Index part, n_parts;    // items in a part, whole strips
};

/// Blocks are as large as the second-level cache allows, the better to use the items once they have been fetched. The
/// items are divided only where there are too few queries for all threads, and enough to do: waiting for a thread that
/// the system does not run just then can take milliseconds.
template <class T>
Plan make_plan(Index n_queries, const RankedItems<T>& ranked, Index n, Index threads) {
  constexpr Index kBytes = 256 * 1024, kBytesFound = 4 * 1024 * 1024, kMostQueries = 1024, kLeastQueries = 48;
  constexpr Index kLeastItems = 1024;
  // A part takes some tenths of a millisecond. To fetch and rearrange an item costs as much as this many queries.
  constexpr Index kLeastProducts = Index{1} << 24, kQueriesToFetch = 10;
  const Index n_items = ranked.factors.rows, n_factors = ranked.factors.cols;
  Index most = std::min(kBytes / (n_factors * static_cast<Index>(sizeof(T))), kMostQueries);
  most = std::min(most, kBytesFound / QueryBlock<T>::bytes_found(n, n_items)) / kRankingGroup * kRankingGroup;
  most = std::max(most, kRankingGroup);

  Index n_blocks = divide_up(n_queries, most * threads) * threads, n_parts = 1;
  if (n_queries < n_blocks * kLeastQueries) {
    n_blocks = std::max(divide_up(n_queries, most), n_queries / kLeastQueries);
    const Index products = n_factors * (kQueriesToFetch + divide_up(n_queries, n_blocks));
    const Index least = std::max({kLeastItems, 8 * n, kLeastProducts / products});
    if (n_blocks < threads) n_parts = std::clamp<Index>(n_items / least, 1, divide_up(threads, n_blocks));
  }
  Plan plan;
  plan.block = divide_up(n_queries, n_blocks);
  if (n_blocks > 1) plan.block = divide_up(plan.block, kRankingGroup) * kRankingGroup;
  plan.n_blocks = divide_up(n_queries, plan.block);
  plan.part = divide_up(divide_up(n_items, n_parts), kRankingStrip) * kRankingStrip;
  plan.n_parts = divide_up(n_items, plan.part);
  return plan;
}

template <class T>
void write_row(const ScoredItem<T>* best, Index count, Index q, MatrixView<Code> items, MatrixView<T> scores) {
  for (Index i = 0; i < items.cols; ++i) {
    items.row(q)[i] = i < count ? best[i].item : Code{-1};
    scores.row(q)[i] = i < count ? best[i].score : -std::numeric_limits<T>::infinity();
  }
}

/// The best of each part of the items, for each query.
template <class T>
class Parts {
 public:
  Parts(Index n_queries, Index n_parts, Index n)
      : n_parts_(n_parts), n_(n), counts_(n_queries * n_parts), best_(n_queries * n_parts * n) {}

  void put(Index q, Index part, const ScoredItem<T>* best, Index count) {
    std::copy_n(best, count, best_.data() + (q * n_parts_ + part) * n_);
    counts_[q * n_parts_ + part] = count;
  }

  void write(Index q, MatrixView<Code> items, MatrixView<T> scores) {
    ScoredItem<T>* const row = best_.data() + q * n_parts_ * n_;
    Index count = 0;
    for (Index part = 0; part < n_parts_; ++part) {
      const ScoredItem<T>* const from = row + part * n_;
      std::copy(from, from + counts_[q * n_parts_ + part], row + count);
      count += counts_[q * n_parts_ + part];
    }
    const Index kept = std::min(count, n_);
    std::partial_sort(row, row + kept, row + count, RanksBefore{});
    write_row(row, kept, q, items, scores);
  }

 private:
  Index n_parts_, n_;
  AlignedBuffer<Index> counts_;
  AlignedBuffer<ScoredItem<T>> best_;
};

}  // namespace

template <class T>
void rank(const RankingQueries<T>& queries, const RankedItems<T>& ranked, Index n, MatrixView<Code> items,
          MatrixView<T> scores, int n_threads) {
  const Index n_queries = queries.size(), n_items = ranked.factors.rows;
  const int threads = resolve_threads(n_threads);
  if (n_items == 0) {
    for (Index q = 0; q < n_queries; ++q) write_row<T>(nullptr, 0, q, items, scores);
  }
  if (n_queries == 0 || n_items == 0) return;

  const Index kept = std::min(n, n_items);
  const Plan plan = make_plan(n_queries, ranked, kept, threads);
  std::vector<std::unique_ptr<QueryBlock<T>>> blocks(static_cast<std::size_t>(threads));
  Parts<T> parts(plan.n_parts > 1 ? n_queries : 0, plan.n_parts, kept);
  parallel_for(plan.n_blocks * plan.n_parts, threads, [&](Index task, int thread) {
    auto& block = blocks[static_cast<std::size_t>(thread)];
    if (!block) block = std::make_unique<QueryBlock<T>>(plan.block, kept, ranked);
    const Index begin = task / plan.n_parts * plan.block, part = task % plan.n_parts;
    block->load(queries, begin, std::min(begin + plan.block, n_queries));
    block->rank(part * plan.part, std::min((part + 1) * plan.part, n_items));
    for (Index q = 0; q < block->size(); ++q) {
      if (plan.n_parts > 1) {
        parts.put(begin + q, part, block->best(q), block->count(q));
      } else {
        write_row(block->best(q), block->count(q), begin + q, items, scores);
      }
    }
  });
  if (plan.n_parts == 1) return;
  for (Index q = 0; q < n_queries; ++q) parts.write(q, items, scores);
}

template void rank(const RankingQueries<float>&, const RankedItems<float>&, Index, MatrixView<Code>, MatrixView<float>,
                   int);
template void rank(const RankingQueries<double>&, const RankedItems<double>&, Index, MatrixView<Code>,
                   MatrixView<double>, int);

}  // namespace matfac
