// Hinge loss: max(0, 1 - y r_hat), y = 1 where r > 0, else -1.
#pragma once

#include "losses/labels.hpp"

namespace matfac {
namespace {

struct HingeLoss {
  static constexpr bool kMajorizes = false;
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
};

}  // namespace
}  // namespace matfac
