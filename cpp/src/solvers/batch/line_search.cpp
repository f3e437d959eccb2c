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

}  // namespace matfac
