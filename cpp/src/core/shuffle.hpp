#pragma once

#include <vector>

#include "core/random.hpp"
#include "matfac/types.hpp"

namespace matfac {

/// A random order of [0, n) (Fisher and Yates), keyed by (seed, stream, part). The numbers are drawn in parallel.
std::vector<Code> shuffled(Index n, std::uint64_t seed, Stream stream, std::uint64_t part, int n_threads);

}  // namespace matfac
