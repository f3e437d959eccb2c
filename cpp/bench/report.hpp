#pragma once

#include <cstdio>
#include <vector>

#include "cases.hpp"

namespace matfac::bench {

struct Result {
  double median = 0, fastest = 0, slowest = 0;
};

void print_table(std::FILE* file, const std::vector<Case>& cases, const std::vector<Result>& results);
void print_json(std::FILE* file, const Options& options, const std::vector<Case>& cases,
                const std::vector<Result>& results);

}  // namespace matfac::bench
