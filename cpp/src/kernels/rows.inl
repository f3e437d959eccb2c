// Kernels over the ratings of one user: residuals, gradients, the line search.

namespace matfac {
namespace {

// How many ratings ahead the item rows are fetched: they lie anywhere in memory. Rows that are written come later
// still.
constexpr Index kAhead = 16, kWrittenAhead = 24;

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
    Four<T> sums;
    sum_four(s, sums);
    for (int q = 0; q < 4; ++q) products[q] = sums[q];
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

// Losses for the loops: at up to four estimates. `derivatives` may be null. With the plain one the loops are compiled
// for each common length of a row, with the other once: it is for many losses, and compiling takes its time too.
struct InlinedSquaredLoss {
  static constexpr bool kIsPlain = true;
  template <class T>
  static MATFAC_INLINE double evaluate(const PointLoss<T>&, const T* values, const T* estimates, const T*, int count,
                                       T* derivatives, double total) {
    for (int q = 0; q < count; ++q) {
      if (derivatives != nullptr) derivatives[q] = SquaredLoss::derivative(values[q], estimates[q]);
      total += SquaredLoss::value(values[q], estimates[q]);
    }
    return total;
  }
};
struct CalledLoss {
  static constexpr bool kIsPlain = false;
  template <class T>
  static MATFAC_INLINE double evaluate(const PointLoss<T>& loss, const T* values, const T* estimates, const T* weights,
                                       int count, T* derivatives, double total) {
    return loss.evaluate(values, estimates, weights, count, loss.parameter, derivatives, total);
  }
};

template <class T, class Loss, class F>
MATFAC_INLINE auto with_length_for(Index stride, const F& f) {
  if constexpr (Loss::kIsPlain) {
    return with_length<T>(stride, f);
  } else {
    return f(stride);
  }
}

template <class T, class Loss>
double evaluate_loss(const T* ratings, const T* estimates, const T* weights, Index n, T parameter, T* derivatives,
                     double total) {
  for (Index i = 0; i < n; ++i) {
    const T weight = weights != nullptr ? weights[i] : T(1);
    total += static_cast<double>(weight) * Loss::value(ratings[i], estimates[i], parameter);
    if (derivatives != nullptr) derivatives[i] = weight * Loss::derivative(ratings[i], estimates[i], parameter);
  }
  return total;
}

template <class T, class Loss>
void majorize_loss(const T* ratings, const T* estimates, const T* weights, Index n, T parameter, T* majorizer_weights,
                   T* targets) {
  for (Index i = 0; i < n; ++i) {
    const T weight = weights != nullptr ? weights[i] : T(1);
    majorizer_weights[i] = weight * Loss::majorizer(ratings[i], estimates[i], parameter, targets[i]);
  }
}

template <class T, class Loss>
constexpr PointLoss<T> point_loss() {
  if constexpr (Loss::kMajorizes) {
    return {&evaluate_loss<T, Loss>, &majorize_loss<T, Loss>, T(0)};
  } else {
    return {&evaluate_loss<T, Loss>, nullptr, T(0)};
  }
}

template <class T, class Loss>
double row_loss(const PointLoss<T>& loss, const T* u, const T* item_factors, Index stride, const Code* items,
                const T* values, const T* weights, T offset, Index n) {
  return with_length_for<T, Loss>(stride, [&](auto length) __attribute__((always_inline)) {
    double total = 0;
    each_product(u, item_factors, stride, items, n, length,
                 [&](Index i, const T* products, int count) __attribute__((always_inline)) {
                   T estimates[4];
                   for (int q = 0; q < count; ++q) estimates[q] = products[q] + offset;
                   total = Loss::evaluate(loss, values + i, estimates, weights != nullptr ? weights + i : nullptr,
                                          count, static_cast<T*>(nullptr), total);
                 });
    return total;
  });
}

// y += sum_q g[q] x_q, in order.
template <class T, class Length>
MATFAC_INLINE void add_four(const T* g, const T* const (&x)[4], Length length, T* y) {
  Register<T> scale[4];
  for (int q = 0; q < 4; ++q) scale[q] = splat(g[q]);
  for (Index f = 0; f < length; f += kWidth<T>) {
    Register<T> sum = load_register(y + f);
    for (int q = 0; q < 4; ++q) sum = fma(scale[q], load_register(x[q] + f), sum);
    store_register(y + f, sum);
  }
}

template <class T, class Loss>
void row_gradient(const PointLoss<T>& loss, const T* u, const T* item_factors, Index stride, const Code* items,
                  const T* values, const T* weights, T offset, Index n, T* derivatives, T* du, double* total) {
  with_length_for<T, Loss>(stride, [&](auto length) __attribute__((always_inline)) {
    double sum_of_losses = *total;
    each_product(u, item_factors, stride, items, n, length,
                 [&](Index i, const T* products, int count) __attribute__((always_inline)) {
                   T estimates[4];
                   for (int q = 0; q < count; ++q) estimates[q] = products[q] + offset;
                   sum_of_losses = Loss::evaluate(loss, values + i, estimates,
                                                  weights != nullptr ? weights + i : nullptr, count, derivatives + i,
                                                  sum_of_losses);
                   if (count == 4) {
                     add_four(derivatives + i, FourRows<T>(item_factors, stride, items + i).v, length, du);
                   } else {
                     add_scaled(derivatives[i], item_factors + items[i] * stride, du, length);
                   }
                 });
    *total = sum_of_losses;
  });
}

// matrix row of items[i] += g[i] u, for the entries [f, f + kCount registers) of the rows: u's stay in registers.
template <int kCount, class T>
MATFAC_INLINE void add_outer_part(const T* g, const T* u, const Code* items, Index n, Index stride, T* matrix) {
  constexpr Index kLength = kCount * kWidth<T>;
  Register<T> x[kCount];
  for (int k = 0; k < kCount; ++k) x[k] = load_register(u + k * kWidth<T>);
  for (Index i = 0; i < n; ++i) {
    if (i + kWrittenAhead < n) {
      const T* const ahead = matrix + items[i + kWrittenAhead] * stride;
      for (Index f = 0; f < kLength; f += kGroup<T>) __builtin_prefetch(ahead + f, 1);
    }
    const Register<T> scale = splat(g[i]);
    T* const y = matrix + items[i] * stride;
    for (int k = 0; k < kCount; ++k) {
      store_register(y + k * kWidth<T>, fma(scale, x[k], load_register(y + k * kWidth<T>)));
    }
  }
}

template <class T>
void add_outer(const T* g, const T* u, const Code* items, Index n, Index stride, T* matrix) {
  Index f = 0;
  for (; f + 8 * kWidth<T> <= stride; f += 8 * kWidth<T>) add_outer_part<8>(g, u + f, items, n, stride, matrix + f);
  for (; f < stride; f += kGroup<T>) add_outer_part<kRegisters>(g, u + f, items, n, stride, matrix + f);
}

// The estimate of a pair along a direction is product + t slope + t^2 square.
template <class T>
struct PairLine {
  T product, slope, square;

