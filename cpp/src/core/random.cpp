#include "core/random.hpp"

#include <cmath>
#include <numbers>

namespace matfac {

std::array<double, 2> to_normals(std::uint32_t word0, std::uint32_t word1) {
  const double radius = std::sqrt(-2.0 * std::log(to_uniform(word0)));
  const double angle = 2.0 * std::numbers::pi * to_uniform(word1);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace matfac
