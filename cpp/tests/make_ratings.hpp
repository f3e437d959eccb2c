#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "matfac/error.hpp"
#include "matfac/ratings.hpp"

/// Small problems, and what more than one test needs.
namespace matfac::test {

/// More threads than this machine may have are part of the promise.
constexpr int kThreads[] = {1, 2, 3, 8};

/// Each pair is rated with probability `density`; the first user and item always, the last of each never.
template <class T>
Ratings<T> make_ratings(Index n_users, Index n_items, double density, unsigned seed = 1) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> uniform;
  Ratings<T> ratings;
  ratings.n_users = n_users;
  ratings.n_items = n_items;
  for (Index n = 0; n < n_users; ++n) {
    for (Index m = 0; m < n_items; ++m) {
      const bool rated = uniform(engine) < density && n < n_users - 1 && m < n_items - 1;
      if (!rated && (n != 0 || m != 0)) continue;
      ratings.items.push_back(static_cast<Code>(m));
      ratings.values.push_back(static_cast<T>(1 + 4 * uniform(engine)));
    }
    ratings.offsets.push_back(static_cast<Index>(ratings.items.size()));
  }
  return ratings;
}

/// Numbers around zero, for a matrix of any shape.
template <class T>
std::vector<T> make_factors(Index rows, Index cols, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal(0.0, 0.5);
  std::vector<T> factors(static_cast<std::size_t>(rows * cols));
  for (T& x : factors) x = static_cast<T>(normal(engine));
  return factors;
}

template <class T>
MatrixView<T> as_matrix(std::vector<T>& values, Index rows, Index cols) {
  return {values.data(), rows, cols};
}

/// The message of the InvalidArgument that `action` throws.
template <class Action>
std::string refusal(const Action& action) {
  try {
    action();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  FAIL("nothing was refused");
  return {};
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace matfac::test
