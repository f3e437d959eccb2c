// Stochastic steps on pairs of items, one that a user has rated and one that is not.
//
// As in sgd.inl four steps run side by side, one of each quarter of the block, where they touch different rows.

namespace matfac {
namespace {

// One step: where its rows lie.
template <class T>
struct PairStep {
  T *u, *v, *w;
  SgdRow<T>*user, *item, *other;

  MATFAC_INLINE PairStep(const PairBlock<T>& block, Index user_at, Index item_at, Index other_at, Index stride)
      : u(block.user_factors + user_at * stride),
        v(block.item_factors + item_at * stride),
        w(block.item_factors + other_at * stride),
        user(block.user_rows + user_at),
        item(block.item_rows + item_at),
        other(block.item_rows + other_at) {}
  MATFAC_INLINE PairStep(const PairBlock<T>& block, Index i, Index stride)
      : PairStep(block, block.users[i], block.items[i], block.others[i], stride) {}

  // By how much the rated item's estimate is above the other's.
  template <class Length>
  MATFAC_INLINE T difference(Length length) const {
    Group<T> s = splat_group(T(0));
    for (Index f = 0; f < length; f += kGroup<T>) {
      const Group<T> a = load_group(u + f), b = load_group(v + f), c = load_group(w + f);
      for (int i = 0; i < kRegisters; ++i) s.r[i] = fma(a.r[i], b.r[i] - c.r[i], s.r[i]);
    }
    return sum(s) + (item->bias - other->bias);
  }

  MATFAC_INLINE bool meets(const PairStep& x) const { return u == x.u || v == x.v || v == x.w || w == x.v || w == x.w; }

  // Moves the three rows and the two biases, all from where they were, given the derivative of the loss.
  template <bool kIsPlain, class Length>
  MATFAC_INLINE void move(T g, T negative_part, Length length) const {
    item->bias = fma_scalar(-item->bias_rate, g, item->bias_shrink * item->bias);
    other->bias = fma_scalar(other->bias_rate, g, other->bias_shrink * other->bias);
    const Register<T> user_step = splat(-user->rate * g), user_shrink = splat(user->shrink);
    const Register<T> item_step = splat(-item->rate * g), item_shrink = splat(item->shrink);
    const Register<T> other_step = splat(other->rate * g), other_shrink = splat(other->shrink);
    for (Index f = 0; f < length; f += kWidth<T>) {
      const Register<T> old_u = load_register(u + f), old_v = load_register(v + f), old_w = load_register(w + f);
      Register<T> new_u = fma(user_step, old_v - old_w, user_shrink * old_u);
      Register<T> new_v = fma(item_step, old_u, item_shrink * old_v);
      Register<T> new_w = fma(other_step, old_u, other_shrink * old_w);
      if constexpr (!kIsPlain) {
        const Register<T> sign = splat(negative_part);
        new_u = soft(new_u, splat(user->threshold), sign);
        new_v = soft(new_v, splat(item->threshold), sign);
        new_w = soft(new_w, splat(other->threshold), sign);
      }
      store_register(u + f, new_u);
      store_register(v + f, new_v);
      store_register(w + f, new_w);
    }
  }
};

// Twelve rows do not fit the registers: without this the compiler loads them early and keeps them on the stack.
MATFAC_INLINE void forget_registers() { __asm__ __volatile__("" ::: "memory"); }

// The sum of the weighted losses, with a logarithm for many of them where there are no weights.
template <class T>
struct BprTotal {
  double total = 0, product = 1;

