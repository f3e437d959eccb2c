#pragma once

#include <array>
#include <functional>

namespace matfac {

/// The step t > 0 that minimizes phi(t) = c[0] t + c[1] t^2 + c[2] t^3 + c[3] t^4 (phi(0) = 0) nearest to 0, given that
/// phi falls at 0 (c[0] < 0) and rises in the end; 0 when no step lowers phi.
double minimize_quartic(const std::array<double, 4>& c);

/// phi and its derivative at a step.
struct LinePoint {
  double value = 0;
  double slope = 0;
};

/// A step t > 0 with phi(t) < phi(0) near a minimum of a smooth phi, where |phi'(t)| is at most a 20th of |phi'(0)|: by
/// bracketing from `first` and secants, in at most 30 evaluations; the best step seen where rounding hides the minimum,
/// and 0 when no step lowers phi or phi does not fall at 0.
double minimize_along(const std::function<LinePoint(double)>& phi, const LinePoint& start, double first);

}  // namespace matfac
