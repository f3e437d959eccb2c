// Kernels over the ratings of one user: residuals, gradients, the line search.

namespace matfac {
namespace {

// How many ratings ahead the item rows are fetched: they lie anywhere in memory.
constexpr Index kAhead = 8;

template <class T>
MATFAC_INLINE void prefetch_row(const T* p, Index n) {
  for (Index f = 0; f < n; f += kGroup<T>) __builtin_prefetch(p + f);
}

// The item rows of four ratings, whose products with the user's row are taken side by side: each is a chain of sums
// that would leave the processor idle, and the user's row is read once for the four.
template <class T>
struct FourRows {
  const T* v[4];

  MATFAC_INLINE FourRows(const T* item_factors, Index stride, const Code* items) {
    for (int q = 0; q < 4; ++q) v[q] = item_factors + items[q] * stride;
  }

  // products[q] = u . v[q], summed as dot_groups does it.
  template <class Length>
  MATFAC_INLINE void multiply(const T* u, Length length, T* products) const {
    Group<T> s[4];
    const Group<T> first = load_group(u);
    for (int q = 0; q < 4; ++q) s[q] = matfac::multiply(first, load_group(v[q]));
    for (Index f = kGroup<T>; f < length; f += kGroup<T>) {
      const Group<T> x = load_group(u + f);
      for (int q = 0; q < 4; ++q) s[q] = fma(x, load_group(v[q] + f), s[q]);
    }
    for (int q = 0; q < 4; ++q) products[q] = sum(s[q]);
  }
};

// Calls f(i, products, count) for all ratings, four at a time and then one by one: products[q] = u . v of rating i + q.
template <class T, class Length, class F>
MATFAC_INLINE void each_product(const T* u, const T* item_factors, Index stride, const Code* items, Index n,
                                Length length, const F& f) {
  T products[4];
  Index i = 0;
  for (; i + 4 <= n; i += 4) {
    for (Index ahead = i + kAhead; ahead < min_index(n, i + kAhead + 4); ++ahead) {
      prefetch_row(item_factors + items[ahead] * stride, length);
    }
    FourRows<T>(item_factors, stride, items + i).multiply(u, length, products);
    f(i, products, 4);
  }
  for (; i < n; ++i) {
    products[0] = dot_groups(u, item_factors + items[i] * stride, length);
    f(i, products, 1);
  }
}

template <class T>
void row_residuals(const T* u, const T* item_factors, Index stride, const Code* items, const T* values, Index n,
                   T* out) {
  with_length<T>(stride, [&](auto length) __attribute__((always_inline)) {
    each_product(u, item_factors, stride, items, n, length,
                 [&](Index i, const T* products, int count) __attribute__((always_inline)) {
                   for (int q = 0; q < count; ++q) out[i + q] = products[q] - values[i + q];
                 });
  });
}

template <class T, class Loss>
double row_loss(const T* u, const T* item_factors, Index stride, const Code* items, const T* values, T offset,
                Index n) {
  return with_length<T>(stride, [&](auto length) __attribute__((always_inline)) {
    double total = 0;
    each_product(u, item_factors, stride, items, n, length,
                 [&](Index i, const T* products, int count) __attribute__((always_inline)) {
                   for (int q = 0; q < count; ++q) total += Loss::value(values[i + q], products[q] + offset);
                 });
    return total;
  });
}

// du += sum_q g[q] v_q, in order, and each item's gradient += g[q] u.
template <int kCount, class T, class Length>
MATFAC_INLINE void add_gradients(const T* g, const T* u, const T* item_factors, Index stride, const Code* items,
                                 Length length, T* du, T* item_gradient) {
  Register<T> scale[kCount];
  for (int q = 0; q < kCount; ++q) scale[q] = splat(g[q]);
  for (Index f = 0; f < length; f += kWidth<T>) {
    const Register<T> x = load_register(u + f);
    Register<T> d = load_register(du + f);
    for (int q = 0; q < kCount; ++q) {
      d = fma(scale[q], load_register(item_factors + items[q] * stride + f), d);
      T* const dv = item_gradient + items[q] * stride + f;
      store_register(dv, fma(scale[q], x, load_register(dv)));
    }
    store_register(du + f, d);
  }
}

template <class T, class Loss>
void row_gradients(const T* u, const T* item_factors, Index stride, const Code* items, const T* values, T offset,
                   Index n, T* du, T* item_gradient, double* loss) {
  with_length<T>(stride, [&](auto length) __attribute__((always_inline)) {
    double total = *loss;
    each_product(u, item_factors, stride, items, n, length,
                 [&](Index i, const T* products, int count) __attribute__((always_inline)) {
                   T g[4];
                   for (int q = 0; q < count; ++q) {
                     const T estimate = products[q] + offset;
                     g[q] = Loss::derivative(values[i + q], estimate);
                     total += Loss::value(values[i + q], estimate);
                   }
                   if (count == 4) {
                     for (Index ahead = i + kAhead; ahead < min_index(n, i + kAhead + 4); ++ahead) {
                       prefetch_row(item_gradient + items[ahead] * stride, length);
                     }
                     add_gradients<4>(g, u, item_factors, stride, items + i, length, du, item_gradient);
                   } else {
                     add_gradients<1>(g, u, item_factors, stride, items + i, length, du, item_gradient);
                   }
                 });
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

}  // namespace
}  // namespace matfac
