// Scores of many queries for many items, of which only those above a threshold are let through.
//
// The score of a query with factors u and base a for an item with factors v and bias b is
//   ((b + u_1 v_1) + ... + u_F v_F) + a,
// each + u_f v_f in one rounding where the level has it. An item is a lane and the factors are added in order, so a
// score depends neither on what is asked beside it nor on the width of the registers.
//
// Items are taken a strip at a time and rearranged by panels of two registers: all biases, then all first factors, and
// so on. A panel lies in the first-level cache while tiles of some queries by one panel pass over it. For a query alone
// nothing is kept: its items are rearranged in the registers that are multiplied next.

namespace matfac {
namespace {

constexpr int kPanelRegisters = 2;
template <class T>
constexpr Index kPanelItems = kPanelRegisters * kWidth<T>;
template <class T>
constexpr Index kStripPanels = kRankingStrip / kPanelItems<T>;

// Queries in a tile: accumulators, the panel's two registers and a broadcast fill the registers.
#if defined(__AVX512F__)
constexpr int kTileQueries = 12;
#else
constexpr int kTileQueries = 6;
#endif
static_assert(kRankingGroup % kTileQueries == 0);

// For a query alone the panels take the place of the other queries: sums enough to hide the latency of one.
template <class T>
constexpr int kSinglePanels = kStripPanels<T> < 4 ? kStripPanels<T> : 4;
static_assert(kStripPanels<float> % kSinglePanels<float> == 0 && kStripPanels<double> % kSinglePanels<double> == 0);

// The larger of each two lanes, and a bit for each lane with a > b.
#if defined(__AVX512F__)
MATFAC_INLINE Register<float> larger(Register<float> a, Register<float> b) {
  return reinterpret_cast<Register<float>>(_mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
}
MATFAC_INLINE Register<double> larger(Register<double> a, Register<double> b) {
  return reinterpret_cast<Register<double>>(_mm512_max_pd(reinterpret_cast<__m512d>(a), reinterpret_cast<__m512d>(b)));
}
MATFAC_INLINE unsigned lanes_above(Register<float> a, Register<float> b) {
  return _mm512_cmp_ps_mask(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), _CMP_GT_OQ);
}
MATFAC_INLINE unsigned lanes_above(Register<double> a, Register<double> b) {
  return _mm512_cmp_pd_mask(reinterpret_cast<__m512d>(a), reinterpret_cast<__m512d>(b), _CMP_GT_OQ);
}
#elif defined(__AVX2__)
MATFAC_INLINE Register<float> larger(Register<float> a, Register<float> b) {
  return reinterpret_cast<Register<float>>(_mm256_max_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
}
MATFAC_INLINE Register<double> larger(Register<double> a, Register<double> b) {
  return reinterpret_cast<Register<double>>(_mm256_max_pd(reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b)));
}
MATFAC_INLINE unsigned lanes_above(Register<float> a, Register<float> b) {
  return static_cast<unsigned>(
      _mm256_movemask_ps(_mm256_cmp_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), _CMP_GT_OQ)));
}
MATFAC_INLINE unsigned lanes_above(Register<double> a, Register<double> b) {
  return static_cast<unsigned>(
      _mm256_movemask_pd(_mm256_cmp_pd(reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b), _CMP_GT_OQ)));
}
#else
template <class R>
MATFAC_INLINE R larger(R a, R b) {
  return a > b ? a : b;
}
#if defined(__SSE2__)
MATFAC_INLINE unsigned lanes_above(Register<float> a, Register<float> b) {
  return static_cast<unsigned>(_mm_movemask_ps(reinterpret_cast<__m128>(a > b)));
}
MATFAC_INLINE unsigned lanes_above(Register<double> a, Register<double> b) {
  return static_cast<unsigned>(_mm_movemask_pd(reinterpret_cast<__m128d>(a > b)));
}
#else
template <class R>
MATFAC_INLINE unsigned lanes_above(R a, R b) {
  constexpr int kLanesOfR = static_cast<int>(sizeof(R) / sizeof(a[0]));
  unsigned bits = 0;
  for (int i = 0; i < kLanesOfR; ++i) bits |= static_cast<unsigned>(a[i] > b[i]) << i;
  return bits;
}
#endif
#endif

