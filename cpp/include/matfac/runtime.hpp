#pragma once

#include <string>
#include <vector>

#include "matfac/export.hpp"

namespace matfac {

/// What this process runs on.
struct RuntimeInfo {
  std::string version;                        ///< of the library
  std::string instruction_set;                ///< level of the kernels in use: "baseline", "avx2" or "avx512"
  std::vector<std::string> instruction_sets;  ///< levels that this build has and this processor can run
  int n_threads = 1;                          ///< what `n_threads = 0` means here
  std::string openmp;                         ///< OpenMP version date, or empty without OpenMP
  std::string compiler;
};

/// The level is chosen once, at the first call: the best that the processor has, or the one named by the environment
/// variable MATFAC_ISA (an unknown or impossible name throws InvalidArgument).
MATFAC_API RuntimeInfo runtime_info();

}  // namespace matfac
