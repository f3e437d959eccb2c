#include "workload.hpp"

#include <algorithm>
#include <cmath>
#include <random>

namespace matfac::bench {

Triplets make_triplets(const Options& options) {
  std::mt19937_64 engine(1);
  std::uniform_real_distribution<double> uniform;
  const auto skewed = [&](Index n, double power) {
    const Index code = static_cast<Index>(static_cast<double>(n) * std::pow(uniform(engine), power));
    return static_cast<Code>(std::min(code, n - 1));
  };
  Triplets triplets;
  for (Index i = 0; i < options.n_ratings; ++i) {
    triplets.users.push_back(skewed(options.n_users, 1.8));
    triplets.items.push_back(skewed(options.n_items, 2.5));
    triplets.values.push_back(0.5f * static_cast<float>(1 + static_cast<int>(10 * uniform(engine))));
  }
  return triplets;
}

Ratings<float> compress(const Triplets& triplets, const Options& options, int n_threads) {
  return ratings_from_triplets<float>(triplets.users, triplets.items, triplets.values, options.n_users, options.n_items,
                                      Duplicates::first, n_threads);
}

std::vector<float> make_factors(Index rows, Index n_factors, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(n_factors)));
  std::vector<float> factors(static_cast<std::size_t>(rows * n_factors));
  for (float& x : factors) x = normal(engine);
  return factors;
}

}  // namespace matfac::bench
