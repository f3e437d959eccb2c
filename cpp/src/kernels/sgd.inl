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
template <class T>
__attribute__((noinline)) T damped(T g, const T* u, const T* v, const SgdRow<T>& user, const SgdRow<T>& item,
                                   Index length) {
  return g / (T(1) + user.rate * dot_groups(v, v, length) + item.rate * dot_groups(u, u, length) + user.bias_rate +
              item.bias_rate);
}

// A rating of a block: where its rows lie.
template <class T>
struct SgdStep {
  T *u, *v;
  SgdRow<T>*user, *item;
  T value;

  MATFAC_INLINE SgdStep(const SgdBlock<T>& block, Index i, Index stride)
      : u(block.user_factors + block.users[i] * stride),
        v(block.item_factors + block.items[i] * stride),
        user(block.user_rows + block.users[i]),
        item(block.item_rows + block.items[i]),
        value(block.values[i]) {}

  // The derivative of the loss at the estimate, given the product of the rows; adds the loss to `total`. Moves the
  // biases. What follows is `move`.
  template <class Loss>
  MATFAC_INLINE T derive(T product, T threshold, Index length, double& total) const {
    const T estimate = product + (user->bias + item->bias);
    T g = Loss::derivative(value, estimate);
    total += Loss::value(value, estimate);
    if (__builtin_expect(g > threshold || g < -threshold, 0)) g = damped(g, u, v, *user, *item, length);
    user->bias = fma_scalar(-user->bias_rate, g, user->bias_shrink * user->bias);
    item->bias = fma_scalar(-item->bias_rate, g, item->bias_shrink * item->bias);
    return g;
  }

  // Both rows move from where they were before the step.
  template <class Length>
  MATFAC_INLINE void move(T g, Length length) const {
    const Register<T> user_step = splat(-user->rate * g), user_shrink = splat(user->shrink);
    const Register<T> item_step = splat(-item->rate * g), item_shrink = splat(item->shrink);
    for (Index f = 0; f < length; f += kWidth<T>) {
      const Register<T> old_u = load_register(u + f), old_v = load_register(v + f);
      store_register(u + f, fma(user_step, old_v, user_shrink * old_u));
      store_register(v + f, fma(item_step, old_u, item_shrink * old_v));
    }
  }
};

template <class T, class Loss>
double block_sgd(const SgdBlock<T>& block) {
  const Index stride = block.stride, strip = block.n / kSgdStrips;
  return with_length<T>(stride, [&](auto length) __attribute__((always_inline)) {
    double total = 0;
    const auto one = [&](Index i) __attribute__((always_inline)) {
      const SgdStep<T> step(block, i, stride);
      const T product = dot_groups(step.u, step.v, length);
      step.move(step.template derive<Loss>(product, block.damping_threshold, length, total), length);
    };
    for (Index k = 0; k < strip; ++k) {
      const SgdStep<T> a(block, k, stride), b(block, k + strip, stride), c(block, k + 2 * strip, stride),
          d(block, k + 3 * strip, stride);
      const bool meet = a.v == b.v || a.v == c.v || a.v == d.v || b.v == c.v || b.v == d.v || c.v == d.v ||
                        a.u == b.u || b.u == c.u || c.u == d.u;
      if (__builtin_expect(meet, 0)) {
        for (Index s = 0; s < kSgdStrips; ++s) one(k + s * strip);
        continue;
      }
      const T pa = dot_groups(a.u, a.v, length), pb = dot_groups(b.u, b.v, length), pc = dot_groups(c.u, c.v, length),
              pd = dot_groups(d.u, d.v, length);
      const T ga = a.template derive<Loss>(pa, block.damping_threshold, length, total);
      const T gb = b.template derive<Loss>(pb, block.damping_threshold, length, total);
      const T gc = c.template derive<Loss>(pc, block.damping_threshold, length, total);
      const T gd = d.template derive<Loss>(pd, block.damping_threshold, length, total);
      a.move(ga, length);
      b.move(gb, length);
      c.move(gc, length);
      d.move(gd, length);
    }
    for (Index i = kSgdStrips * strip; i < block.n; ++i) one(i);
    return total;
  });
}

}  // namespace
}  // namespace matfac
