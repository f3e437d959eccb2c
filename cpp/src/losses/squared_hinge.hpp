// Squared hinge loss: 1/2 max(0, 1 - y r_hat)^2, y = 1 where r > 0, else -1.
#pragma once

#include "losses/labels.hpp"

namespace matfac {
namespace {

struct SquaredHingeLoss {
  static constexpr bool kMajorizes = true;
  template <class T>
  static inline __attribute__((always_inline)) T derivative(T rating, T estimate, T) {
    const T y = label_sign(rating);
    return y * estimate >= T(1) ? T(0) : estimate - y;
  }
  template <class T>
  static inline __attribute__((always_inline)) double value(T rating, T estimate, T t) {
    const double e = static_cast<double>(derivative(rating, estimate, t));
    return 0.5 * e * e;
  }
  template <class T>
  static inline __attribute__((always_inline)) T majorizer(T rating, T x, T, T& target) {
    const T y = label_sign(rating);
    target = y * x > T(1) ? x : y;
    return T(1);
  }
};

}  // namespace
}  // namespace matfac
