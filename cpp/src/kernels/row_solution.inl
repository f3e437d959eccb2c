// A row's accumulated system, solved; see gram.inl.

namespace matfac {
namespace {

// Adds the penalty to the diagonal, puts the right-hand sides beside the matrix and factorizes; see `factorize`.
template <class T>
MATFAC_INLINE Index factorize_penalized(const RowSystem<T>& w, Index stride, Index size, T penalty, T smallest) {
  const Index lda = system_lda<T>(stride);
  for (Index i = 0; i < size; ++i) {
    T* const row = w.a + i * lda;
    row[i] += penalty;
    w.diagonal[i] = row[i];
    for (Index j = 0; j < kGroup<T>; ++j) row[stride + j] = T(0);
    row[stride] = w.h[i];
    row[stride + 1] = w.h[stride + i];
  }
  return factorize(w.a, stride, size, smallest, w.diagonal, w.inverse_pivots);
}

// Adds what the system has beside its ratings, but for the penalty.
template <class T>
MATFAC_INLINE void add_base(const RowProblem<T>& p, const RowSystem<T>& w, Index stride) {
  if (p.base != nullptr) {
    const Index lda = system_lda<T>(stride);
    for (Index i = 0; i < p.n_factors; ++i) {
      for (Index j = i / kGroup<T> * kGroup<T>; j < stride; ++j) w.a[i * lda + j] += p.base[i * lda + j];
    }
  }
  if (p.linear != nullptr) {
    for (Index f = 0; f < p.n_factors; ++f) w.h[f] += p.linear[f];
  }
}

// With y and z beside the factor: their products, and x := y - b z once b is known.
template <class T>
struct Sides {
  const T* first;
  Index lda, size;

  struct Products {
    double zy = 0, zz = 0, yy = 0;
  };
  MATFAC_INLINE Products products() const {
    Products sums;
    for (Index i = 0; i < size; ++i) {
      const double y = static_cast<double>(first[i * lda]), z = static_cast<double>(first[i * lda + 1]);
      sums.zy += z * y;
      sums.zz += z * z;
      sums.yy += y * y;
    }
    return sums;
  }
  MATFAC_INLINE void combine(T b, Index stride, T* x) const {
    for (Index i = 0; i < size; ++i) x[i] = fma_scalar(-b, first[i * lda + 1], first[i * lda]);
    for (Index i = size; i < stride; ++i) x[i] = T(0);
  }
};

// The size of a row's system, and which part of a diagonal counts as zero in it.
template <class T>
MATFAC_INLINE Index system_order(const RowProblem<T>& p, bool by_ratings) {
  return by_ratings ? p.n : p.n_factors;
}
template <class T>
MATFAC_INLINE T negligible(const RowProblem<T>& p, bool by_ratings) {
  return by_ratings ? negligible<T>(p.n, p.n_factors) : negligible<T>(p.n_factors, p.n);
}

// Solves for the bias, given z . y and z . z, and returns it (0 without one).
template <class T>
MATFAC_INLINE T solve_bias(RowTask<T>& row, bool by_ratings, double zz) {
  if (row.failed >= 0 || row.bias == nullptr) return T(0);
  const RowProblem<T>& p = row.problem;
  const double l = static_cast<double>(p.regularization), beta = static_cast<double>(p.bias_regularization);
  const double c = by_ratings ? l * zz + beta : p.total_weight + beta;
  const double schur = by_ratings ? c : c - zz;
  const double smallest = by_ratings ? 0 : static_cast<double>(negligible(p, false));
  if (!(schur > smallest * c)) {
    row.failed = p.n_factors;
    return T(0);
  }
  return *row.bias = static_cast<T>((by_ratings ? l * row.zy : row.total - row.zy) / schur);
}

// Solves an accumulated system: x is left there.
template <class T>
MATFAC_INLINE void solve_system(RowTask<T>& row, bool by_ratings, const RowSystem<T>& system, Index stride) {
  const RowProblem<T>& p = row.problem;
  const Index n = system_order(p, by_ratings);
  if (!by_ratings) add_base(p, system, stride);
  row.failed = factorize_penalized(system, stride, n, p.regularization, negligible(p, by_ratings));
  if (row.failed >= 0) return;
  const Sides<T> sides{system.a + stride, system_lda<T>(stride), n};
  const auto products = sides.products();
  row.zy = products.zy;
  row.yy = products.yy;
  const T b = solve_bias(row, by_ratings, products.zz);
  if (row.failed >= 0) return;
  sides.combine(b, stride, system.x);
  back_substitute(system.a, stride, n, system.inverse_pivots, system.x);
}

template <class T>
void finish_row(RowTask<T>& row, T* memory) {
  const Index stride = padded_width<T>(row.problem.n_factors);
  const RowSystem<T> system(memory, stride);
  solve_system(row, false, system, stride);
  if (row.failed >= 0) return;
  for (Index f = 0; f < row.problem.n_factors; ++f) row.solution[f] = system.x[f];
}

}  // namespace
}  // namespace matfac
