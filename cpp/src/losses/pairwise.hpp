// Losses of the difference x between the estimates of an item that a user has chosen and of one that is not.
#pragma once

namespace matfac {
namespace {

/// log(1 + exp(-x)), the negative logarithm of the probability that the chosen item is preferred. S. Rendle,
/// C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme: BPR: Bayesian Personalized Ranking from Implicit Feedback. UAI
/// 2009.
struct BprLoss {
  /// The derivative, and the loss in two parts, part + log(factor): logarithms are slow, those of products are fewer.
  template <class T>
  static inline __attribute__((always_inline)) T derivative(T x, double& part, double& factor) {
    const bool is_right = x > T(0);
    const T e = exponential(is_right ? -x : x), d = T(1) + e;  // never overflows
    part = is_right ? 0.0 : -static_cast<double>(x);
    factor = 1.0 + static_cast<double>(e);
    return -(is_right ? e : T(1)) / d;
  }
  static inline double value(double x) {
    return x > 0 ? __builtin_log1p(__builtin_exp(-x)) : __builtin_log1p(__builtin_exp(x)) - x;
  }

 private:
  static inline __attribute__((always_inline)) float exponential(float x) { return __builtin_expf(x); }
  static inline __attribute__((always_inline)) double exponential(double x) { return __builtin_exp(x); }
};

/// max(0, 1 - x), to be weighted by the rank of the chosen item. J. Weston, S. Bengio, N. Usunier: WSABIE: Scaling Up
/// To Large Vocabulary Image Annotation. IJCAI 2011.
struct WarpLoss {
  static constexpr double kMargin = 1;
  static inline double value(double x) { return x < kMargin ? kMargin - x : 0.0; }
};

}  // namespace
}  // namespace matfac
