// Kernels over the ratings of one user: residuals, gradients, the line search.

namespace matfac {
namespace {

// How many ratings ahead the item rows are fetched: they lie anywhere in memory. Rows that are written come later
// still.
constexpr Index kAhead = 16, kWrittenAhead = 24, kRunsAhead = 8;

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
  MATFAC_INLINE void multiply(const T* u, Length length, Four<T>& products) const {
    Group<T> s[4];
    const Group<T> first = load_group(u);
    for (int q = 0; q < 4; ++q) s[q] = matfac::multiply(first, load_group(v[q]));
    for (Index f = kGroup<T>; f < length; f += kGroup<T>) {
      const Group<T> x = load_group(u + f);
      for (int q = 0; q < 4; ++q) s[q] = fma(x, load_group(v[q] + f), s[q]);
    }
    sum_four(s, products);
  }
};

// Calls four(i, products) for the ratings i to i + 3, and one(i, product) for each that is left: products u . v.
template <class T, class Length, class OfFour, class OfOne>
MATFAC_INLINE void each_product(const T* u, const T* item_factors, Index stride, const Code* items, Index n,
                                Length length, const OfFour& four, const OfOne& one) {
  Four<T> products;
  Index i = 0;
  for (; i + 4 <= n; i += 4) {
    for (Index ahead = i + kAhead; ahead < min_index(n, i + kAhead + 4); ++ahead) {
      prefetch_row(item_factors + items[ahead] * stride, length);
    }
    FourRows<T>(item_factors, stride, items + i).multiply(u, length, products);
    four(i, products);
  }
  for (; i < n; ++i) one(i, dot_groups(u, item_factors + items[i] * stride, length));
}

template <class T>
void row_residuals(const T* u, const T* item_factors, Index stride, const Code* items, const T* values, Index n,
                   T* out) {
  with_length<T>(stride, [&](auto length) __attribute__((always_inline)) {
    each_product(
        u, item_factors, stride, items, n, length,
        [&](Index i, const Four<T>& products)
            __attribute__((always_inline)) { store_four<T>(out + i, products - load_four(values + i)); },
        [&](Index i, T product) __attribute__((always_inline)) { out[i] = product - values[i]; });
  });
}

// SquaredLoss at four estimates: its derivatives g, and totals += its values.
template <class T>
MATFAC_INLINE void add_four_squares(const Four<T>& ratings, const Four<T>& estimates, Four<T>& g,
                                    Four<double>& totals) {
  g = estimates - ratings;
  const Four<double> e = __builtin_convertvector(g, Four<double>);
  totals += 0.5 * e * e;
}

// Losses for the loops over a row, at estimates: their sum, and where wanted their derivatives. With the plain one the
// loops are compiled for each common length of a row, with the other once: it is for many losses, and compiling takes
// its time too.
struct InlinedSquaredLoss {
  static constexpr bool kIsPlain = true;

  template <class T>
  static MATFAC_INLINE double evaluate(const PointLoss<T>&, const T* values, const T* estimates, const T*, int count,
                                       T* derivatives, double total) {
    for (int q = 0; q < count; ++q) {
      derivatives[q] = SquaredLoss::derivative(values[q], estimates[q]);
      total += SquaredLoss::value(values[q], estimates[q]);
    }
    return total;
  }

  // Sums of every fourth loss, and of those that are left: one sum would be a chain as long as the row.
  template <class T, bool kDerivatives>
  struct Row {
    MATFAC_INLINE Row(const PointLoss<T>&, const T* values, const T*, T* derivatives)
        : values_(values), derivatives_(derivatives) {}
    MATFAC_INLINE void four(Index i, const Four<T>& estimates) {
      Four<T> g;
      add_four_squares<T>(load_four(values_ + i), estimates, g, fours_);
      if constexpr (kDerivatives) store_four<T>(derivatives_ + i, g);
    }
    MATFAC_INLINE void one(Index i, T estimate) {
      if constexpr (kDerivatives) derivatives_[i] = SquaredLoss::derivative(values_[i], estimate);
      ones_ += SquaredLoss::value(values_[i], estimate);
    }
    MATFAC_INLINE double total() const { return ones_ + ((fours_[0] + fours_[1]) + (fours_[2] + fours_[3])); }

   private:
    const T* values_;
    T* derivatives_;
    Four<double> fours_ = {};
    double ones_ = 0;
  };
};
struct CalledLoss {
  static constexpr bool kIsPlain = false;

  template <class T>
  static MATFAC_INLINE double evaluate(const PointLoss<T>& loss, const T* values, const T* estimates, const T* weights,
                                       int count, T* derivatives, double total) {
    return loss.evaluate(values, estimates, weights, count, loss.parameter, derivatives, total);
  }

