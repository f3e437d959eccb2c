// One row of alternating least squares: gather, symmetric rank-n update, Cholesky, back substitution.
//
// For a row with ratings t_i of fixed rows v_i (i = 1..n) and an own bias b, the minimizer of
//   1/2 sum (t_i - b - v_i . x)^2 + 1/2 regularization |x|^2 + 1/2 bias_regularization b^2
// solves the bordered system
//   [ A    g ] [x]   [h]      A = sum v_i v_i^T + regularization I,   g = sum v_i,   h = sum t_i v_i,
//   [ g^T  c ] [b] = [s]      c = n + bias_regularization,            s = sum t_i.
// The bias is eliminated: with A y = g and A z = h, b = (s - g.z) / (c - g.y) and x = z - b y. So the Gram matrix keeps
// the width of the factors, and the bias costs one more right-hand side.

namespace matfac {
namespace {

// Register tile of the update: rows x registers. Chosen so that accumulators, loads and a broadcast fill the registers.
#if defined(__AVX512F__)
constexpr int kTileRows = 8;
#else
constexpr int kTileRows = 4;
#endif
constexpr int kTileRegisters = 3;

// The panel of gathered rows fits the first-level cache beside the tile.
template <class T>
MATFAC_INLINE Index panel_rows(Index stride) {
  const Index rows = 20480 / (stride * static_cast<Index>(sizeof(T)));
  return rows < 16 ? 16 : rows;
}

template <class T>
Index solve_row_workspace(Index stride) {
  return stride * stride + panel_rows<T>(stride) * stride + 5 * stride;
}

// A[0..kRows)[0..kRegs registers) += sum_k panel[k][row] * panel[k][column].
template <class T, int kRows, int kRegs>
MATFAC_INLINE void update_tile(const T* rows, const T* columns, Index n, Index stride, T* a) {
  Register<T> acc[kRows][kRegs];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kRegs; ++j) acc[i][j] = load_register(a + i * stride + j * kWidth<T>);
  }
  for (Index k = 0; k < n; ++k) {
    Register<T> column[kRegs];
    for (int j = 0; j < kRegs; ++j) column[j] = load_register(columns + k * stride + j * kWidth<T>);
    for (int i = 0; i < kRows; ++i) {
      const Register<T> row = splat(rows[k * stride + i]);
      for (int j = 0; j < kRegs; ++j) acc[i][j] = fma(row, column[j], acc[i][j]);
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kRegs; ++j) store_register(a + i * stride + j * kWidth<T>, acc[i][j]);
  }
}

// The upper triangle of A += panel^T panel (and what shares a register with it). Tiles of one register wait for their
// own accumulators, so what is left of a row is split 2 + 2 rather than 3 + 1.
template <class T>
MATFAC_INLINE void update_gram(const T* panel, Index n, Index stride, Index n_factors, T* a) {
  for (Index i = 0; i < n_factors; i += kTileRows) {
    const T* const rows = panel + i;
    Index j = i / kWidth<T> * kWidth<T>;
    while (j < stride) {
      const Index left = (stride - j) / kWidth<T>;
      T* const tile = a + i * stride + j;
      if (left >= kTileRegisters && left != 4) {
        update_tile<T, kTileRows, kTileRegisters>(rows, panel + j, n, stride, tile);
        j += kTileRegisters * kWidth<T>;
      } else if (left >= 2) {
        update_tile<T, kTileRows, 2>(rows, panel + j, n, stride, tile);
        j += 2 * kWidth<T>;
      } else {
        update_tile<T, kTileRows, 1>(rows, panel + j, n, stride, tile);
        j += kWidth<T>;
      }
    }
  }
}

// row -= sum_q factors[q] * rows[q], from the register that holds column `from`.
template <class T, int kCount>
MATFAC_INLINE void eliminate(const T* rows, const T* factors, Index stride, Index from, T* row) {
  Register<T> scale[kCount];
  for (int q = 0; q < kCount; ++q) scale[q] = splat(-factors[q]);
  for (Index j = from / kWidth<T> * kWidth<T>; j < stride; j += kWidth<T>) {
    Register<T> x = load_register(row + j);
    for (int q = 0; q < kCount; ++q) x = fma(scale[q], load_register(rows + q * stride + j), x);
    store_register(row + j, x);
  }
}

// A = U^T U in place, upper triangle by rows; inverse_pivots[k] = 1 / U_kk. Four rows at a time, so that the trailing
// rows are loaded and stored once for four updates. A pivot below `smallest` times its diagonal entry counts as zero.
template <class T>
MATFAC_INLINE Index factorize(T* a, Index stride, Index n, T smallest, const T* diagonal, T* inverse_pivots) {
  constexpr int kBlock = 4;
  for (Index k = 0; k < n; k += kBlock) {
    const Index block_end = min_index(k + kBlock, n);
    for (Index p = k; p < block_end; ++p) {
      T* const row = a + p * stride;
      for (Index q = k; q < p; ++q) {
        const T factor = a[q * stride + p];
        eliminate<T, 1>(a + q * stride, &factor, stride, p, row);
      }
      const T pivot = row[p];
      if (!(pivot > smallest * diagonal[p])) return p;
      const T inverse = T(1) / static_cast<T>(__builtin_sqrt(static_cast<double>(pivot)));
      inverse_pivots[p] = inverse;
      for (Index j = p / kWidth<T> * kWidth<T>; j < stride; j += kWidth<T>) {
        store_register(row + j, load_register(row + j) * splat(inverse));
      }
      // What rounding left of the row before its pivot, in the pivot's register, would reach the solution.
      for (Index j = p / kWidth<T> * kWidth<T>; j < p; ++j) row[j] = T(0);
    }
    if (block_end - k < kBlock) break;
    for (Index i = block_end; i < n; ++i) {
      T factors[kBlock];
      for (int q = 0; q < kBlock; ++q) factors[q] = a[(k + q) * stride + i];
      eliminate<T, kBlock>(a + k * stride, factors, stride, i, a + i * stride);
    }
  }
  return -1;
}