  MATFAC_INLINE T step(T x, const T* weight) {
    double part, factor;
    const T g = BprLoss::derivative(x, part, factor);
    if (weight != nullptr) {
      total += static_cast<double>(*weight) * (part + __builtin_log(factor));
      return *weight * g;
    }
    total += part;
    product *= factor;  // each in [1, 2]
    if (product > 0x1p1000) collect();
    return g;
  }
  MATFAC_INLINE void collect() {
    total += __builtin_log(product);
    product = 1;
  }
};

template <class T>
MATFAC_INLINE const T* weight_of(const PairBlock<T>& block, Index i) {
  return block.weights != nullptr ? block.weights + i : nullptr;
}

// One step after the other: `n` of them, `distance` apart.
template <class T, bool kIsPlain, class Length>
__attribute__((noinline)) void serial_bpr(const PairBlock<T>& block, Index i, Index distance, Index n, Length length,
                                          BprTotal<T>& sum_of_losses) {
  for (; n > 0; --n, i += distance) {
    const PairStep<T> step(block, i, block.stride);
    step.template move<kIsPlain>(sum_of_losses.step(step.difference(length), weight_of(block, i)), block.negative_part,
                                 length);
  }
}

template <class T, bool kIsPlain, class Length>
MATFAC_INLINE double bpr_steps(const PairBlock<T>& block, Length length) {
  const Index stride = block.stride, strip = block.n / kSgdStrips;
  const T sign = block.negative_part;
  BprTotal<T> sum_of_losses;
  for (Index k = 0; k < strip; ++k) {
    const PairStep<T> a(block, k, stride), b(block, k + strip, stride), c(block, k + 2 * strip, stride),
        d(block, k + 3 * strip, stride);
    if (__builtin_expect(a.meets(b) || a.meets(c) || a.meets(d) || b.meets(c) || b.meets(d) || c.meets(d), 0)) {
      serial_bpr<T, kIsPlain>(block, k, strip, kSgdStrips, length, sum_of_losses);
      continue;
    }
    if (k + 1 < strip) {
      for (Index s = 0; s < kSgdStrips; ++s) {
        prefetch_row(block.item_factors + block.items[k + 1 + s * strip] * stride, length);
        prefetch_row(block.item_factors + block.others[k + 1 + s * strip] * stride, length);
      }
    }
    T g[kSgdStrips];
    g[0] = a.difference(length);
    forget_registers();
    g[1] = b.difference(length);
    forget_registers();
    g[2] = c.difference(length);
    forget_registers();
    g[3] = d.difference(length);
    for (Index s = 0; s < kSgdStrips; ++s) g[s] = sum_of_losses.step(g[s], weight_of(block, k + s * strip));
    forget_registers();
    a.template move<kIsPlain>(g[0], sign, length);
    forget_registers();
    b.template move<kIsPlain>(g[1], sign, length);
    forget_registers();
    c.template move<kIsPlain>(g[2], sign, length);
    forget_registers();
    d.template move<kIsPlain>(g[3], sign, length);
  }
  serial_bpr<T, kIsPlain>(block, kSgdStrips * strip, 1, block.n - kSgdStrips * strip, length, sum_of_losses);
  sum_of_losses.collect();
  return sum_of_losses.total;
}

template <class T>
double block_bpr(const PairBlock<T>& block) {
  if (!block.is_plain) return bpr_steps<T, false>(block, block.stride);
  return with_length<T>(block.stride,
                        [&](auto length) __attribute__((always_inline)) { return bpr_steps<T, true>(block, length); });
}

// The first of the candidates whose estimate is less than a margin below the item's, or n; and the difference.
template <class T>
Index find_violator(const PairBlock<T>& block, Index user, Index item, const Code* candidates, Index n, T margin,
                    T* difference) {
  return with_length<T>(block.stride, [&](auto length) __attribute__((always_inline)) {
    const T* const u = block.user_factors + user * block.stride;
    const auto estimate = [&](Index m) __attribute__((always_inline)) {
      return dot_groups(u, block.item_factors + m * block.stride, length) + block.item_rows[m].bias;
    };
    const T own = estimate(item);
    for (Index i = 0; i < n; ++i) {
      const T x = own - estimate(candidates[i]);
      if (!(x >= margin)) {  // NaN too: it must not stay hidden
        *difference = x;
        return i;
      }
    }
    return n;
  });
}

template <class T>
void pair_step(const PairBlock<T>& block, Index user, Index item, Index other, T g) {
  const PairStep<T> step(block, user, item, other, block.stride);
  if (block.is_plain) {
    step.template move<true>(g, block.negative_part, block.stride);
  } else {
    step.template move<false>(g, block.negative_part, block.stride);
  }
}

}  // namespace
}  // namespace matfac
