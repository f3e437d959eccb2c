// Logistic loss: log(1 + exp(-y r_hat)), y = 1 where r > 0, else -1: the negative logarithm of the probability of the
// label, 1 / (1 + exp(-y r_hat)).
#pragma once

#include "losses/labels.hpp"

namespace matfac {
namespace {

struct LogisticLoss {
  static constexpr bool kMajorizes = true;
  template <class T>
  static inline __attribute__((always_inline)) T derivative(T rating, T estimate, T) {
    const T y = label_sign(rating);
    return static_cast<T>(-y / (T(1) + exponential(y * estimate)));
  }
  template <class T>
  static inline __attribute__((always_inline)) double value(T rating, T estimate, T) {
    const double margin = static_cast<double>(label_sign(rating) * estimate);
    return margin > 0 ? __builtin_log1p(__builtin_exp(-margin)) : __builtin_log1p(__builtin_exp(margin)) - margin;
  }
  // The weight tanh(|x| / 2) / (2 |x|) is the smallest that does. T. Jaakkola, M. Jordan: Bayesian Parameter Estimation
  // via Variational Methods. Statistics and Computing 10, 2000.
  template <class T>
  static inline __attribute__((always_inline)) T majorizer(T rating, T x, T, T& target) {
    const double distance = __builtin_fabs(static_cast<double>(x));
    const double weight = distance < 1e-3 ? 0.25 - distance * distance / 48
                                          : (0.5 - 1 / (1 + __builtin_exp(distance))) / distance;
    target = static_cast<T>(0.5 * static_cast<double>(label_sign(rating)) / weight);
    return static_cast<T>(weight);
  }

 private:
  static inline __attribute__((always_inline)) float exponential(float x) { return __builtin_expf(x); }
  static inline __attribute__((always_inline)) double exponential(double x) { return __builtin_exp(x); }
};

}  // namespace
}  // namespace matfac
