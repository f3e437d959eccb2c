// Absolute error: |r - r_hat|. Robust: a wild rating pulls no harder than any other.
#pragma once

namespace matfac {
namespace {

struct AbsoluteLoss {
  static constexpr bool kMajorizes = true;
  template <class T>
  static inline __attribute__((always_inline)) T derivative(T rating, T estimate, T) {
    return estimate > rating ? T(1) : estimate < rating ? T(-1) : estimate - rating;
  }
  template <class T>
  static inline __attribute__((always_inline)) double value(T rating, T estimate, T) {
    return __builtin_fabs(static_cast<double>(estimate - rating));
  }
  // |e| <= e^2 / (2 |x|) + |x| / 2. Near x = 0 the weight is bounded, as usual: t is what counts as zero.
  template <class T>
  static inline __attribute__((always_inline)) T majorizer(T rating, T x, T t, T& target) {
    target = rating;
    const T distance = x > rating ? x - rating : rating - x;
    return T(1) / (distance < t ? t : distance);
  }
};

}  // namespace
}  // namespace matfac
