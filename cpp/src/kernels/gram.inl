// One row of alternating least squares.
//
// For a row with ratings t_i of fixed rows v_i (i = 1..n) and an own bias b, the minimizer of
//   1/2 sum (t_i - b - v_i . x)^2 + 1/2 lambda |x|^2 + 1/2 beta b^2
// solves the bordered system
//   [ A    g ] [x]   [h]      A = V^T V + lambda I,   g = V^T 1,   h = V^T t,
//   [ g^T  c ] [b] = [s]      c = n + beta,           s = sum t_i.
// With A = U^T U, y = U^-T h and z = U^-T g, the bias is eliminated by
//   b = (s - z . y) / (c - z . z),   x = U^-1 (y - b z):
// the Gram matrix keeps the width of the factors, and the bias costs one more right-hand side.
//
// A row with fewer ratings than factors is solved the other way round, with K = V V^T + lambda I = U^T U of the size of
// its ratings (lambda > 0), y = U^-T t and z = U^-T 1:
//   b = lambda z . y / (lambda z . z + beta),   x = V^T U^-1 (y - b z).
//
// Weights d_i of the squares: with D = diag(d), A = V^T D V + lambda I, g = V^T d, h = V^T D t, c = sum d_i + beta. The
// roots of the weights scale the rows of the panel once both sides have been taken, and the matrix is a product of a
// panel with itself as ever; only where weights are negative (beside a `base` that makes up for it) a second panel
// takes their signs. The other way round, roots of the weights scale V, t and 1.

