// Systems of several rows at once, each in a lane of the registers: what is latency in one system (the chain of roots
// and divisions down the diagonal, the substitution) costs all of them together no more than one.
//
// Entry (i, j) of all systems is a register; a row holds the columns up to `size` and then two right-hand sides. Every
// entry is the same sum in the same order as in `factorize` and `back_substitute`, so a row's solution has the same
// bits alone and beside others.

namespace matfac {
namespace {

// A = U^T U of kWidth<T> systems, as cholesky.inl has it for one.
template <class T>
class LaneSystems {
 public:
  // `size` is a multiple of kBand.
  MATFAC_INLINE LaneSystems(T* memory, Index size)
      : size_(size),
        ld_(size + 2),
        a_(memory),
        inverse_pivots_(a_ + ld_ * size * kWidth<T>),
        least_(inverse_pivots_ + size * kWidth<T>),
        x_(least_ + size * kWidth<T>) {}

  static constexpr Index memory(Index size) { return (size * (size + 2) + 3 * size) * kWidth<T>; }

  MATFAC_INLINE T* entry(Index i, Index j) const { return a_ + (i * ld_ + j) * kWidth<T>; }
  // A pivot that is not above this counts as zero.
  MATFAC_INLINE T* least(Index i) const { return least_ + i * kWidth<T>; }
  MATFAC_INLINE T* x(Index i) const { return x_ + i * kWidth<T>; }

  // Takes over the upper triangles and the right-hand sides, from a system for each lane.
  MATFAC_INLINE void take(const RowSystem<T>* systems, Index stride) const {
    const Index lda = system_lda<T>(stride);
    for (Index i = 0; i < size_; ++i) {
      for (Index s = 0; s < kWidth<T>; s += Square<T>::kItems) {
        const T* rows[Square<T>::kItems];
        for (Index k = 0; k < Square<T>::kItems; ++k) rows[k] = systems[s + k].a + i * lda;
        transpose(rows, i / kBand * kBand, entry(i, 0) + s, kWidth<T>);
      }
    }
    for (Index s = 0; s < kWidth<T>; s += Square<T>::kItems) {
      const T* rows[Square<T>::kItems];
      for (Index side = 0; side < 2; ++side) {
        for (Index k = 0; k < Square<T>::kItems; ++k) rows[k] = systems[s + k].h + side * stride;
        transpose(rows, 0, entry(0, size_ + side) + s, ld_ * kWidth<T>);
      }
    }
  }

  // Penalizes the diagonals and notes what counts as zero beside them. Rows from `sizes` on become those of a unit
  // matrix, with right-hand sides of zero.
  MATFAC_INLINE void penalize(Register<T> penalties, Register<T> smallest, Register<T> sizes) const {
    for (Index i = 0; i < size_; ++i) {
      const auto is_own = sizes > splat(static_cast<T>(i));
      const Register<T> zero = {}, diagonal = load_register(entry(i, i)) + penalties;
      store_register(entry(i, i), is_own ? diagonal : splat(T(1)));
      store_register(least(i), is_own ? smallest * diagonal : zero);
      for (Index j = size_; j < ld_; ++j) store_register(entry(i, j), is_own ? load_register(entry(i, j)) : zero);
    }
  }

  // `failed[lane]` becomes the first pivot that counts as zero, or stays as it is.
  MATFAC_INLINE void factorize(Index* failed) const {
    for (Index i = 0; i < size_; i += kBand) {
      if (i > 0) update_band(i);
      factorize_band(i, failed);
    }
  }

  // x := U^-1 x.
  MATFAC_INLINE void back_substitute() const {
    const Index stride = padded_width<T>(size_);
    for (Index block = stride - kGroup<T>; block >= 0; block -= kGroup<T>) {
      const Index end = min_index(block + kGroup<T>, size_), after = block + kGroup<T>;
      if (after < size_) {
        for (Index i = block; i < end; ++i) store_register(x(i), load_register(x(i)) - product(i, after));
      }
      for (Index i = end - 1; i >= block; --i) {
        const Register<T> value = load_register(x(i)) * load_register(inverse_pivots_ + i * kWidth<T>);
        store_register(x(i), value);
        for (Index q = block; q < i; ++q) {
          store_register(x(q), fnma(load_register(entry(q, i)), value, load_register(x(q))));
        }
      }
    }
  }

 private:
  // Columns [from, size) of Square::kItems rows, each to `step` entries after the one before.
  MATFAC_INLINE void transpose(const T* const (&rows)[Square<T>::kItems], Index from, T* to, Index step) const {
    using Column = typename Square<T>::Column;
    for (Index j = from; j < size_; j += Square<T>::kFactors) {
      Column columns[Square<T>::kFactors];
      Square<T>::load(rows, j, columns);
      for (Index c = 0; c < Square<T>::kFactors; ++c) *reinterpret_cast<Column*>(to + (j + c) * step) = columns[c];
    }
  }

  // The rows' multipliers of so many rows before stay in the first-level cache while the columns pass.
  static constexpr Index kDepth = 48;

