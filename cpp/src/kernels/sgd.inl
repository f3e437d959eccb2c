// Stochastic steps over a block of ratings.

namespace matfac {
namespace {

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
      const T g = Loss::derivative(block.values[i], estimate);
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
