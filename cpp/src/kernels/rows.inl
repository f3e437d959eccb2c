// Kernels over the ratings of one user: residuals, gradients, the line search, scores.

namespace matfac {
namespace {

// How many ratings ahead the item rows are fetched: they lie anywhere in memory.
constexpr Index kAhead = 8;

template <class T>
MATFAC_INLINE void prefetch_row(const T* p, Index n) {
  for (Index f = 0; f < n; f += kGroup<T>) __builtin_prefetch(p + f);
}

template <class T>
void row_residuals(const T* u, const T* item_factors, Index stride, const Code* items, const T* values, Index n,
                   T* out) {
  with_length<T>(stride, [&](auto length) __attribute__((always_inline)) {
    for (Index i = 0; i < n; ++i) {
      if (i + kAhead < n) prefetch_row(item_factors + items[i + kAhead] * stride, length);
      out[i] = dot_groups(u, item_factors + items[i] * stride, length) - values[i];
    }
  });
}

template <class T, class Loss>
double row_loss(const T* u, const T* item_factors, Index stride, const Code* items, const T* values, T offset,
                Index n) {
  return with_length<T>(stride, [&](auto length) __attribute__((always_inline)) {
    double total = 0;
    for (Index i = 0; i < n; ++i) {
      if (i + kAhead < n) prefetch_row(item_factors + items[i + kAhead] * stride, length);
      total += Loss::value(values[i], dot_groups(u, item_factors + items[i] * stride, length) + offset);
    }
    return total;
  });
}

template <class T, class Loss>
void row_gradients(const T* u, const T* item_factors, Index stride, const Code* items, const T* values, T offset,
                   Index n, T* du, T* item_gradient, double* loss) {
  with_length<T>(stride, [&](auto length) __attribute__((always_inline)) {
    double total = *loss;
    for (Index i = 0; i < n; ++i) {
      if (i + kAhead < n) {
        prefetch_row(item_factors + items[i + kAhead] * stride, length);
        prefetch_row(item_gradient + items[i + kAhead] * stride, length);
      }
      const T* const v = item_factors + items[i] * stride;
      const T estimate = dot_groups(u, v, length) + offset;
      const T g = Loss::derivative(values[i], estimate);
      add_scaled(g, v, du, length);
      add_scaled(g, u, item_gradient + items[i] * stride, length);
      total += Loss::value(values[i], estimate);
    }
    *loss = total;
  });
}

template <class T>
void row_line_terms(const T* u, const T* du, const T* item_factors, const T* item_direction, Index stride,
                    const Code* items, const T* values, T offset, Index n, double* sums) {
  with_length<T>(stride, [&](auto length) __attribute__((always_inline)) {
    for (Index i = 0; i < n; ++i) {
      const T* const v = item_factors + items[i] * stride;
      const T* const dv = item_direction + items[i] * stride;
      const double e = static_cast<double>(dot_groups(u, v, length) + offset - values[i]);
      const double a = static_cast<double>(dot_groups(u, dv, length) + dot_groups(du, v, length));
      const double b = static_cast<double>(dot_groups(du, dv, length));
      sums[0] += e * a;
      sums[1] += a * a + 2 * e * b;
      sums[2] += a * b;
      sums[3] += b * b;
    }
  });
}

template <class T>
MATFAC_INLINE T dot_any(const T* a, const T* b, Index n) {
  const Index whole = n / kGroup<T> * kGroup<T>;
  Group<T> s = splat_group(T(0));
  for (Index f = 0; f < whole; f += kGroup<T>) s = fma(load_group(a + f), load_group(b + f), s);
  if (whole < n) s = fma(load_partial(a + whole, n - whole), load_partial(b + whole, n - whole), s);
  return sum(s);
}

template <class T>
T dot(const T* a, const T* b, Index n) {
  return dot_any(a, b, n);
}

template <class T>
void scores(const T* u, const T* item_factors, Index n_factors, Index n, T* out) {
  if (n_factors % kGroup<T> != 0) {
    for (Index i = 0; i < n; ++i) out[i] = dot_any(u, item_factors + i * n_factors, n_factors);
    return;
  }
  with_length<T>(n_factors, [&](auto length) __attribute__((always_inline)) {
    for (Index i = 0; i < n; ++i) out[i] = dot_groups(u, item_factors + i * n_factors, length);
  });
}

}  // namespace
}  // namespace matfac