// x := A^-1 x with the factor from above; x has `stride` entries, those beyond n zero.
template <class T>
MATFAC_INLINE void substitute(const T* u, Index stride, Index n, const T* inverse_pivots, T* x) {
  for (Index k = 0; k < n; ++k) {  // U^T y = x
    const T y = x[k] * inverse_pivots[k];
    eliminate<T, 1>(u + k * stride, &y, stride, k, x);
    x[k] = y;
  }
  for (Index k = n - 1; k >= 0; --k) {  // U x = y
    const T* const row = u + k * stride;
    T s = x[k];
    Index j = k + 1;
    for (; j < n && j % kWidth<T> != 0; ++j) s = fma_scalar(-row[j], x[j], s);
    if (j < n) {
      Register<T> acc = splat(T(0));
      for (; j < stride; j += kWidth<T>) acc = fma(load_register(row + j), load_register(x + j), acc);
      for (Index lane = 0; lane < kWidth<T>; ++lane) s -= acc[lane];
    }
    x[k] = s * inverse_pivots[k];
  }
}

// Gathers the rows of the next ratings into the panel and adds them to the right-hand sides; returns the sum of
// targets.
template <class T>
MATFAC_INLINE double gather(const T* fixed, Index stride, const Code* codes, const T* values, const T* offsets, T mean,
                            Index n, bool with_bias, T* panel, T* h, T* g) {
  double total = 0;
  for (Index k = 0; k < n; ++k) {
    if (k + kAhead < n) prefetch_row(fixed + codes[k + kAhead] * stride, stride);
    const T* const v = fixed + codes[k] * stride;
    const T target = values[k] - mean - (offsets != nullptr ? offsets[codes[k]] : T(0));
    const Group<T> scale = splat_group(target);
    const Group<T> one = splat_group(T(1));
    for (Index f = 0; f < stride; f += kGroup<T>) {
      const Group<T> x = load_group(v + f);
      store_group(panel + k * stride + f, x);
      store_group(h + f, fma(scale, x, load_group(h + f)));
      if (with_bias) store_group(g + f, fma(one, x, load_group(g + f)));
    }
    total += static_cast<double>(target);
  }
  return total;
}

template <class T>
Index solve_row(const T* fixed, Index stride, Index n_factors, const Code* codes, const T* values, const T* offsets,
                T mean, Index n, T regularization, T bias_regularization, T* solution, T* bias, T* workspace) {
  const Index panel_size = panel_rows<T>(stride);
  T* const a = workspace;
  T* const panel = a + stride * stride;
  T* const h = panel + panel_size * stride;
  T* const g = h + stride;
  T* const inverse_pivots = g + stride;
  T* const diagonal = inverse_pivots + stride;
  T* const y = diagonal + stride;
  for (T* p = a; p != panel; ++p) *p = T(0);
  for (T* p = h; p != inverse_pivots; ++p) *p = T(0);

  double total = 0;
  for (Index start = 0; start < n; start += panel_size) {
    const Index count = min_index(panel_size, n - start);
    total += gather(fixed, stride, codes + start, values + start, offsets, mean, count, bias != nullptr, panel, h, g);
    update_gram(panel, count, stride, n_factors, a);
  }
  for (Index f = 0; f < n_factors; ++f) diagonal[f] = a[f * stride + f] += regularization;

  const T smallest = static_cast<T>(n_factors) * (sizeof(T) == 4 ? T(1.2e-7) : T(2.3e-16));
  const Index failed = factorize(a, stride, n_factors, smallest, diagonal, inverse_pivots);
  if (failed >= 0) return failed;
  substitute(a, stride, n_factors, inverse_pivots, h);
  if (bias != nullptr) {
    for (Index f = 0; f < stride; ++f) y[f] = g[f];
    substitute(a, stride, n_factors, inverse_pivots, y);
    const double c = static_cast<double>(n) + static_cast<double>(bias_regularization);
    const double schur = c - static_cast<double>(dot_groups(g, y, stride));
    if (!(schur > static_cast<double>(smallest) * c)) return n_factors;
    const T b = static_cast<T>((total - static_cast<double>(dot_groups(g, h, stride))) / schur);
    add_scaled(-b, y, h, stride);
    *bias = b;
  }
  for (Index f = 0; f < n_factors; ++f) solution[f] = h[f];
  return -1;
}

}  // namespace
}  // namespace matfac