  template <class T, bool kDerivatives>
  struct Row {
    MATFAC_INLINE Row(const PointLoss<T>& loss, const T* values, const T* weights, T* derivatives)
        : loss_(loss), values_(values), weights_(weights), derivatives_(derivatives) {}
    MATFAC_INLINE void four(Index i, const Four<T>& estimates) {
      T each[4];
      store_four<T>(each, estimates);
      add(i, each, 4);
    }
    MATFAC_INLINE void one(Index i, T estimate) { add(i, &estimate, 1); }
    MATFAC_INLINE double total() const { return total_; }

   private:
    MATFAC_INLINE void add(Index i, const T* estimates, int count) {
      total_ = evaluate(loss_, values_ + i, estimates, weights_ != nullptr ? weights_ + i : nullptr, count,
                        kDerivatives ? derivatives_ + i : nullptr, total_);
    }
    const PointLoss<T>& loss_;
    const T *values_, *weights_;
    T* derivatives_;
    double total_ = 0;
  };
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
    typename Loss::template Row<T, false> row(loss, values, weights, nullptr);
    each_product(
        u, item_factors, stride, items, n, length,
        [&](Index i, const Four<T>& products) __attribute__((always_inline)) { row.four(i, products + offset); },
        [&](Index i, T product) __attribute__((always_inline)) { row.one(i, product + offset); });
    return row.total();
  });
}

// Registers of a row that a loop can hold beside what it needs for four products.
constexpr Index kHeldRegisters = MATFAC_REGISTER_BYTES == 64 ? 8 : MATFAC_REGISTER_BYTES == 32 ? 4 : 0;

// y + sum g[q] x_q, in order: a row y that is added to while this lives, held in registers where they suffice. Adding
// to it where it lies is a chain through memory.
template <class T, class Length>
class RowSum {
 public:
  MATFAC_INLINE RowSum(T* y, Length length) : y_(y), length_(length) {
    if constexpr (kCount > 0) {
      for (Index k = 0; k < kCount; ++k) held_[k] = load_register(y + k * kWidth<T>);
    }
  }
  MATFAC_INLINE ~RowSum() {
    if constexpr (kCount > 0) {
      for (Index k = 0; k < kCount; ++k) store_register(y_ + k * kWidth<T>, held_[k]);
    }
  }
  RowSum(const RowSum&) = delete;
  RowSum& operator=(const RowSum&) = delete;

  MATFAC_INLINE void add_four(const T* g, const T* const (&x)[4]) {
    Register<T> scale[4];
    for (int q = 0; q < 4; ++q) scale[q] = splat(g[q]);
    if constexpr (kCount > 0) {
      for (int q = 0; q < 4; ++q) {
        for (Index k = 0; k < kCount; ++k) held_[k] = fma(scale[q], load_register(x[q] + k * kWidth<T>), held_[k]);
      }
    } else {
      for (Index f = 0; f < length_; f += kWidth<T>) {
        Register<T> sum = load_register(y_ + f);
        for (int q = 0; q < 4; ++q) sum = fma(scale[q], load_register(x[q] + f), sum);
        store_register(y_ + f, sum);
      }
    }
  }
  MATFAC_INLINE void add_one(T g, const T* x) {
    if constexpr (kCount > 0) {
      const Register<T> scale = splat(g);
      for (Index k = 0; k < kCount; ++k) held_[k] = fma(scale, load_register(x + k * kWidth<T>), held_[k]);
    } else {
      add_scaled(g, x, y_, length_);
    }
  }

 private:
  static constexpr Index count() {
    if constexpr (requires { Length::kValue; }) {
      return Length::kValue <= kHeldRegisters * kWidth<T> ? Length::kValue / kWidth<T> : 0;
    }
    return 0;
  }
  static constexpr Index kCount = count();

  T* y_;
  Length length_;
  Register<T> held_[kCount > 0 ? kCount : 1];
};

template <class T, class Loss>
void row_gradient(const PointLoss<T>& loss, const T* u, const T* item_factors, Index stride, const Code* items,
                  const T* values, const T* weights, T offset, Index n, T* derivatives, T* du, double* total) {
  with_length_for<T, Loss>(stride, [&](auto length) __attribute__((always_inline)) {
    typename Loss::template Row<T, true> row(loss, values, weights, derivatives);
    RowSum<T, decltype(length)> sum(du, length);
    each_product(
        u, item_factors, stride, items, n, length,
        [&](Index i, const Four<T>& products) __attribute__((always_inline)) {
          row.four(i, products + offset);
          sum.add_four(derivatives + i, FourRows<T>(item_factors, stride, items + i).v);
        },
        [&](Index i, T product) __attribute__((always_inline)) {
          row.one(i, product + offset);
          sum.add_one(derivatives[i], item_factors + items[i] * stride);
        });
    *total += row.total();
  });
}

