// Hinge loss: max(0, 1 - y r_hat), y = 1 where r > 0, else -1.
#pragma once

#include "losses/labels.hpp"

namespace matfac {
namespace {

struct HingeLoss {
  static constexpr bool kMajorizes = true;
  template <class T>
  static inline __attribute__((always_inline)) T derivative(T rating, T estimate, T) {
    const T y = label_sign(rating);
    return y * estimate < T(1) ? -y : y * estimate - y * estimate;
  }
  template <class T>
  static inline __attribute__((always_inline)) double value(T rating, T estimate, T) {
    const double margin = static_cast<double>(label_sign(rating) * estimate);
    return margin >= 1 ? 0.0 : 1 - margin;
  }
  // With a = 1 - y x this is (|a| + a) / 2, and |a| lies below the parabola of absolute.hpp.
  template <class T>
  static inline __attribute__((always_inline)) T majorizer(T rating, T x, T t, T& target) {
    const T y = label_sign(rating), a = T(1) - y * x, size = a < T(0) ? -a : a, distance = size < t ? t : size;
    target = y * (T(1) + distance);
    return T(1) / (distance + distance);
  }
};

}  // namespace
}  // namespace matfac