template <class T>
MATFAC_INLINE typename Square<T>::Column fma_column(typename Square<T>::Column a, typename Square<T>::Column b,
                                                    typename Square<T>::Column c) {
#if defined(__AVX512F__)
  // Narrower than this level's registers.
  if constexpr (sizeof(T) == 4) {
    return reinterpret_cast<typename Square<T>::Column>(
        _mm256_fmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
  } else {
    return reinterpret_cast<typename Square<T>::Column>(
        _mm256_fmadd_pd(reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b), reinterpret_cast<__m256d>(c)));
  }
#else
  return fma(a, b, c);
#endif
}

// Rearranges the items [first, first + kPanelItems), as far as there are any below `end`. What is left of the panel has
// a bias of -infinity, so that it is above no threshold.
template <class T>
MATFAC_INLINE void pack_panel(const RankingBlock<T>& block, Index first, Index end, T* panel) {
  constexpr Index kItems = Square<T>::kItems, kFactors = Square<T>::kFactors;
  using Column = typename Square<T>::Column;
  const Index n_factors = block.n_factors;
  for (Index i = 0; i < kPanelItems<T>; ++i) {
    const T bias = block.item_biases != nullptr && first + i < end ? block.item_biases[first + i] : T(0);
    panel[i] = first + i < end ? bias : -static_cast<T>(__builtin_inf());
  }
  for (Index i = 0; i < kPanelItems<T>; i += kItems) {
    const T* rows[kItems];
    Column scale;
    for (Index k = 0; k < kItems; ++k) {
      const Index item = min_index(first + i + k, end - 1);
      rows[k] = block.item_factors + item * n_factors;
      scale[k] = block.item_scales != nullptr ? block.item_scales[item] : T(1);
    }
    T* out = panel + kPanelItems<T> + i;
    Index f = 0;
    for (; f + kFactors <= n_factors; f += kFactors) {
      // Rows follow each other, so this reaches each line of the next panel once.
      for (Index k = 0; k < kItems * kFactors; k += kGroup<T>)
        __builtin_prefetch(rows[0] + f * kItems + k + kPanelItems<T> * n_factors);
      Column columns[kFactors];
      Square<T>::load(rows, f, columns);
      for (Index k = 0; k < kFactors; ++k, out += kPanelItems<T>) *reinterpret_cast<Column*>(out) = columns[k] * scale;
    }
    for (; f < n_factors; ++f, out += kPanelItems<T>) {
      for (Index k = 0; k < kItems; ++k) out[k] = rows[k][f] * scale[k];
    }
  }
}

// Keeps those of a tile's sums that are above the query's threshold once its base has been added.
template <class T, int kQueries, int kRegs>
__attribute__((noinline)) void keep_found(const RankingBlock<T>& block, const T* sums, Index query, Index item) {
  for (Index q = query; q < query + kQueries; ++q, sums += kRegs * kWidth<T>) {
    const T base = block.bases[q];
    const Register<T> bases = splat(base), thresholds = splat(block.thresholds[q]);
    std::uint64_t above = 0;
    for (int r = 0; r < kRegs; ++r) {
      const Register<T> scores = load_register(sums + r * kWidth<T>) + bases;
      above |= static_cast<std::uint64_t>(lanes_above(scores, thresholds)) << (r * kWidth<T>);
    }
    if (above == 0) continue;
    ScoredItem<T>* next = block.found + q * block.room + block.counts[q];
    for (; above != 0; above &= above - 1) {
      const int lane = __builtin_ctzll(above);
      *next++ = {sums[lane] + base, static_cast<Code>(item + lane)};
    }
    block.counts[q] = static_cast<std::int32_t>(next - (block.found + q * block.room));
  }
}

