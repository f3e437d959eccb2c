// A row's accumulated system with a penalty kappa |x|_1, or with x kept from being negative, by cyclic coordinate
// descent: the minimizer over one coordinate, the others fixed, is
//   x_j := soft(r_j + A_jj x_j, kappa) / A_jj,     r = h - A x - g b
// (without its negative part where that is not allowed), and r follows by one row of A. The bias is the last
// coordinate, without a threshold. No step raises the objective, whenever the descent is left.
//
// J. Friedman, T. Hastie, R. Tibshirani: Regularization Paths for Generalized Linear Models via Coordinate Descent.
// Journal of Statistical Software 33(1), 2010 (the updates from the Gram matrix).

namespace matfac {
namespace {

constexpr int kMaxPasses = 32;
// The descent ends when no coordinate has moved by more than this part of the largest.
template <class T>
constexpr T kLeastChange = sizeof(T) == 4 ? T(1e-5) : T(1e-10);

template <class T>
MATFAC_INLINE T absolute_value(T x) {
  return x < T(0) ? -x : x;
}

// Completes the matrix: the penalty, and the lower triangle, for whole rows are added to the residual.
template <class T>
MATFAC_INLINE void complete_system(const RowProblem<T>& p, const RowSystem<T>& w, Index stride) {
  const Index lda = system_lda<T>(stride);
  add_base(p, w, stride);
  for (Index i = 0; i < p.n_factors; ++i) {
    T* const row = w.a + i * lda;
    row[i] += p.regularization;
    for (Index j = 0; j < i; ++j) row[j] = w.a[j * lda + i];
    for (Index j = p.n_factors; j < stride; ++j) row[j] = T(0);
  }
}

template <class T>
void descend_row(const RowProblem<T>& p, double total, T* system, T* solution, T* bias) {
  const Index stride = padded_width<T>(p.n_factors), lda = system_lda<T>(stride);
  const RowSystem<T> w(system, stride);
  T* const r = w.h;
  const T* const g = w.h + stride;
  complete_system(p, w, stride);
  T b = bias != nullptr ? *bias : T(0);
  const T bias_curvature = static_cast<T>(p.total_weight + static_cast<double>(p.bias_regularization));
  double bias_products = 0;
  for (Index j = 0; j < p.n_factors; ++j) {
    bias_products += static_cast<double>(g[j]) * static_cast<double>(solution[j]);
    if (solution[j] != T(0)) add_scaled(-solution[j], w.a + j * lda, r, stride);
  }
  T bias_residual = static_cast<T>(total - bias_products) - bias_curvature * b;
  if (b != T(0)) add_scaled(-b, g, r, stride);
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    T change = T(0), largest = T(0);
    if (bias != nullptr && bias_curvature > T(0)) {
      const T step = bias_residual / bias_curvature;
      b += step;
      bias_residual = T(0);
      add_scaled(-step, g, r, stride);
    }
    for (Index j = 0; j < p.n_factors; ++j) {
      const T* const row = w.a + j * lda;
      const T before = solution[j], pull = row[j] > T(0) ? r[j] + row[j] * before : T(0);
      T now = absolute_value(pull) - p.l1_regularization;
      if (!(now > T(0)) || (p.nonnegative && pull < T(0))) {
        now = T(0);
      } else {
        now = (pull < T(0) ? -now : now) / row[j];
      }
      const T step = now - before;
      if (absolute_value(now) > largest) largest = absolute_value(now);
      if (step == T(0)) continue;
      if (absolute_value(step) > change) change = absolute_value(step);
      solution[j] = now;
      add_scaled(-step, row, r, stride);
      bias_residual -= step * g[j];
    }
    if (!(change > kLeastChange<T> * largest)) break;
  }
  if (bias != nullptr) *bias = b;
}

}  // namespace
}  // namespace matfac