  template <class Length>
  MATFAC_INLINE PairLine(const T* u, const T* du, const T* v, const T* dv, Length length)
      : product(dot_groups(u, v, length)),
        slope(dot_groups(u, dv, length) + dot_groups(du, v, length)),
        square(dot_groups(du, dv, length)) {}
};

template <class T>
void row_line_terms(const T* u, const T* du, const T* item_factors, const T* item_direction, Index stride,
                    const Code* items, const T* values, const T* weights, T offset, Index n, double* sums) {
  with_length<T>(stride, [&](auto length) __attribute__((always_inline)) {
    for (Index i = 0; i < n; ++i) {
      const PairLine<T> line(u, du, item_factors + items[i] * stride, item_direction + items[i] * stride, length);
      const double e = static_cast<double>(line.product + offset - values[i]);
      const double a = static_cast<double>(line.slope), b = static_cast<double>(line.square);
      const double q = weights != nullptr ? static_cast<double>(weights[i]) : 1.0;
      sums[0] += q * (e * a);
      sums[1] += q * (a * a + 2 * e * b);
      sums[2] += q * (a * b);
      sums[3] += q * (b * b);
    }
  });
}

template <class T>
void row_line_estimates(const T* u, const T* du, const T* item_factors, const T* item_direction, Index stride,
                        const Code* items, T offset, Index n, T* estimates, T* a, T* b) {
  for (Index i = 0; i < n; ++i) {
    const PairLine<T> line(u, du, item_factors + items[i] * stride, item_direction + items[i] * stride, stride);
    estimates[i] = line.product + offset;
    a[i] = line.slope;
    b[i] = line.square;
  }
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