  // Takes what the rows before have of the band's rows.
  MATFAC_INLINE void update_band(Index i) const {
    constexpr int kCols = kTileRegisters;
    for (Index k = 0; k < i; k += kDepth) {
      const Index depth = min_index(kDepth, i - k);
      for (Index first = i; first < i + kBand; first += kTileRows) {
        Index j = i;
        for (; j + kCols <= ld_; j += kCols) update_tile<kCols>(first, j, k, depth);
        for (; j < ld_; ++j) update_tile<1>(first, j, k, depth);
      }
    }
  }

  // kTileRows rows from `first`, kCount columns from j, less what `depth` rows from k have of them.
  template <int kCount>
  MATFAC_INLINE void update_tile(Index first, Index j, Index k, Index depth) const {
    Register<T> acc[kTileRows][kCount];
    for (int p = 0; p < kTileRows; ++p) {
      for (int q = 0; q < kCount; ++q) acc[p][q] = load_register(entry(first + p, j + q));
    }
    const T *rows = entry(k, first), *columns = entry(k, j);
    for (Index d = 0; d < depth; ++d, rows += ld_ * kWidth<T>, columns += ld_ * kWidth<T>) {
      Register<T> column[kCount];
      for (int q = 0; q < kCount; ++q) column[q] = load_register(columns + q * kWidth<T>);
      for (int p = 0; p < kTileRows; ++p) {
        const Register<T> row = load_register(rows + p * kWidth<T>);
        for (int q = 0; q < kCount; ++q) acc[p][q] = fnma(row, column[q], acc[p][q]);
      }
    }
    for (int p = 0; p < kTileRows; ++p) {
      for (int q = 0; q < kCount; ++q) store_register(entry(first + p, j + q), acc[p][q]);
    }
  }

  MATFAC_INLINE void factorize_band(Index i, Index* failed) const {
    Register<T> square[kBand][kBand];
#pragma GCC unroll 8
    for (int p = 0; p < kBand; ++p) {
#pragma GCC unroll 8
      for (int q = p; q < kBand; ++q) square[p][q] = load_register(entry(i + p, i + q));
    }
#pragma GCC unroll 8
    for (int p = 0; p < kBand; ++p) {
      const Register<T> inverse = splat(T(1)) / square_roots(positive(square[p][p], i + p, failed));
      store_register(inverse_pivots_ + (i + p) * kWidth<T>, inverse);
#pragma GCC unroll 8
      for (int q = p + 1; q < kBand; ++q) {
        square[p][q] *= inverse;
        store_register(entry(i + p, i + q), square[p][q]);
      }
#pragma GCC unroll 8
      for (int q = p + 1; q < kBand; ++q) {
#pragma GCC unroll 8
        for (int r = q; r < kBand; ++r) square[q][r] = fnma(square[p][q], square[p][r], square[q][r]);
      }
    }
    Index j = i + kBand;
    for (; j + 2 <= ld_; j += 2) solve_columns<2>(i, j);
  }

  template <int kCount>
  MATFAC_INLINE void solve_columns(Index i, Index j) const {
    Register<T> x[kBand][kCount];
#pragma GCC unroll 8
    for (int p = 0; p < kBand; ++p) {
      for (int c = 0; c < kCount; ++c) x[p][c] = load_register(entry(i + p, j + c));
    }
#pragma GCC unroll 8
    for (int p = 0; p < kBand; ++p) {
      const Register<T> inverse = load_register(inverse_pivots_ + (i + p) * kWidth<T>);
      for (int c = 0; c < kCount; ++c) {
        x[p][c] *= inverse;
        store_register(entry(i + p, j + c), x[p][c]);
      }
#pragma GCC unroll 8
      for (int q = p + 1; q < kBand; ++q) {
        const Register<T> multiplier = load_register(entry(i + p, i + q));
        for (int c = 0; c < kCount; ++c) x[q][c] = fnma(multiplier, x[p][c], x[q][c]);
      }
    }
  }

  // The pivots; where one counts as zero, 1, and that is noted.
  MATFAC_INLINE Register<T> positive(Register<T> pivot, Index i, Index* failed) const {
    const Register<T> smallest = load_register(least(i));
    if (__builtin_expect(all_above(pivot, smallest), 1)) return pivot;
    for (Index s = 0; s < kWidth<T>; ++s) {
      if (pivot[s] > smallest[s]) continue;
      if (failed[s] < 0) failed[s] = i;
      pivot[s] = T(1);
    }
    return pivot;
  }

  // Row i of U from column `after` on times x: by the lanes of a group, which are then added up as sum() does it.
  MATFAC_INLINE Register<T> product(Index i, Index after) const {
    constexpr Index kLanes = kGroup<T>;
    Register<T> sums[kLanes];
    for (Index l = 0; l < kLanes; ++l) {
      sums[l] = after + l < size_ ? load_register(entry(i, after + l)) * load_register(x(after + l)) : splat(T(0));
    }
    for (Index j = after + kLanes; j < size_; j += kLanes) {
      for (Index l = 0; l < min_index(kLanes, size_ - j); ++l) {
        sums[l] = fma(load_register(entry(i, j + l)), load_register(x(j + l)), sums[l]);
      }
    }
    for (Index half = kLanes / 2; half >= 1; half /= 2) {
      for (Index l = 0; l < half; ++l) sums[l] += sums[l + half];
    }
    return sums[0];
  }

  Index size_, ld_;
  T *a_, *inverse_pivots_, *least_, *x_;
};

}  // namespace
}  // namespace matfac