template <int n>
struct Count {
  static constexpr int kValue = n;
};

// Calls f(Count, offset) for parts of a row: so many registers, at most eight, from an offset on.
template <class T, class F>
MATFAC_INLINE void each_part(Index stride, const F& f) {
  Index at = 0;
  const auto parts_of = [&](auto count) __attribute__((always_inline)) {
    if constexpr (count.kValue % kRegisters == 0) {
      for (; at + count.kValue * kWidth<T> <= stride; at += count.kValue * kWidth<T>) f(count, at);
    }
  };
  parts_of(Count<8>{});
  parts_of(Count<4>{});
  parts_of(Count<2>{});
  parts_of(Count<1>{});
}

template <class T>
void add_outer(const T* g, const T* u, const Code* items, Index n, Index stride, T* matrix) {
  each_part<T>(stride, [&](auto count, Index at) __attribute__((always_inline)) {
    constexpr int kCount = count.kValue;
    Register<T> x[kCount];
    for (int k = 0; k < kCount; ++k) x[k] = load_register(u + at + k * kWidth<T>);
    for (Index i = 0; i < n; ++i) {
      if (i + kWrittenAhead < n) {
        const T* const ahead = matrix + items[i + kWrittenAhead] * stride + at;
        for (Index f = 0; f < kCount * kWidth<T>; f += kGroup<T>) __builtin_prefetch(ahead + f, 1);
      }
      const Register<T> scale = splat(g[i]);
      T* const y = matrix + items[i] * stride + at;
      for (int k = 0; k < kCount; ++k) {
        store_register(y + k * kWidth<T>, fma(scale, x[k], load_register(y + k * kWidth<T>)));
      }
    }
  });
}

template <class T>
const LocalRating* add_runs(const ItemRun* runs, Index n_runs, const LocalRating* ratings, const T* g,
                            const T* user_rows, Index stride, T* matrix) {
  for (Index r = 0; r < n_runs; ++r) {
    if (r + kRunsAhead < n_runs) {
      const T* const ahead = matrix + runs[r + kRunsAhead].item * stride;
      for (Index f = 0; f < stride; f += kGroup<T>) __builtin_prefetch(ahead + f, 1);
    }
    T* const row = matrix + runs[r].item * stride;
    const LocalRating* const end = ratings + runs[r].count;
    each_part<T>(stride, [&](auto count, Index at) __attribute__((always_inline)) {
      constexpr int kCount = count.kValue;
      Register<T> y[kCount];
      for (int k = 0; k < kCount; ++k) y[k] = load_register(row + at + k * kWidth<T>);
      for (const LocalRating* rating = ratings; rating != end; ++rating) {
        const Register<T> scale = splat(g[rating->entry]);
        const T* const u = user_rows + rating->user * stride + at;
        for (int k = 0; k < kCount; ++k) y[k] = fma(scale, load_register(u + k * kWidth<T>), y[k]);
      }
      for (int k = 0; k < kCount; ++k) store_register(row + at + k * kWidth<T>, y[k]);
    });
    ratings = end;
  }
  return ratings;
}

// A polynomial in an odd number for each of several lanes, modulo 2^32: what no step forgets, the last one holds.
std::uint64_t fingerprint(const Code* items, Index n) {
  typedef std::uint32_t Lanes __attribute__((vector_size(MATFAC_REGISTER_BYTES)));
  typedef std::uint32_t Unaligned __attribute__((vector_size(MATFAC_REGISTER_BYTES), aligned(4), may_alias));
  constexpr Index kWide = MATFAC_REGISTER_BYTES / 4, kLanes = 64;
  constexpr std::uint32_t kFactor = 0x915f77f5;
  Lanes sums[kLanes / kWide] = {};
  Index i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (Index k = 0; k < kLanes / kWide; ++k) {
      sums[k] = sums[k] * kFactor + *reinterpret_cast<const Unaligned*>(items + i + k * kWide);
    }
  }
  std::uint32_t lanes[kLanes];
  for (Index k = 0; k < kLanes / kWide; ++k) *reinterpret_cast<Unaligned*>(lanes + k * kWide) = sums[k];
  for (; i < n; ++i) lanes[i % kLanes] = lanes[i % kLanes] * kFactor + static_cast<std::uint32_t>(items[i]);
  std::uint64_t all = 0;
  for (const std::uint32_t lane : lanes) all = all * 0xd1342543de82ef95 + lane;
  return all;
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