namespace matfac {
namespace {

// The panel of gathered rows fits the first-level cache beside the tile. Processors with AVX-512 mostly have 48 KB of
// it, which hold the rows of the next panel too: those are fetched into it then, else into the second-level cache.
#if defined(__AVX512F__)
constexpr int kFetchedTo = 3;
constexpr Index kPanelBytes = 12288, kLeastPanelRows = 40;
#else
constexpr int kFetchedTo = 2;
constexpr Index kPanelBytes = 20480, kLeastPanelRows = 16;
#endif
template <class T>
MATFAC_INLINE Index panel_rows(Index stride) {
  const Index rows = kPanelBytes / (stride * static_cast<Index>(sizeof(T)));
  return rows < kLeastPanelRows ? kLeastPanelRows : rows;
}

template <class T>
constexpr Index padded_width(Index n) {
  return (n + kGroup<T> - 1) / kGroup<T> * kGroup<T>;
}

// Entries of a panel, of whichever orientation.
template <class T>
MATFAC_INLINE Index panel_entries(Index stride) {
  const Index rows = panel_rows<T>(stride);
  return (rows > stride ? rows : stride) * stride;
}

// How the memory of a system is cut: the matrix and its vectors, each a whole number of groups, so that all are
// aligned.
template <class T>
struct RowSystem {
  RowSystem() = default;
  RowSystem(T* memory, Index stride)
      : a(memory),
        diagonal(a + stride * system_lda<T>(stride)),
        inverse_pivots(diagonal + stride),
        x(inverse_pivots + stride),
        h(x + stride) {}
  T *a, *diagonal, *inverse_pivots, *x, *h;  // g follows h
};
template <class T>
Index row_system_size(Index n_factors) {
  const Index stride = padded_width<T>(n_factors);
  return stride * (system_lda<T>(stride) + 5);
}

// What accumulating systems needs beside them.
template <class T>
struct RowPanels {
  RowPanels(T* memory, Index stride)
      : targets(memory),
        panel(targets + padded_width<T>(panel_rows<T>(stride)) + stride),
        roots(panel + panel_entries<T>(stride)),
        left(roots + padded_width<T>(panel_rows<T>(stride)) + stride) {}
  T *targets, *panel, *roots, *left;
};
template <class T>
Index row_panels_size(Index n_factors) {
  const Index stride = padded_width<T>(n_factors);
  return 2 * (padded_width<T>(panel_rows<T>(stride)) + stride + panel_entries<T>(stride));
}

// The Cholesky factor may be off by about this much of the diagonal.
template <class T>
MATFAC_INLINE T negligible(Index size, Index n) {
  return static_cast<T>(size + min_index(n, size)) * (sizeof(T) == 4 ? T(4.8e-7) : T(8.9e-16));
}

// What the own bias and factors are to explain: the rating without mean and the other side's bias. Returns `total` and
// their sum where there is a bias, which alone needs it: term by term it takes longer than all else here, but so it
// does not depend on how a row is cut into panels.
template <class T>
MATFAC_INLINE double gather_targets(const RowProblem<T>& p, Index start, Index n, T* targets, double total = 0) {
  const T* const values = p.values + start;
  if (p.offsets != nullptr) {
    for (Index k = 0; k < n; ++k) targets[k] = values[k] - p.mean - p.offsets[p.codes[start + k]];
  } else {
    for (Index k = 0; k < n; ++k) targets[k] = values[k] - p.mean;
  }
  if (p.has_bias) {
    for (Index k = 0; k < n; ++k) total += static_cast<double>(targets[k]);
  }
  return total;
}

// How many entries of a fixed row can be loaded in whole groups.
template <class T>
MATFAC_INLINE Index whole_entries(const RowProblem<T>& p, Index stride) {
  return p.is_padded ? stride : p.n_factors / kGroup<T> * kGroup<T>;
}

// Copies the rows of ratings [start, start + n) one below the other, padded to `stride`.
template <class T>
MATFAC_INLINE void gather_rows(const RowProblem<T>& p, Index start, Index n, Index stride, T* panel) {
  const Index whole = whole_entries(p, stride);
  const PartialGroup<T> part(whole < stride ? p.n_factors - whole : 0);
  for (Index k = 0; k < n; ++k) {
    const T* const v = p.fixed + p.codes[start + k] * p.fixed_stride;
    T* const row = panel + k * stride;
    for (Index f = 0; f < whole; f += kGroup<T>) store_group(row + f, load_group(v + f));
    if (whole < stride) store_group(row + whole, load_partial(v + whole, part));
  }
}

// The same, transposed: row f of `panel` (of `width` entries) holds factor f of every rating, zero beyond the n-th:
// that of a row that `zeros` becomes.
template <class T>
MATFAC_INLINE void gather_columns(const RowProblem<T>& p, Index n, Index width, T* panel, T* zeros) {
  using Column = typename Square<T>::Column;
  constexpr Index kRows = Square<T>::kItems, kColumns = Square<T>::kFactors;
  const Index whole = p.n_factors / kColumns * kColumns;
  for (Index f = 0; f < p.n_factors; ++f) zeros[f] = T(0);
  for (Index k = 0; k < width; k += kRows) {
    const T* v[kRows];
    for (Index i = 0; i < kRows; ++i) v[i] = k + i < n ? p.fixed + p.codes[k + i] * p.fixed_stride : zeros;
    for (Index f = 0; f < whole; f += kColumns) {
      Column columns[kColumns];
      Square<T>::load(v, f, columns);
      for (Index i = 0; i < kColumns; ++i) *reinterpret_cast<Column*>(panel + (f + i) * width + k) = columns[i];
    }
    for (Index f = whole; f < p.n_factors; ++f) {
      for (Index i = 0; i < kRows; ++i) panel[f * width + k + i] = v[i][f];
    }
  }
}

// Loads the registers of rows that are whole.
template <class T>
struct WholeRegisters {
  MATFAC_INLINE Register<T> operator()(const T* p, int i) const { return load_register(p + i * kWidth<T>); }
};

// The same for the entries [f, f + kCount registers) of the rows, which `load` loads, and with them
// h += panel^T targets and, with kSums, g += panel^T 1.
template <class T, int kCount, bool kSums, class Load>
MATFAC_INLINE void gather_with_sides(const RowProblem<T>& p, Index start, Index n, Index stride, Index f,
                                     const T* targets, const Load& load, T* panel, T* h) {
  Register<T> with_target[kCount], plain[kCount];
  T* const g = h + stride;
  for (int j = 0; j < kCount; ++j) {
    with_target[j] = load_register(h + f + j * kWidth<T>);
    if (kSums) plain[j] = load_register(g + f + j * kWidth<T>);
  }
  for (Index k = 0; k < n; ++k) {
    const T* const v = p.fixed + p.codes[start + k] * p.fixed_stride + f;
    T* const row = panel + k * stride + f;
    const Register<T> target = splat(targets[k]);
    for (int j = 0; j < kCount; ++j) {
      const Register<T> x = load(v, j);
      store_register(row + j * kWidth<T>, x);
      with_target[j] = fma(target, x, with_target[j]);
      if (kSums) plain[j] += x;
    }
  }
  for (int j = 0; j < kCount; ++j) {
    store_register(h + f + j * kWidth<T>, with_target[j]);
    if (kSums) store_register(g + f + j * kWidth<T>, plain[j]);
  }
}

// Gathers rows and adds their right-hand sides in one go.
template <class T, bool kSums>
MATFAC_INLINE void gather_all(const RowProblem<T>& p, Index start, Index n, Index stride, const T* targets, T* panel,
                              T* h) {
  constexpr WholeRegisters<T> kWhole;
  const Index whole = whole_entries(p, stride);
  Index f = 0;
  for (; f + 4 * kWidth<T> <= whole; f += 4 * kWidth<T>) {
    gather_with_sides<T, 4, kSums>(p, start, n, stride, f, targets, kWhole, panel, h);
  }
  for (; f + 2 * kWidth<T> <= whole; f += 2 * kWidth<T>) {
    gather_with_sides<T, 2, kSums>(p, start, n, stride, f, targets, kWhole, panel, h);
  }
  for (; f < whole; f += kWidth<T>) {
    gather_with_sides<T, 1, kSums>(p, start, n, stride, f, targets, kWhole, panel, h);
  }
  if (whole < stride) {
    const PartialGroup<T> part(p.n_factors - whole);
    gather_with_sides<T, kRegisters, kSums>(p, start, n, stride, whole, targets, part, panel, h);
  }
}

// h += panel^T targets, g += panel^T weights, and then the rows of the panel are multiplied by `roots`.
template <class T>
__attribute__((noinline)) void add_weighted_sides(T* panel, const T* targets, const T* weights, const T* roots, Index n,
                                                  Index stride, T* h) {
  T* const g = h + stride;
  for (Index f = 0; f < stride; f += kGroup<T>) {
    Group<T> with_target = load_group(h + f), weighted = load_group(g + f);
    for (Index k = 0; k < n; ++k) {
      const Group<T> v = load_group(panel + k * stride + f);
      with_target = fma(splat_group(targets[k]), v, with_target);
      weighted = fma(splat_group(weights[k]), v, weighted);
      store_group(panel + k * stride + f, multiply(splat_group(roots[k]), v));
    }
    store_group(h + f, with_target);
    store_group(g + f, weighted);
  }
}

// The targets (times weights) and the roots of the weights' sizes. Returns `total` and the sum of the targets.
template <class T>
MATFAC_INLINE double gather_weights(const RowProblem<T>& p, Index start, Index n, T* targets, T* roots,
                                    double total = 0) {
  for (Index k = 0; k < n; ++k) {
    const T weight = p.weights[start + k];
    targets[k] = p.values[start + k];
    roots[k] = square_root(weight < T(0) ? -weight : weight);
    total += static_cast<double>(targets[k]);
  }
  return total;
}

// The panel with the signs of the weights.
template <class T>
MATFAC_INLINE const T* signed_panel(const RowProblem<T>& p, Index start, Index n, Index stride, const T* panel,
                                    T* left) {
  if (!p.has_negative_weights) return panel;
  for (Index k = 0; k < n; ++k) {
    const T sign = p.weights[start + k] < T(0) ? T(-1) : T(1);
    for (Index f = 0; f < stride; ++f) left[k * stride + f] = sign * panel[k * stride + f];
  }
  return left;
}

// Fetches the rows that will be gathered next, a dozen lines at a time while others are computed with: a burst would
// wait.
template <class T>
class Prefetch {
 public:
  MATFAC_INLINE Prefetch(const RowProblem<T>& p, const Code* begin, const Code* end) : p_(p), next_(begin), end_(end) {}

