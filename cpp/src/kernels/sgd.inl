// Stochastic steps over a block of ratings.
//
// One step is a chain: product, sum of its lanes, derivative, new rows. To keep the processor busy four chains run side
// by side: the block is cut into four strips, and strip 0's k-th rating is followed by strip 1's, 2's and 3's. As the
// ratings lie by user, those four have different users but at the seams; where their items differ too, steps on
// different rows commute, and computing all four products first gives what one after the other would.

namespace matfac {
namespace {

// A step on a wild residual, with rows that have grown, can overshoot so far that the next one is wilder still. There,
// and only there, the derivative is damped as an implicit step would damp it: the step is taken as if the residual were
// the one after it. P. Toulis, E. Airoldi: Asymptotic and finite-sample properties of estimators based on stochastic
// gradients. Annals of Statistics 45(4), 2017.
// A derivative may be wilder than any residual (r / r_hat near 0): what is beyond ten times the threshold is cut first.
template <class T>
__attribute__((noinline)) T damped(T g, T threshold, const T* u, const T* v, const SgdRow<T>& user,
                                   const SgdRow<T>& item, Index length) {
  const T most = 10 * threshold;
  g = g > most ? most : g < -most ? -most : g;
  return g / (T(1) + user.rate * dot_groups(v, v, length) + item.rate * dot_groups(u, u, length) + user.bias_rate +
              item.bias_rate);
}

// x moved towards 0 by the threshold, and the negative part of that scaled (by 0 or 1). Comparisons are such that NaN
// stays NaN.
template <class R>
MATFAC_INLINE R soft(R x, R threshold, R negative_part) {
  const R above = x - threshold, below = x + threshold, zero = {};
  return (above < zero ? zero : above) + negative_part * (below > zero ? zero : below);
}

// A rating of a block: where its rows lie.
template <class T, class Loss>
struct SgdStep {
  T *u, *v;
  SgdRow<T>*user, *item;

  MATFAC_INLINE SgdStep(const SgdBlock<T>& block, Index i, Index stride)
      : u(block.user_factors + block.users[i] * stride),
        v(block.item_factors + block.items[i] * stride),
        user(block.user_rows + block.users[i]),
        item(block.item_rows + block.items[i]) {}

  MATFAC_INLINE T estimate(T product, const SgdBlock<T>& block) const {
    const T estimate = product + (user->bias + item->bias);
    return Loss::kIsPlain ? estimate : estimate + block.offset;
  }

  // Moves the biases, and both rows from where they were before the step, given the derivative of the loss.
  template <class Length>
  MATFAC_INLINE void move(T g, const SgdBlock<T>& block, Length length) const {
    if (__builtin_expect(g > block.damping_threshold || g < -block.damping_threshold, 0)) {
      g = damped(g, block.damping_threshold, u, v, *user, *item, length);
    }
    user->bias = fma_scalar(-user->bias_rate, g, user->bias_shrink * user->bias);
    item->bias = fma_scalar(-item->bias_rate, g, item->bias_shrink * item->bias);
    const Register<T> user_step = splat(-user->rate * g), user_shrink = splat(user->shrink);
    const Register<T> item_step = splat(-item->rate * g), item_shrink = splat(item->shrink);
    if constexpr (Loss::kIsPlain) {
      for (Index f = 0; f < length; f += kWidth<T>) {
        const Register<T> old_u = load_register(u + f), old_v = load_register(v + f);
        store_register(u + f, fma(user_step, old_v, user_shrink * old_u));
        store_register(v + f, fma(item_step, old_u, item_shrink * old_v));
      }
    } else {
      if (user->bias < block.least_bias) user->bias = block.least_bias;
      if (item->bias < block.least_bias) item->bias = block.least_bias;
      const Register<T> user_threshold = splat(user->threshold), item_threshold = splat(item->threshold);
      const Register<T> negative_part = splat(block.negative_part);
      for (Index f = 0; f < length; f += kWidth<T>) {
        const Register<T> old_u = load_register(u + f), old_v = load_register(v + f);
        store_register(u + f, soft(fma(user_step, old_v, user_shrink * old_u), user_threshold, negative_part));
        store_register(v + f, soft(fma(item_step, old_u, item_shrink * old_v), item_threshold, negative_part));
      }
    }
  }
};

template <class T, class Loss>
double block_sgd(const PointLoss<T>& loss, const SgdBlock<T>& block) {
  const Index stride = block.stride, strip = block.n / kSgdStrips;
  return with_length_for<T, Loss>(stride, [&](auto length) __attribute__((always_inline)) {
    double total = 0;
    const auto one = [&](Index i) __attribute__((always_inline)) {
      const SgdStep<T, Loss> step(block, i, stride);
      const T estimate = step.estimate(dot_groups(step.u, step.v, length), block);
      T g;
      total = Loss::evaluate(loss, block.values + i, &estimate, block.weights != nullptr ? block.weights + i : nullptr,
                             1, &g, total);
      step.move(g, block, length);
    };
    for (Index k = 0; k < strip; ++k) {
      const SgdStep<T, Loss> a(block, k, stride), b(block, k + strip, stride), c(block, k + 2 * strip, stride),
          d(block, k + 3 * strip, stride);
      const bool meet = a.v == b.v || a.v == c.v || a.v == d.v || b.v == c.v || b.v == d.v || c.v == d.v ||
                        a.u == b.u || b.u == c.u || c.u == d.u;
      if (__builtin_expect(meet, 0)) {
        for (Index s = 0; s < kSgdStrips; ++s) one(k + s * strip);
        continue;
      }
      const T pa = dot_groups(a.u, a.v, length), pb = dot_groups(b.u, b.v, length), pc = dot_groups(c.u, c.v, length),
              pd = dot_groups(d.u, d.v, length);
      const T estimates[kSgdStrips] = {a.estimate(pa, block), b.estimate(pb, block), c.estimate(pc, block),
                                       d.estimate(pd, block)};
      T values[kSgdStrips], weights[kSgdStrips], g[kSgdStrips];
      for (Index s = 0; s < kSgdStrips; ++s) values[s] = block.values[k + s * strip];
      if constexpr (!Loss::kIsPlain) {
        if (block.weights != nullptr) {
          for (Index s = 0; s < kSgdStrips; ++s) weights[s] = block.weights[k + s * strip];
        }
      }
      total = Loss::evaluate(loss, values, estimates, block.weights != nullptr ? weights : nullptr, kSgdStrips, g,
                             total);
      a.move(g[0], block, length);
      b.move(g[1], block, length);
      c.move(g[2], block, length);
      d.move(g[3], block, length);
    }
    for (Index i = kSgdStrips * strip; i < block.n; ++i) one(i);
    return total;
  });
}

}  // namespace
}  // namespace matfac
