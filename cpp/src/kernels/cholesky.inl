// Dense symmetric systems of the width of a row: products of panels, Cholesky, back substitution.
//
// A system lies in rows of `lda` entries: the matrix in the first `stride` columns (its upper triangle counts), then
// one group of 64 bytes for right-hand sides, which the elimination carries along. Each entry is a sum taken in order,
// term by term, whatever the shape of the tiles: the result is the same at every level that fuses.
//
// G. H. Golub, C. F. Van Loan: Matrix Computations, 4th ed., section 4.2. K. Goto, R. van de Geijn: Anatomy of
// High-Performance Matrix Multiplication. ACM TOMS 34(3), 2008 (register tiles).

namespace matfac {
namespace {

// Rows that are factorized, and whose products are taken, together.
constexpr Index kBand = 8;
// Register tile: rows x registers, so that accumulators, a row of loads and a broadcast fill the registers, and there
// are enough accumulators to hide the latency of a fused multiplication.
#if defined(__AVX512F__)
constexpr int kTileRows = 8;
#else
constexpr int kTileRows = 4;
#endif
constexpr int kTileRegisters = 3;

template <class T>
constexpr Index system_lda(Index stride) {
  return stride + kGroup<T>;
}

// Terms of a tile's sums between two calls of `between`.
constexpr Index kTermsBetween = 16;

struct Nothing {
  MATFAC_INLINE void operator()() const {}
};

// a[0..kRows)[0..kRegs registers) (+ or -)= sum_k rows[k][i] * columns[k][j]; the rows k are `stride` apart. `between`
// is called after every few terms.
template <class T, int kRows, int kRegs, bool kSubtract, class Between>
MATFAC_INLINE void update_tile(const T* rows, const T* columns, Index n, Index stride, bool is_fresh, T* a, Index lda,
                               Between& between) {
  Register<T> acc[kRows][kRegs];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kRegs; ++j) acc[i][j] = is_fresh ? splat(T(0)) : load_register(a + i * lda + j * kWidth<T>);
  }
  for (Index begin = 0; begin < n; begin += kTermsBetween) {
    const Index end = min_index(n, begin + kTermsBetween);
#pragma GCC unroll 2
    for (Index k = begin; k < end; ++k) {
      Register<T> column[kRegs];
      for (int j = 0; j < kRegs; ++j) column[j] = load_register(columns + k * stride + j * kWidth<T>);
      for (int i = 0; i < kRows; ++i) {
        const Register<T> row = splat(rows[k * stride + i]);
        for (int j = 0; j < kRegs; ++j) {
          acc[i][j] = kSubtract ? fnma(row, column[j], acc[i][j]) : fma(row, column[j], acc[i][j]);
        }
      }
    }
    between();
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kRegs; ++j) store_register(a + i * lda + j * kWidth<T>, acc[i][j]);
  }
}

// Registers that the next tile of a band takes of `left`. Tiles of one register have too few accumulators to hide the
// latency of a fused multiplication unless they have kBand rows; where registers are so many that wider ones have kBand
// rows as well, two pairs are better than three and one.
constexpr int tile_width(Index left) {
  if (kTileRows == kBand && (left == 2 || left == 4)) return 2;
  return left >= kTileRegisters ? kTileRegisters : 1;
}

// The same for the kBand rows from `a` on, columns [from, end).
template <class T, bool kSubtract, class Between>
__attribute__((noinline)) void update_band(const T* rows, const T* columns, Index n, Index stride, Index from,
                                           Index end, bool is_fresh, T* a, Index lda, Between& between) {
  for (Index j = from / kWidth<T> * kWidth<T>; j < end;) {
    const int width = tile_width((end - j) / kWidth<T>);
    if (width == kTileRegisters) {
      for (Index i = 0; i < kBand; i += kTileRows) {
        update_tile<T, kTileRows, kTileRegisters, kSubtract>(rows + i, columns + j, n, stride, is_fresh,
                                                             a + i * lda + j, lda, between);
      }
    } else if (width == 2) {
      update_tile<T, kBand, 2, kSubtract>(rows, columns + j, n, stride, is_fresh, a + j, lda, between);
    } else {
      update_tile<T, kBand, 1, kSubtract>(rows, columns + j, n, stride, is_fresh, a + j, lda, between);
    }
    j += width * kWidth<T>;
  }
}

