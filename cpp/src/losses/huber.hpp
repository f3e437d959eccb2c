// Huber's loss: 1/2 e^2 where |e| <= t, else t (|e| - t / 2); e = r_hat - r.
// P. Huber: Robust Estimation of a Location Parameter. Annals of Mathematical Statistics 35(1), 1964.
#pragma once

namespace matfac {
namespace {

struct HuberLoss {
  static constexpr bool kMajorizes = true;
  template <class T>
  static inline __attribute__((always_inline)) T derivative(T rating, T estimate, T t) {
    const T e = estimate - rating;
    return e > t ? t : e < -t ? -t : e;
  }
  template <class T>
  static inline __attribute__((always_inline)) double value(T rating, T estimate, T t) {
    const double e = __builtin_fabs(static_cast<double>(estimate - rating)), limit = static_cast<double>(t);
    return e <= limit ? 0.5 * e * e : limit * (e - 0.5 * limit);
  }
  template <class T>
  static inline __attribute__((always_inline)) T majorizer(T rating, T x, T t, T& target) {
    target = rating;
    const T distance = x > rating ? x - rating : rating - x;
    return distance <= t ? T(1) : t / distance;
  }
};

}  // namespace
}  // namespace matfac
