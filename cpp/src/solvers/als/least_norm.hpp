#pragma once

#include <vector>

namespace matfac::als {

/// The x of least norm among those that minimize  |A x - r|^2 + sum_j penalties[j] x_j^2,  in double.
///
/// `a` is row-major, r.size() x penalties.size(); no penalty may be negative. Directions of A that are zero to within
/// rounding get zeros. Costs about 50 min(rows, columns)^3 flop where no penalty is positive, otherwise 50 columns^3.
std::vector<double> least_norm(const std::vector<double>& a, const std::vector<double>& r,
                               const std::vector<double>& penalties);

/// a^+ h for a symmetric and positive semidefinite `a`, row-major; costs about 50 h.size()^3 flop.
std::vector<double> least_norm_of_system(const std::vector<double>& a, const std::vector<double>& h);

}  // namespace matfac::als