// Rows [0, size) of the upper triangle of a product of panels, and what shares a band of rows and a register with it.
template <class T, class Between>
MATFAC_INLINE void update_upper(const T* left, const T* panel, Index n, Index stride, Index size, bool is_fresh, T* a,
                                Index lda, Between& between) {
  for (Index i = 0; i < size; i += kBand) {
    if (kWidth<T> == 2 * kBand && stride - i == kWidth<T> && size - i > kBand) {
      // Two bands of one register each.
      update_tile<T, 2 * kBand, 1, false>(left + i, panel + i, n, stride, is_fresh, a + i * lda + i, lda, between);
      return;
    }
    update_band<T, false>(left + i, panel, n, stride, i, stride, is_fresh, a + i * lda, lda, between);
  }
}

// Factorizes rows [k, k + n_rows), n_rows <= kBand, from which the rows before have been eliminated. First the square
// on the diagonal, whose chain of pivots is all latency, as scalars; then whole registers with its multipliers.
template <class T, class Count>
MATFAC_INLINE Index factorize_band(T* a, Index lda, Index k, Count count, Index end, T smallest, const T* diagonal,
                                   T* inverse_pivots) {
  const Index n_rows = count;
  T square[kBand][kBand];
#pragma GCC unroll 8
  for (Index p = 0; p < n_rows; ++p) {
#pragma GCC unroll 8
    for (Index q = p; q < n_rows; ++q) square[p][q] = a[(k + p) * lda + k + q];
  }
#pragma GCC unroll 8
  for (Index p = 0; p < n_rows; ++p) {
    const T pivot = square[p][p];
    if (!(pivot > smallest * diagonal[k + p])) return k + p;
    const T inverse = T(1) / square_root(pivot);
    inverse_pivots[k + p] = inverse;
#pragma GCC unroll 8
    for (Index q = p + 1; q < n_rows; ++q) square[p][q] *= inverse;
#pragma GCC unroll 8
    for (Index q = p + 1; q < n_rows; ++q) {
#pragma GCC unroll 8
      for (Index r = q; r < n_rows; ++r) square[q][r] = fma_scalar(-square[p][q], square[p][r], square[q][r]);
    }
  }
  for (Index j = k / kWidth<T> * kWidth<T>; j < end; j += kWidth<T>) {
    T* const column = a + k * lda + j;
    Register<T> x[kBand];
#pragma GCC unroll 8
    for (Index p = 0; p < n_rows; ++p) x[p] = load_register(column + p * lda);
#pragma GCC unroll 8
    for (Index p = 0; p < n_rows; ++p) {
      x[p] *= splat(inverse_pivots[k + p]);
#pragma GCC unroll 8
      for (Index q = p + 1; q < n_rows; ++q) x[q] = fnma(splat(square[p][q]), x[p], x[q]);
    }
#pragma GCC unroll 8
    for (Index p = 0; p < n_rows; ++p) store_register(column + p * lda, x[p]);
  }
  return -1;
}

struct WholeBand {
  constexpr operator Index() const { return kBand; }
};

// A = U^T U in place, by bands of rows; inverse_pivots[k] = 1 / U_kk, and the right-hand sides h become U^-T h. A pivot
// that is not above `smallest` times its entry of `diagonal` (A's own) counts as zero. Returns its index, or -1.
template <class T>
__attribute__((noinline)) Index factorize(T* a, Index stride, Index n, T smallest, const T* diagonal,
                                          T* inverse_pivots) {
  const Index lda = system_lda<T>(stride), end = stride + kWidth<T>;
  Nothing nothing;
  for (Index k = 0; k < n; k += kBand) {
    if (k > 0) update_band<T, true>(a + k, a, k, lda, k, end, false, a + k * lda, lda, nothing);
    const Index failed = n - k >= kBand
                             ? factorize_band(a, lda, k, WholeBand{}, end, smallest, diagonal, inverse_pivots)
                             : factorize_band(a, lda, k, n - k, end, smallest, diagonal, inverse_pivots);
    if (failed >= 0) return failed;
  }
  return -1;
}

// x := U^-1 x. `x` has `stride` entries, those from n on zero.
template <class T>
__attribute__((noinline)) void back_substitute(const T* u, Index stride, Index n, const T* inverse_pivots, T* x) {
  const Index lda = system_lda<T>(stride);
  for (Index block = (n - 1) / kGroup<T> * kGroup<T>; block >= 0; block -= kGroup<T>) {
    const Index block_end = min_index(block + kGroup<T>, n), after = block + kGroup<T>;
    if (after < stride) {
      for (Index i = block; i < block_end; ++i) x[i] -= dot_groups(u + i * lda + after, x + after, stride - after);
    }
    for (Index i = block_end - 1; i >= block; --i) {
      const T value = x[i] * inverse_pivots[i];
      x[i] = value;
      for (Index q = block; q < i; ++q) x[q] = fma_scalar(-u[q * lda + i], value, x[q]);
    }
  }
}

}  // namespace
}  // namespace matfac
