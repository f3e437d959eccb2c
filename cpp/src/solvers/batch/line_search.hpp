#pragma once

#include <array>

namespace matfac {

/// The step t > 0 that minimizes phi(t) = c[0] t + c[1] t^2 + c[2] t^3 + c[3] t^4 (phi(0) = 0) nearest to 0, given that
/// phi falls at 0 (c[0] < 0) and rises in the end; 0 when no step lowers phi.
double minimize_quartic(const std::array<double, 4>& c);

}  // namespace matfac
