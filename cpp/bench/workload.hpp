#pragma once

#include <vector>

#include "matfac/ratings.hpp"
#include "matfac/types.hpp"
#include "options.hpp"

namespace matfac::bench {

/// Ratings in no order, as a program comes by them.
struct Triplets {
  std::vector<Code> users, items;
  std::vector<float> values;
};

/// Few items and users have most of the ratings, as in life: both fall as a power of a uniform draw.
Triplets make_triplets(const Options& options);

/// Each pair once.
Ratings<float> compress(const Triplets& triplets, const Options& options, int n_threads);

/// Random numbers of variance 1 / n_factors.
std::vector<float> make_factors(Index rows, Index n_factors, unsigned seed);

}  // namespace matfac::bench
