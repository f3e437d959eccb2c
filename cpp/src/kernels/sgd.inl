// Stochastic steps over a block of ratings.

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

// Both rows of a pair move from where they were before the step.
template <class T, class Loss>
double block_sgd(const SgdBlock<T>& block) {
  const Index stride = block.stride;
  return with_length<T>(stride, [&](auto length) __attribute__((always_inline)) {
    double total = 0;
    for (Index i = 0; i < block.n; ++i) {
      if (i + kAhead < block.n) prefetch_row(block.item_factors + block.items[i + kAhead] * stride, length);
      T* const u = block.user_factors + block.users[i] * stride;
      T* const v = block.item_factors + block.items[i] * stride;
      SgdRow<T>& user = block.user_rows[block.users[i]];
      SgdRow<T>& item = block.item_rows[block.items[i]];
      const T estimate = dot_groups(u, v, length) + (user.bias + item.bias);
      T g = Loss::derivative(block.values[i], estimate);
      if (g > block.damping_threshold || g < -block.damping_threshold) g = damped(g, u, v, user, item, length);
      total += Loss::value(block.values[i], estimate);
      user.bias = fma_scalar(-user.bias_rate, g, user.bias_shrink * user.bias);
      item.bias = fma_scalar(-item.bias_rate, g, item.bias_shrink * item.bias);
      const Group<T> user_step = splat_group(-user.rate * g), user_shrink = splat_group(user.shrink);
      const Group<T> item_step = splat_group(-item.rate * g), item_shrink = splat_group(item.shrink);
      for (Index f = 0; f < length; f += kGroup<T>) {
        const Group<T> old_u = load_group(u + f);
        const Group<T> old_v = load_group(v + f);
        store_group(u + f, fma(user_step, old_v, multiply(user_shrink, old_u)));
        store_group(v + f, fma(item_step, old_u, multiply(item_shrink, old_v)));
      }
    }
    return total;
  });
}

}  // namespace
}  // namespace matfac