// Some queries, of which factor f lies at queries[f * query_stride], with some panels.
template <class T, int kQueries, int kPanels>
MATFAC_INLINE void score_tile(const RankingBlock<T>& block, const T* queries, Index query_stride, Index query,
                              const T* panels, Index item) {
  constexpr int kRegs = kPanels * kPanelRegisters;
  const Index panel_size = (block.n_factors + 1) * kPanelItems<T>;
  Register<T> acc[kQueries][kRegs];
  for (int r = 0; r < kRegs; ++r) {
    const Register<T> bias = load_register(panels + r / kPanelRegisters * panel_size + r % kPanelRegisters * kWidth<T>);
    for (int q = 0; q < kQueries; ++q) acc[q][r] = bias;
  }
  const T* v = panels + kPanelItems<T>;
#pragma GCC unroll 4
  for (Index f = 0; f < block.n_factors; ++f, v += kPanelItems<T>, queries += query_stride) {
    Register<T> x[kRegs];
    for (int r = 0; r < kRegs; ++r) {
      x[r] = load_register(v + r / kPanelRegisters * panel_size + r % kPanelRegisters * kWidth<T>);
    }
    for (int q = 0; q < kQueries; ++q) {
      const Register<T> u = splat(queries[q]);
      for (int r = 0; r < kRegs; ++r) acc[q][r] = fma(u, x[r], acc[q][r]);
    }
  }
  const T* const bases = block.bases + query;
  const T* const thresholds = block.thresholds + query;
  unsigned above = 0;
  for (int q = 0; q < kQueries; ++q) {
    Register<T> largest = acc[q][0];
    for (int r = 1; r < kRegs; ++r) largest = larger(largest, acc[q][r]);
    above |= lanes_above(largest + splat(bases[q]), splat(thresholds[q]));  // rounding keeps the order
  }
  if (above == 0) return;
  // Only now into memory, by constant places: otherwise the compiler would keep the sums there from the beginning.
  alignas(64) T sums[kQueries * kRegs * kWidth<T>];
  for (int q = 0; q < kQueries; ++q) {
    for (int r = 0; r < kRegs; ++r) store_register(sums + (q * kRegs + r) * kWidth<T>, acc[q][r]);
  }
  keep_found<T, kQueries, kRegs>(block, sums, query, item);
}

// out[i] = (b + u_1 v_1) + ... + u_F v_F of pair i: the sums of the tiles above, so that a pair's estimate is its score
// in a ranking to the bit. Pairs are lanes.
template <class T>
void pair_scores(const T* user_factors, const T* item_factors, const T* item_biases, Index n_factors, const Code* users,
                 const Code* items, Index n, T* out) {
  constexpr Index kItems = Square<T>::kItems, kFactors = Square<T>::kFactors;
  constexpr Index kChains = 2;  // to hide the latency of one
  using Column = typename Square<T>::Column;
  for (Index first = 0; first < n; first += kChains * kItems) {
    const T *u[kChains][kItems], *v[kChains][kItems];
    Column acc[kChains];
    for (Index c = 0; c < kChains; ++c) {
      for (Index k = 0; k < kItems; ++k) {
        const Index i = min_index(first + c * kItems + k, n - 1);
        u[c][k] = user_factors + users[i] * n_factors;
        v[c][k] = item_factors + items[i] * n_factors;
        acc[c][k] = item_biases != nullptr ? item_biases[items[i]] : T(0);
        const Index later = min_index(i + kChains * kItems, n - 1);
        for (Index f = 0; f < n_factors; f += kGroup<T>) {
          __builtin_prefetch(user_factors + users[later] * n_factors + f);
          __builtin_prefetch(item_factors + items[later] * n_factors + f);
        }
      }
    }
    Index f = 0;
    for (; f + kFactors <= n_factors; f += kFactors) {
      for (Index c = 0; c < kChains; ++c) {
        Column x[kFactors], y[kFactors];
        Square<T>::load(u[c], f, x);
        Square<T>::load(v[c], f, y);
        for (Index k = 0; k < kFactors; ++k) acc[c] = fma_column<T>(x[k], y[k], acc[c]);
      }
    }
    for (; f < n_factors; ++f) {
      for (Index c = 0; c < kChains; ++c) {
        for (Index k = 0; k < kItems; ++k) acc[c][k] = fma_scalar(u[c][k][f], v[c][k][f], acc[c][k]);
      }
    }
    for (Index i = first; i < min_index(first + kChains * kItems, n); ++i)
      out[i] = acc[(i - first) / kItems][(i - first) % kItems];
  }
}

template <class T>
Index ranking_workspace(Index n_factors) {
  return (n_factors + 1) * kRankingStrip;
}

