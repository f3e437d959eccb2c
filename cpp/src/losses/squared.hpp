// Squared error: 1/2 (r - r_hat)^2.
//
// A loss is a struct of static functions on numbers, templated on the type of the numbers; t is the loss's parameter,
// if it has one:
//   value(r, r_hat, t)        the cost of estimating r by r_hat
//   derivative(r, r_hat, t)   d value / d r_hat
//   majorizer(r, x, t, &target)  the weight w and the target of 1/2 w (target - r_hat)^2 + const, which touches the
//   loss
//                             at r_hat = x and is nowhere below it; only where kMajorizes
// No loops, no threads, no standard library. Loss headers are included by units compiled for different instruction
// sets, so everything in them lives in the unnamed namespace.
#pragma once

namespace matfac {
namespace {

struct SquaredLoss {
  static constexpr bool kMajorizes = true;
  template <class T>
  static inline __attribute__((always_inline)) T derivative(T rating, T estimate, T = 0) {
    return estimate - rating;
  }
  template <class T>
  static inline __attribute__((always_inline)) double value(T rating, T estimate, T = 0) {
    const double e = static_cast<double>(derivative(rating, estimate));
    return 0.5 * e * e;
  }
  template <class T>
  static inline __attribute__((always_inline)) T majorizer(T rating, T, T, T& target) {
    target = rating;
    return T(1);
  }
};

}  // namespace
}  // namespace matfac
