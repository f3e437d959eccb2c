// Cyclic coordinate descent: what a row's ratings say about a block of four of its factors. See solvers/ccd/ccd.cpp.
//
// Ratings are taken a tile at a time, as many as a square of vec.inl has items: after it is transposed, a lane is a
// rating, and the residuals are a column beside the factors'. The last tile of a row is filled up with zeros.

namespace matfac {
namespace {

template <class T>
using RatingColumn = typename Square<T>::Column;

// Ratings whose sums are kept in T before they are added in double.
constexpr Index kCcdChunk = 1024;
// How many ratings ahead the other side's entries are fetched.
constexpr Index kCcdAhead = 32;

// multiply_add: a b + c, multiply_subtract: c - a b.
#if defined(__AVX2__)
MATFAC_INLINE Square<float>::Column multiply_add(Square<float>::Column a, Square<float>::Column b,
                                                 Square<float>::Column c) {
  return reinterpret_cast<Square<float>::Column>(
      _mm256_fmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
}
MATFAC_INLINE Square<double>::Column multiply_add(Square<double>::Column a, Square<double>::Column b,
                                                  Square<double>::Column c) {
  return reinterpret_cast<Square<double>::Column>(
      _mm256_fmadd_pd(reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b), reinterpret_cast<__m256d>(c)));
}
MATFAC_INLINE Square<float>::Column multiply_subtract(Square<float>::Column a, Square<float>::Column b,
                                                      Square<float>::Column c) {
  return reinterpret_cast<Square<float>::Column>(
      _mm256_fnmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
}
MATFAC_INLINE Square<double>::Column multiply_subtract(Square<double>::Column a, Square<double>::Column b,
                                                       Square<double>::Column c) {
  return reinterpret_cast<Square<double>::Column>(
      _mm256_fnmadd_pd(reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b), reinterpret_cast<__m256d>(c)));
}
#else
template <class C>
MATFAC_INLINE C multiply_add(C a, C b, C c) {
  return a * b + c;
}
template <class C>
MATFAC_INLINE C multiply_subtract(C a, C b, C c) {
  return c - a * b;
}
#endif

template <class T>
MATFAC_INLINE RatingColumn<T> load_column(const T* p) {
  RatingColumn<T> x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
template <class T>
MATFAC_INLINE void store_column(T* p, const RatingColumn<T>& x) {
  __builtin_memcpy(p, &x, sizeof x);
}
template <class T>
MATFAC_INLINE RatingColumn<T> splat_column(T x) {
  return x - RatingColumn<T>{};
}

// The sum of a column's ratings: halves added until one is left.
template <class T>
MATFAC_INLINE double sum_column(const RatingColumn<T>& x) {
  T lanes[Square<T>::kItems];
  store_column(lanes, x);
  for (Index half = Square<T>::kItems / 2; half > 0; half /= 2) {
    for (Index q = 0; q < half; ++q) lanes[q] += lanes[q + half];
  }
  return static_cast<double>(lanes[0]);
}

// Some ratings of a row, and the other side's entries for them.
template <class T>
struct RatingTile {
  static constexpr Index kItems = Square<T>::kItems;
  const T* rows[kItems];
  RatingColumn<T> residual, weight;

  MATFAC_INLINE void load(const CcdRow<T>& row, Index i, Index count) {
    static constexpr T kNothing[2 * kCcdFactors] = {};
    if (count == kItems) {
      for (Index q = 0; q < kItems; ++q) rows[q] = row.pairs + row.codes[i + q] * (2 * kCcdFactors);
      residual = load_column(row.residuals + i);
      if (row.weights != nullptr) weight = load_column(row.weights + i);
      return;
    }
    T residuals[kItems] = {}, weights[kItems] = {};
    for (Index q = 0; q < kItems; ++q) rows[q] = kNothing;
    for (Index q = 0; q < count; ++q) {
      rows[q] = row.pairs + row.codes[i + q] * (2 * kCcdFactors);
      residuals[q] = row.residuals[i + q];
      if (row.weights != nullptr) weights[q] = row.weights[i + q];
    }
    residual = load_column(residuals);
    weight = load_column(weights);
  }
  static MATFAC_INLINE void fetch_ahead(const CcdRow<T>& row, Index i) {
    if (i + kCcdAhead + kItems > row.n + row.n_ahead) return;
    const Code* const codes = row.codes + i + kCcdAhead;
    for (Index q = 0; q < kItems; ++q) __builtin_prefetch(row.pairs + codes[q] * (2 * kCcdFactors));
  }
  MATFAC_INLINE void store(const CcdRow<T>& row, Index i, Index count) const {
    if (count == kItems) {
      store_column(row.residuals + i, residual);
      return;
    }
    T residuals[kItems];
    store_column(residuals, residual);
    for (Index q = 0; q < count; ++q) row.residuals[i + q] = residuals[q];
  }
  MATFAC_INLINE void transpose(Index first, RatingColumn<T> (&columns)[kCcdFactors]) const {
    constexpr Index kFactors = Square<T>::kFactors;
    for (Index f = 0; f < kCcdFactors; f += kFactors) {
      RatingColumn<T> part[kFactors];
      Square<T>::load(rows, first + f, part);
      for (Index j = 0; j < kFactors; ++j) columns[f + j] = part[j];
    }
  }
  // residual -= sum_j scale[j] columns[j]
  MATFAC_INLINE void subtract(const T* scale, const RatingColumn<T> (&columns)[kCcdFactors]) {
    for (Index j = 0; j < kCcdFactors; ++j) {
      residual = multiply_subtract(splat_column(scale[j]), columns[j], residual);
    }
  }
};

template <class T, bool kIsWeighted>
void accumulate_ratings(const CcdRow<T>& row, const T* scale, double* sums) {
  constexpr Index kItems = Square<T>::kItems;
  for (Index start = 0; start < row.n; start += kCcdChunk) {
    const Index end = min_index(start + kCcdChunk, row.n);
    RatingColumn<T> totals[kCcdSums] = {};
    const auto add = [&](Index i, Index count) __attribute__((always_inline)) {
      RatingTile<T> tile;
      RatingColumn<T> x[kCcdFactors];
      RatingTile<T>::fetch_ahead(row, i);
      tile.load(row, i, count);
      tile.transpose(0, x);
      tile.subtract(scale, x);
      tile.store(row, i, count);
      tile.transpose(kCcdFactors, x);
      int k = kCcdFactors;
#pragma GCC unroll 4
      for (int j = 0; j < kCcdFactors; ++j) {
        const RatingColumn<T> qx = kIsWeighted ? tile.weight * x[j] : x[j];
        totals[j] = multiply_add(qx, tile.residual, totals[j]);
#pragma GCC unroll 4
        for (int l = j; l < kCcdFactors; ++l, ++k) totals[k] = multiply_add(qx, x[l], totals[k]);
      }
    };
    Index i = start;
    for (; i + kItems <= end; i += kItems) add(i, kItems);
    if (i < end) add(i, end - i);
    for (int k = 0; k < kCcdSums; ++k) sums[k] += sum_column<T>(totals[k]);
  }
}

template <class T, bool kIsWeighted>
double move_residuals(const CcdRow<T>& row, const T* change) {
  constexpr Index kItems = Square<T>::kItems;
  double total = 0;
  for (Index start = 0; start < row.n; start += kCcdChunk) {
    const Index end = min_index(start + kCcdChunk, row.n);
    RatingColumn<T> squares = {};
    const auto move = [&](Index i, Index count) __attribute__((always_inline)) {
      RatingTile<T> tile;
      RatingColumn<T> x[kCcdFactors];
      tile.load(row, i, count);
      tile.transpose(kCcdFactors, x);
      tile.subtract(change, x);
      tile.store(row, i, count);
      const RatingColumn<T> qe = kIsWeighted ? tile.weight * tile.residual : tile.residual;
      squares = multiply_add(qe, tile.residual, squares);
    };
    Index i = start;
    for (; i + kItems <= end; i += kItems) move(i, kItems);
    if (i < end) move(i, end - i);
    total += sum_column<T>(squares);
  }
  return total;
}

template <class T>
void ccd_accumulate(const CcdRow<T>& row, const T* scale, double* sums) {
  if (row.weights != nullptr) {
    accumulate_ratings<T, true>(row, scale, sums);
  } else {
    accumulate_ratings<T, false>(row, scale, sums);
  }
}

template <class T>
double ccd_move(const CcdRow<T>& row, const T* change) {
  return row.weights != nullptr ? move_residuals<T, true>(row, change) : move_residuals<T, false>(row, change);
}

}  // namespace
}  // namespace matfac
