#include "solvers/batch/line_search.hpp"

#include <cmath>

namespace matfac {
namespace {

double value(const std::array<double, 4>& c, double t) { return t * (c[0] + t * (c[1] + t * (c[2] + t * c[3]))); }
double slope(const std::array<double, 4>& c, double t) { return c[0] + t * (2 * c[1] + t * (3 * c[2] + t * 4 * c[3])); }

}  // namespace

double minimize_quartic(const std::array<double, 4>& c) {
  if (!(c[0] < 0)) return 0;
  // The curvature at 0 gives the scale of the step; the bracket grows from there until phi rises at its end.
  double high = c[1] > 0 ? -c[0] / (2 * c[1]) : 1.0;
  for (int doublings = 0; slope(c, high) < 0; ++doublings) {
    if (doublings == 200 || !std::isfinite(high)) return 0;
    high *= 2;
  }
  double low = 0;
  for (int halvings = 0; halvings < 200 && high - low > 1e-12 * high; ++halvings) {
    const double middle = low + (high - low) / 2;
    (slope(c, middle) < 0 ? low : high) = middle;
  }
  // With three stationary points the bracket may have closed on the outer minimum: it counts only if it is lower than
  // 0.
  double t = low + (high - low) / 2;
  for (int halvings = 0; halvings < 100 && !(value(c, t) < 0); ++halvings) t /= 2;
  return value(c, t) < 0 ? t : 0;
}

double minimize_along(const std::function<LinePoint(double)>& phi, const LinePoint& start, double first) {
  if (!(start.slope < 0) || !std::isfinite(first) || first <= 0) return 0;
  constexpr int kEvaluations = 30;
  double low = 0, high = 0, best = 0, t = first;  // high = 0: phi has not been seen to rise yet
  LinePoint at_low = start, at_high;
  double best_value = start.value;
  for (int i = 0; i < kEvaluations; ++i) {
    const LinePoint now = phi(t);
    if (now.value < best_value) {
      best_value = now.value;
      best = t;
    }
    const bool is_lower = std::isfinite(now.slope) && now.value <= at_low.value;
    if (is_lower && now.value < start.value && std::abs(now.slope) <= 0.05 * -start.slope) return t;
    if (is_lower && now.slope < 0) {
      low = t;
      at_low = now;
    } else {
      high = t;
      at_high = now;
    }
    // Where the line through the slopes is 0, kept well inside the bracket (or, without one, within 2 to 10 times t).
    if (high == 0) {
      const double curvature = (now.slope - start.slope) / t;
      const double next = curvature > 0 ? -start.slope / curvature : 10 * t;
      t = std::fmin(std::fmax(next, 2 * t), 10 * t);
      if (!std::isfinite(t)) break;
      continue;
    }
    const double width = high - low;
    if (!(width > 1e-10 * high)) break;
    const bool has_secant = std::isfinite(at_high.slope) && at_high.slope > 0 && at_low.slope < 0;
    const double next = has_secant ? low - at_low.slope * width / (at_high.slope - at_low.slope) : low + width / 2;
    t = std::fmin(std::fmax(next, low + 0.05 * width), high - 0.05 * width);
  }
  return best;
}

}  // namespace matfac
