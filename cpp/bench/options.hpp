#pragma once

#include <string>
#include <vector>

#include "matfac/types.hpp"

namespace matfac::bench {

/// What is measured, and on how much. The defaults take a few seconds.
struct Options {
  Index n_users = 20'000;
  Index n_items = 5'000;
  Index n_ratings = 2'000'000;  ///< drawn; some fall together
  std::vector<Index> n_factors{32, 64, 128};
  std::vector<int> n_threads{1};
  int repeats = 5;
  std::string only;        ///< run the cases whose names contain it
  std::string json_path;   ///< empty: print the table only; "-": print JSON instead of it
  Index latency = 0;       ///< above 0: time as many single questions instead
  std::string model_path;  ///< not empty: the rate of recommendations of this model file instead
  int seconds = 5;         ///< how long that is measured
  bool help = false;
};

extern const char* const kUsage;

/// Throws std::invalid_argument with a message for whoever typed it.
Options parse(int argc, char** argv);

}  // namespace matfac::bench