// sums[i] = (b + u_1 v_1) + ... + u_F v_F of one query with some squares of items, from `first` on.
template <class T, int kChains, bool kScaled>
MATFAC_INLINE void sum_alone(const RankingBlock<T>& block, Index first, T* sums) {
  constexpr Index kItems = Square<T>::kItems, kFactors = Square<T>::kFactors;
  using Column = typename Square<T>::Column;
  const Index n_factors = block.n_factors;
  const T* const u = block.queries;
  const T* rows[kChains][kItems];
  Column acc[kChains], scale[kChains];
  for (Index c = 0; c < kChains; ++c) {
    const Index item = first + c * kItems;
    for (Index k = 0; k < kItems; ++k) rows[c][k] = block.item_factors + (item + k) * n_factors;
    acc[c] = Column{};
    if (block.item_biases != nullptr) __builtin_memcpy(&acc[c], block.item_biases + item, sizeof(Column));
    if constexpr (kScaled) __builtin_memcpy(&scale[c], block.item_scales + item, sizeof(Column));
  }
  Index f = 0;
  for (; f + kFactors <= n_factors; f += kFactors) {
    for (Index c = 0; c < kChains; ++c) {
      // Rows follow each other, so this reaches each line of later items once.
      for (Index k = 0; k < kItems * kFactors; k += kGroup<T>)
        __builtin_prefetch(rows[c][0] + f * kItems + k + 2 * kChains * kItems * n_factors);
      Column x[kFactors];
      Square<T>::load(rows[c], f, x);
      for (Index k = 0; k < kFactors; ++k) {
        if constexpr (kScaled) x[k] = x[k] * scale[c];
        acc[c] = fma_column<T>(Column{} + u[f + k], x[k], acc[c]);
      }
    }
  }
  for (; f < n_factors; ++f) {
    for (Index c = 0; c < kChains; ++c) {
      for (Index k = 0; k < kItems; ++k) {
        const T v = kScaled ? rows[c][k][f] * scale[c][k] : rows[c][k][f];
        acc[c][k] = fma_scalar(u[f], v, acc[c][k]);
      }
    }
  }
  for (Index c = 0; c < kChains; ++c) *reinterpret_cast<Column*>(sums + c * kItems) = acc[c];
}

// A strip for a query that is alone.
template <class T, bool kScaled>
void score_alone(const RankingBlock<T>& block, Index first, Index end) {
  constexpr int kChains = 2;
  constexpr Index kTogether = kChains * Square<T>::kItems;
  static_assert(kRankingStrip % kTogether == 0);
  alignas(64) T sums[kRankingStrip];
  const Index count = min_index(kRankingStrip, end - first);
  Index i = 0;
  for (; i + kTogether <= count; i += kTogether) sum_alone<T, kChains, kScaled>(block, first + i, sums + i);
  for (; i < count; ++i) {  // the last items of all
    const T* const v = block.item_factors + (first + i) * block.n_factors;
    sums[i] = block.item_biases != nullptr ? block.item_biases[first + i] : T(0);
    for (Index f = 0; f < block.n_factors; ++f) {
      const T x = kScaled ? v[f] * block.item_scales[first + i] : v[f];
      sums[i] = fma_scalar(block.queries[f], x, sums[i]);
    }
  }
  for (; i < kRankingStrip; ++i) sums[i] = -static_cast<T>(__builtin_inf());
  keep_found<T, 1, kRankingStrip / static_cast<int>(kWidth<T>)>(block, sums, 0, first);
}

template <class T>
void score_strip(const RankingBlock<T>& block, Index first, Index end) {
  if (block.n_queries == 1 && block.n_grouped == 0) {
    (block.item_scales != nullptr ? score_alone<T, true> : score_alone<T, false>)(block, first, end);
    return;
  }
  const Index n_factors = block.n_factors, panel_size = (n_factors + 1) * kPanelItems<T>;
  const Index n_tiled = min_index(block.n_grouped, block.n_queries);
  for (Index p = 0; p < kStripPanels<T>; ++p) {
    const Index item = first + p * kPanelItems<T>;
    T* const panel = block.workspace + p * panel_size;
    pack_panel(block, item, end, panel);
    for (Index q = 0; q < n_tiled; q += kTileQueries) {
      const Index in_group = q % kRankingGroup;
      const T* const queries = block.queries + (q - in_group) * n_factors + in_group;
      score_tile<T, kTileQueries, 1>(block, queries, kRankingGroup, q, panel, item);
    }
  }
  for (Index q = block.n_grouped; q < block.n_queries; ++q) {
    for (Index p = 0; p < kStripPanels<T>; p += kSinglePanels<T>) {
      score_tile<T, 1, kSinglePanels<T>>(block, block.queries + q * n_factors, 1, q, block.workspace + p * panel_size,
                                         first + p * kPanelItems<T>);
    }
  }
}

}  // namespace
}  // namespace matfac
