// Squared error: 1/2 (r - r_hat)^2.
//
// A loss is a struct of static functions on numbers, templated on the type of the numbers:
//   value(r, r_hat)        the cost of estimating r by r_hat
//   derivative(r, r_hat)   d value / d r_hat
// No loops, no threads, no standard library. Loss headers are included by units compiled for different instruction
// sets, so everything in them lives in the unnamed namespace.
#pragma once

namespace matfac {
namespace {

struct SquaredLoss {
  template <class T>
  static inline __attribute__((always_inline)) T derivative(T rating, T estimate) {
    return estimate - rating;
  }
  template <class T>
  static inline __attribute__((always_inline)) double value(T rating, T estimate) {
    const double e = static_cast<double>(derivative(rating, estimate));
    return 0.5 * e * e;
  }
};

}  // namespace
}  // namespace matfac
