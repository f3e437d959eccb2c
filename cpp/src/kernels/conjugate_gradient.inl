// A few steps of conjugate gradients on a row of als, from where the row is, without its matrix:
//   A x = V^T (d .* (V x + b)) + lambda x + B x,     b: sum d (V x + b) + beta b
// with B the `base`. The rows of the ratings are packed once if they fit the second-level cache, else for every
// product. The preconditioner is the diagonal: a bias is curved far more than a factor. Each step lowers the objective.
//
// G. H. Golub, C. F. Van Loan: Matrix Computations, 4th ed., section 11.5. G. Takacs, I. Pilaszy, D. Tikk: Applications
// of the Conjugate Gradient Method for Implicit Feedback Collaborative Filtering. RecSys 2011.

namespace matfac {
namespace {

template <class T>
MATFAC_INLINE Index packed_rows(Index stride) {
  const Index rows = 196608 / (stride * static_cast<Index>(sizeof(T)));
  return rows < 16 ? 16 : rows;
}

template <class T>
Index step_row_workspace(Index n_factors) {
  const Index stride = padded_width<T>(n_factors);
  return (5 + packed_rows<T>(stride)) * stride;
}

// products[q] = x . (row q of `rows`) for kCount rows, each summed as dot_groups does it.
template <int kCount, class T>
MATFAC_INLINE void row_products(const T* const (&rows)[kCount], const T* x, Index stride, T (&products)[kCount]) {
  Group<T> s[kCount];
  for (int q = 0; q < kCount; ++q) s[q] = multiply(load_group(x), load_group(rows[q]));
  for (Index f = kGroup<T>; f < stride; f += kGroup<T>) {
    const Group<T> own = load_group(x + f);
    for (int q = 0; q < kCount; ++q) s[q] = fma(own, load_group(rows[q] + f), s[q]);
  }
  for (int q = 0; q < kCount; ++q) products[q] = sum(s[q]);
}

template <class T>
void row_estimates(const T* x, const T* fixed, Index fixed_stride, Index n_factors, const Code* codes, Index n,
                   T* out) {
  const Index whole = n_factors / kGroup<T> * kGroup<T>;
  const bool is_whole = whole == n_factors;
  Index i = 0;
  for (; is_whole && i + 4 <= n; i += 4) {
    const T* const rows[4] = {fixed + codes[i] * fixed_stride, fixed + codes[i + 1] * fixed_stride,
                              fixed + codes[i + 2] * fixed_stride, fixed + codes[i + 3] * fixed_stride};
    for (Index ahead = i + kAhead; ahead < min_index(n, i + kAhead + 4); ++ahead) {
      prefetch_row(fixed + codes[ahead] * fixed_stride, n_factors);
    }
    T products[4];
    row_products<4>(rows, x, n_factors, products);
    for (int q = 0; q < 4; ++q) out[i + q] = products[q];
  }
  for (; i < n; ++i) out[i] = dot_any(x, fixed + codes[i] * fixed_stride, n_factors);
}

// The sums over a row's ratings that conjugate gradients take, packed rows in `panel`.
template <class T>
class RowOperator {
 public:
  MATFAC_INLINE RowOperator(const RowProblem<T>& p, Index stride, T* panel)
      : p_(p), stride_(stride), size_(packed_rows<T>(stride)), panel_(panel) {}

  // y := sum e_i v_i, without what is beside the ratings; returns sum e_i. e_i is d_i (v_i . x + b) or, if kIsFirst,
  // s_i minus that, and `diagonal` receives sum d_i v_i^2.
  template <bool kIsFirst>
  __attribute__((noinline)) double apply(const T* x, T b, T* y, T* diagonal) {
    double total = 0;
    for (Index f = 0; f < stride_; ++f) y[f] = T(0);
    for (Index start = 0; start < p_.n; start += size_) {
      const Index n = min_index(size_, p_.n - start);
      if (kIsFirst || p_.n > size_) gather_rows(p_, start, n, stride_, panel_);
      Index k = 0;
      for (; k + 4 <= n; k += 4) total += add<4, kIsFirst>(start, k, x, b, y, diagonal);
      for (; k < n; ++k) total += add<1, kIsFirst>(start, k, x, b, y, diagonal);
    }
    return total;
  }

