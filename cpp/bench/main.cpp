#include <algorithm>
#include <cstdio>
#include <exception>
#include <vector>

#include "cases.hpp"
#include "latency.hpp"
#include "options.hpp"
#include "report.hpp"

namespace matfac::bench {
namespace {

/// A repetition of each case, then the next: what disturbs the machine meets them all alike.
std::vector<Result> measure(const std::vector<Case>& cases, int repeats) {
  std::vector<std::vector<double>> seconds(cases.size());
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (std::size_t i = 0; i < cases.size(); ++i) seconds[i].push_back(cases[i].run());
  }
  std::vector<Result> results;
  for (std::vector<double>& of_case : seconds) {
    std::sort(of_case.begin(), of_case.end());
    const double median = (of_case[of_case.size() / 2] + of_case[(of_case.size() - 1) / 2]) / 2;
    results.push_back({median, of_case.front(), of_case.back()});
  }
  return results;
}

int run(const Options& options) {
  if (!options.model_path.empty()) {
    print_rate(stdout, options);
    return 0;
  }
  if (options.latency > 0) {
    print_latencies(stdout, options);
    return 0;
  }
  const std::vector<Case> cases = make_cases(options);
  const std::vector<Result> results = measure(cases, options.repeats);
  if (options.json_path == "-") {
    print_json(stdout, options, cases, results);
    return 0;
  }
  print_table(stdout, cases, results);
  if (options.json_path.empty()) return 0;
  std::FILE* file = std::fopen(options.json_path.c_str(), "w");
  if (file == nullptr) {
    std::perror(options.json_path.c_str());
    return 1;
  }
  print_json(file, options, cases, results);
  return std::fclose(file) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace matfac::bench

int main(int argc, char** argv) {
  try {
    const matfac::bench::Options options = matfac::bench::parse(argc, argv);
    if (options.help) {
      std::fputs(matfac::bench::kUsage, stdout);
      return 0;
    }
    return matfac::bench::run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "matfac_bench: %s\n", error.what());
    return 2;
  }
}
