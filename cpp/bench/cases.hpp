#pragma once

#include <functional>
#include <string>
#include <vector>

#include "matfac/types.hpp"
#include "options.hpp"

namespace matfac::bench {

/// A piece of work, ready to be repeated.
struct Case {
  std::string name;
  Index n_factors = 0;  ///< 0: the work has none
  int n_threads = 1;
  double flop = 0;              ///< the least that it takes; 0: none to speak of
  double amount = 0;            ///< of what it works on
  std::string unit;             ///< of the amount
  std::function<double()> run;  ///< returns the seconds that count
};

/// All cases, with their data, for each length of factors and number of threads.
std::vector<Case> make_cases(const Options& options);

}  // namespace matfac::bench