 private:
  template <int kCount, bool kIsFirst>
  MATFAC_INLINE double add(Index start, Index k, const T* x, T b, T* y, T* diagonal) const {
    const T* rows[kCount];
    for (int q = 0; q < kCount; ++q) rows[q] = panel_ + (k + q) * stride_;
    T e[kCount];
    row_products<kCount>(rows, x, stride_, e);
    Register<T> scale[kCount], weight[kCount];
    double total = 0;
    for (int q = 0; q < kCount; ++q) {
      const T d = p_.weights[start + k + q];
      e[q] = d * (e[q] + b);
      if (kIsFirst) e[q] = p_.values[start + k + q] - e[q];
      total += static_cast<double>(e[q]);
      scale[q] = splat(e[q]);
      weight[q] = splat(d);
    }
    for (Index f = 0; f < stride_; f += kWidth<T>) {
      Register<T> sums = load_register(y + f);
      for (int q = 0; q < kCount; ++q) sums = fma(scale[q], load_register(rows[q] + f), sums);
      store_register(y + f, sums);
      if (!kIsFirst) continue;
      Register<T> squares = load_register(diagonal + f);
      for (int q = 0; q < kCount; ++q) {
        const Register<T> v = load_register(rows[q] + f);
        squares = fma(weight[q] * v, v, squares);
      }
      store_register(diagonal + f, squares);
    }
    return total;
  }

  const RowProblem<T>& p_;
  Index stride_, size_;
  T* panel_;
};

// y += sign (lambda x + B x).
template <class T>
MATFAC_INLINE void add_beside_ratings(const RowProblem<T>& p, Index stride, T sign, const T* x, T* y) {
  add_scaled(sign * p.regularization, x, y, stride);
  if (p.base == nullptr) return;
  const Index lda = system_lda<T>(stride);
  for (Index f = 0; f < p.n_factors; ++f) y[f] = fma_scalar(sign, dot_groups(p.base + f * lda, x, stride), y[f]);
}

template <class T>
MATFAC_INLINE double sum_of_products(const T* a, const T* b, Index n) {
  double total = 0;
  for (Index f = 0; f < n; ++f) total += static_cast<double>(a[f]) * static_cast<double>(b[f]);
  return total;
}

// diagonal := its inverse; a direction that is not curved is left alone.
template <class T>
MATFAC_INLINE void invert_diagonal(const RowProblem<T>& p, Index stride, T* diagonal) {
  const Index lda = system_lda<T>(stride);
  for (Index f = 0; f < stride; ++f) {
    const T curvature = diagonal[f] + p.regularization + (p.base != nullptr ? p.base[f * lda + f] : T(0));
    diagonal[f] = f < p.n_factors && curvature > T(0) ? T(1) / curvature : T(0);
  }
}

template <class T>
void step_row(const RowProblem<T>& p, int steps, T* workspace, T* solution, T* bias) {
  const Index stride = padded_width<T>(p.n_factors);
  T *const r = workspace, *const direction = r + stride, *const product = direction + stride;
  T *const inverse = product + stride, *const x = inverse + stride;
  RowOperator<T> ratings(p, stride, x + stride);
  for (Index f = 0; f < stride; ++f) {
    x[f] = f < p.n_factors ? solution[f] : T(0);
    inverse[f] = T(0);
  }
  const double curvature = p.total_weight + static_cast<double>(p.bias_regularization);
  const double bias_inverse = bias != nullptr && curvature > 0 ? 1 / curvature : 0;
  double b = bias != nullptr ? static_cast<double>(*bias) : 0;
  double bias_residual = ratings.template apply<true>(x, static_cast<T>(b), r, inverse) -
                         static_cast<double>(p.bias_regularization) * b;
  add_beside_ratings(p, stride, T(-1), x, r);
  invert_diagonal(p, stride, inverse);
  for (Index f = 0; f < stride; ++f) direction[f] = inverse[f] * r[f];
  double bias_direction = bias_inverse * bias_residual;
  double slope = sum_of_products(r, direction, stride) + bias_residual * bias_direction;
  const double end = slope * (sizeof(T) == 4 ? 1e-12 : 1e-28);
  for (int step = 0; step < steps && slope > end; ++step) {
    double bias_product = ratings.template apply<false>(direction, static_cast<T>(bias_direction), product, inverse);
    bias_product += static_cast<double>(p.bias_regularization) * bias_direction;
    add_beside_ratings(p, stride, T(1), direction, product);
    const double curved = sum_of_products(direction, product, p.n_factors) + bias_direction * bias_product;
    if (!(curved > 0)) break;
    const double length = slope / curved;
    add_scaled(static_cast<T>(length), direction, x, stride);
    add_scaled(static_cast<T>(-length), product, r, stride);
    b += length * bias_direction;
    bias_residual -= length * bias_product;
    double next = bias_residual * bias_residual * bias_inverse;
    for (Index f = 0; f < p.n_factors; ++f) {
      next += static_cast<double>(r[f]) * static_cast<double>(inverse[f]) * static_cast<double>(r[f]);
    }
    const double kept = next / slope;
    for (Index f = 0; f < stride; ++f) direction[f] = fma_scalar(static_cast<T>(kept), direction[f], inverse[f] * r[f]);
    bias_direction = kept * bias_direction + bias_inverse * bias_residual;
    slope = next;
  }
  for (Index f = 0; f < p.n_factors; ++f) solution[f] = x[f];
  if (bias != nullptr) *bias = static_cast<T>(b);
}

}  // namespace
}  // namespace matfac
