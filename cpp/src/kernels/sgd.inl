// Stochastic steps over a block of ratings.
//
// One step is a chain: product, sum of its lanes, derivative, new rows. To keep the processor busy four chains run side
// by side: the block is cut into four strips, and strip 0's k-th rating is followed by strip 1's, 2's and 3's. As the
// ratings lie by user, those four have different users but at the seams; where their items differ too, steps on
// different rows commute, and computing all four products first gives what one after the other would. What is a number
// for each of the four is computed as a vector of four: with wide registers these numbers take longer than the rows.

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

  MATFAC_INLINE bool meets(const SgdStep& other) const { return v == other.v || u == other.u; }
  MATFAC_INLINE T bias() const { return user->bias + item->bias; }
  template <class Length>
  MATFAC_INLINE T product(Length length) const {
    return dot_groups(u, v, length);
  }

  // Moves the biases, and both rows from where they were before the step, given the derivative of the loss, negated.
  template <class Length>
  MATFAC_INLINE void move(T minus_g, const SgdBlock<T>& block, Length length) const {
    user->bias = fma_scalar(user->bias_rate, minus_g, user->bias_shrink * user->bias);
    item->bias = fma_scalar(item->bias_rate, minus_g, item->bias_shrink * item->bias);
    const Register<T> user_step = splat(user->rate * minus_g), user_shrink = splat(user->shrink);
    const Register<T> item_step = splat(item->rate * minus_g), item_shrink = splat(item->shrink);
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

// The steps of a block, and the sum of their losses.
template <class T, class Loss, class Length>
class SgdSteps {
 public:
  MATFAC_INLINE SgdSteps(const PointLoss<T>& loss, const SgdBlock<T>& block, Length length)
      : loss_(loss), block_(block), length_(length) {}

  MATFAC_INLINE void one(Index i) {
    const Step step(block_, i, block_.stride);
    step.move(-derivative(step, i, step.product(length_)), block_, length_);
  }

  // The ratings i, i + strip, i + 2 strip and i + 3 strip.
  MATFAC_INLINE void four(Index i, Index strip) {
    const Index stride = block_.stride;
    const Step a(block_, i, stride), b(block_, i + strip, stride), c(block_, i + 2 * strip, stride),
        d(block_, i + 3 * strip, stride);
    if (same(a.v, b.v) || same(a.v, c.v) || same(a.v, d.v) || same(b.v, c.v) || same(b.v, d.v) || same(c.v, d.v) ||
        same(a.u, b.u) || same(b.u, c.u) || same(c.u, d.u)) {
      return four_that_meet(a, b, c, d, i, strip);
    }
    const Group<T> lanes[] = {dot_lanes(a.u, a.v, length_), dot_lanes(b.u, b.v, length_), dot_lanes(c.u, c.v, length_),
                              dot_lanes(d.u, d.v, length_)};
    Four<T> estimates, g;
    sum_four(lanes, estimates);
    estimates += Four<T>{a.bias(), b.bias(), c.bias(), d.bias()};
    if (!Loss::kIsPlain) estimates += block_.offset;
    differentiate(estimates, i, strip, g);
    if (__builtin_expect(any_wild(g), 0)) {
      g = Four<T>{tamed(g[0], a), tamed(g[1], b), tamed(g[2], c), tamed(g[3], d)};
    }
    g = -g;
    a.move(g[0], block_, length_);
    b.move(g[1], block_, length_);
    c.move(g[2], block_, length_);
    d.move(g[3], block_, length_);
  }

  // Fetches the items of those four.
  MATFAC_INLINE void fetch(Index i, Index strip) const {
    for (Index s = 0; s < kSgdStrips; ++s) {
      const Index item = block_.items[i + s * strip];
      __builtin_prefetch(block_.item_rows + item, 1);
      prefetch_row(block_.item_factors + item * block_.stride, length_);
    }
  }

  double total() const { return total_ + ((totals_[0] + totals_[1]) + (totals_[2] + totals_[3])); }

 private:
  using Step = SgdStep<T, Loss>;

  // A branch for each comparison: one for all of them together takes three times as many instructions.
  static MATFAC_INLINE bool same(const T* x, const T* y) { return __builtin_expect(x == y, 0); }

  // Among the most popular items every tenth four has one twice. Then they go in pairs, b before or after c, if that is
  // the same as one after the other.
  MATFAC_INLINE void four_that_meet(const Step& a, const Step& b, const Step& c, const Step& d, Index i, Index strip) {
    if (!a.meets(b) && !c.meets(d)) {
      two(a, b, i, i + strip);
      two(c, d, i + 2 * strip, i + 3 * strip);
    } else if (!a.meets(c) && !b.meets(d) && !b.meets(c)) {
      two(a, c, i, i + 2 * strip);
      two(b, d, i + strip, i + 3 * strip);
    } else {
      for (Index s = 0; s < kSgdStrips; ++s) one(i + s * strip);
    }
  }

  MATFAC_INLINE void two(const Step& a, const Step& b, Index i, Index j) {
    const T product_a = a.product(length_), product_b = b.product(length_);
    const T g_a = derivative(a, i, product_a), g_b = derivative(b, j, product_b);
    a.move(-g_a, block_, length_);
    b.move(-g_b, block_, length_);
  }

  // Of one loss, damped where it is wild.
  MATFAC_INLINE T derivative(const Step& step, Index i, T product) {
    T estimate = product + step.bias(), g;
    if (!Loss::kIsPlain) estimate += block_.offset;
    total_ = Loss::evaluate(loss_, block_.values + i, &estimate,
                            block_.weights != nullptr ? block_.weights + i : nullptr, 1, &g, total_);
    return tamed(g, step);
  }

  // Of four losses, as they are.
  MATFAC_INLINE void differentiate(const Four<T>& estimates, Index i, Index strip, Four<T>& g) {
    const T* const values = block_.values + i;
    const Four<T> ratings = {values[0], values[strip], values[2 * strip], values[3 * strip]};
    if constexpr (Loss::kIsPlain) {
      add_four_squares<T>(ratings, estimates, g, totals_);
    } else {
      Four<T> weights;
      if (block_.weights != nullptr) {
        for (Index s = 0; s < kSgdStrips; ++s) weights[s] = block_.weights[i + s * strip];
      }
      total_ = Loss::evaluate(loss_, entries(ratings), entries(estimates),
                              block_.weights != nullptr ? entries(weights) : nullptr, kSgdStrips, entries(g), total_);
    }
  }

  static MATFAC_INLINE const T* entries(const Four<T>& x) { return reinterpret_cast<const T*>(&x); }
  static MATFAC_INLINE T* entries(Four<T>& x) { return reinterpret_cast<T*>(&x); }

  MATFAC_INLINE bool any_wild(const Four<T>& g) const {
    const Four<T> threshold = block_.damping_threshold - Four<T>{};
    const auto wild = (g > threshold) | (g < -threshold);
    return (wild[0] | wild[1] | wild[2] | wild[3]) != 0;
  }
  MATFAC_INLINE T tamed(T g, const Step& step) const {
    const bool wild = g > block_.damping_threshold || g < -block_.damping_threshold;
    if (__builtin_expect(!wild, 1)) return g;
    return damped(g, block_.damping_threshold, step.u, step.v, *step.user, *step.item, length_);
  }

  const PointLoss<T>& loss_;
  const SgdBlock<T> block_;  // a copy: what is stored through its pointers cannot change it
  Length length_;
  double total_ = 0;
  Four<double> totals_ = {};
};

// How many turns of the strips ahead items are fetched.
constexpr Index kTurnsAhead = 4;

template <class T, class Loss>
double block_sgd(const PointLoss<T>& loss, const SgdBlock<T>& block) {
  return with_length_for<T, Loss>(block.stride, [&](auto length) __attribute__((always_inline)) {
    SgdSteps<T, Loss, decltype(length)> steps(loss, block, length);
    const Index strip = block.n / kSgdStrips;
    for (Index k = 0; k < strip; ++k) {
      if (k + kTurnsAhead < strip) steps.fetch(k + kTurnsAhead, strip);
      steps.four(k, strip);
    }
    for (Index i = kSgdStrips * strip; i < block.n; ++i) steps.one(i);
    return steps.total();
  });
}

}  // namespace
}  // namespace matfac
