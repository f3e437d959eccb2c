// Generalized Kullback-Leibler divergence: r log(r / r_hat) - r + r_hat, for r >= 0 and r_hat > 0; a Poisson model of
// counts. Estimates below kLeast count as kLeast.
// D. Lee, H. S. Seung: Algorithms for Non-negative Matrix Factorization. NIPS 2000.
#pragma once

namespace matfac {
namespace {

struct KullbackLeiblerLoss {
  static constexpr bool kMajorizes = false;
  static constexpr double kLeast = 1e-6;
  template <class T>
  static inline __attribute__((always_inline)) T bounded(T estimate) {
    return estimate < static_cast<T>(kLeast) ? static_cast<T>(kLeast) : estimate;
  }
  template <class T>
  static inline __attribute__((always_inline)) T derivative(T rating, T estimate, T) {
    return T(1) - rating / bounded(estimate);
  }
  template <class T>
  static inline __attribute__((always_inline)) double value(T rating, T estimate, T) {
    const double r = static_cast<double>(rating), e = static_cast<double>(bounded(estimate));
    return (r > 0 ? r * __builtin_log(r / e) : 0.0) - r + e;
  }
};

}  // namespace
}  // namespace matfac