  // From behind rating `begin` on as many rows as a panel has, but for those that have been asked for.
  static MATFAC_INLINE Prefetch behind(const RowProblem<T>& p, Index begin, Index panel_size) {
    return {p, *p.fetched > p.codes + begin ? *p.fetched : p.codes + begin,
            p.codes + min_index(p.n + p.n_ahead, begin + panel_size)};
  }

  MATFAC_INLINE void operator()() {
    constexpr Index kLine = 64 / static_cast<Index>(sizeof(T)), kLines = 12;
    Index n = 0;
    for (; n < kLines * kLine && next_ < end_; n += p_.n_factors, ++next_) {
      const T* const v = p_.fixed + *next_ * p_.fixed_stride;
      for (Index f = 0; f < p_.n_factors; f += kLine) __builtin_prefetch(v + f, 0, kFetchedTo);
      if (!p_.is_padded && p_.n_factors % kLine != 0) __builtin_prefetch(v + p_.n_factors - 1, 0, kFetchedTo);
      if (p_.offsets != nullptr) __builtin_prefetch(p_.offsets + *next_, 0, kFetchedTo);
    }
  }
  MATFAC_INLINE const Code* next() const { return next_; }

 private:
  const RowProblem<T>& p_;
  const Code *next_, *end_;
};

// Adds ratings [start, start + count) to the system: A (its upper triangle, and what shares a band of rows and a
// register with it), h and, where there is a bias, g; sets them if `is_fresh`. Returns the sum of the targets.
template <class T>
double accumulate_row(const RowProblem<T>& p, Index start, Index count, bool is_fresh, T* system, T* panels) {
  const Index stride = padded_width<T>(p.n_factors), lda = system_lda<T>(stride), panel_size = panel_rows<T>(stride);
  const RowSystem<T> s(system, stride);
  const RowPanels<T> w(panels, stride);
  if (is_fresh) {
    for (Index f = 0; f < 2 * stride; ++f) s.h[f] = T(0);
  }
  double total = 0;
  for (const Index stop = start + count; start < stop; start += panel_size) {
    const Index n = min_index(panel_size, stop - start);
    const T* left = w.panel;
    if (p.weights == nullptr) {
      total = gather_targets(p, start, n, w.targets, total);
      if (p.has_bias) {
        gather_all<T, true>(p, start, n, stride, w.targets, w.panel, s.h);
      } else {
        gather_all<T, false>(p, start, n, stride, w.targets, w.panel, s.h);
      }
    } else {
      gather_rows(p, start, n, stride, w.panel);
      total = gather_weights(p, start, n, w.targets, w.roots, total);
      add_weighted_sides(w.panel, w.targets, p.weights + start, w.roots, n, stride, s.h);
      left = signed_panel(p, start, n, stride, w.panel, w.left);
    }
    auto ahead = Prefetch<T>::behind(p, start + n, panel_size);
    update_upper(left, w.panel, n, stride, p.n_factors, is_fresh, s.a, lda, ahead);
    *p.fetched = ahead.next();
    is_fresh = false;
  }
  return total;
}

// Adds another system to this one.
template <class T>
void add_system(Index n_factors, const T* other, T* system) {
  const Index stride = padded_width<T>(n_factors);
  const RowSystem<T> s(system, stride);
  const T* const other_h = other + (s.h - s.a);
  for (Index i = 0; i < stride * system_lda<T>(stride); ++i) s.a[i] += other[i];
  for (Index f = 0; f < 2 * stride; ++f) s.h[f] += other_h[f];
}

}  // namespace
}  // namespace matfac
