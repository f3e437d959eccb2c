#pragma once

#include <cstdio>

#include "options.hpp"

namespace matfac::bench {

/// The times of single questions to a Recommender, one after the other on one thread, as a service asks them: a table
/// of percentiles for each length of factors.
void print_latencies(std::FILE* file, const Options& options);

/// The rate at which one thread gets recommendations of a model file, ten items for one user at a time, what the user
/// has seen left out: a number a second.
void print_rate(std::FILE* file, const Options& options);

}  // namespace matfac::bench
