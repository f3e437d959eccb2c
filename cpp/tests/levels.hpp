#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "kernels/kernels.hpp"

namespace matfac::test {

/// The kernels of each level that this processor can run.
template <class T>
std::vector<const Kernels<T>*> levels() {
  std::vector<const Kernels<T>*> tables;
  for (const std::string& name : instruction_sets()) {
    if (name == "baseline") tables.push_back(&kernels_baseline<T>());
#ifdef MATFAC_X86_LEVELS
    if (name == "avx2") tables.push_back(&kernels_avx2<T>());
    if (name == "avx512") tables.push_back(&kernels_avx512<T>());
#endif
  }
  REQUIRE(tables.size() == instruction_sets().size());
  return tables;
}

}  // namespace matfac::test
