#include "report.hpp"

#include "matfac/runtime.hpp"

namespace matfac::bench {

void print_table(std::FILE* file, const std::vector<Case>& cases, const std::vector<Result>& results) {
  const RuntimeInfo info = runtime_info();
  std::fprintf(file, "matfac %s, kernels %s, %s\n", info.version.c_str(), info.instruction_set.c_str(),
               info.compiler.c_str());
  std::fprintf(file, "%-32s %4s %8s %10s %10s %10s %9s %9s\n", "case", "F", "threads", "median ms", "fastest",
               "slowest", "GFLOP/s", "G units/s");
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Case& c = cases[i];
    const Result& r = results[i];
    std::fprintf(file, "%-32s %4lld %8d %10.3f %10.3f %10.3f %9.2f %9.3f %s\n", c.name.c_str(),
                 static_cast<long long>(c.n_factors), c.n_threads, 1e3 * r.median, 1e3 * r.fastest, 1e3 * r.slowest,
                 c.flop / r.median / 1e9, c.amount / r.median / 1e9, c.unit.c_str());
  }
}

void print_json(std::FILE* file, const Options& options, const std::vector<Case>& cases,
                const std::vector<Result>& results) {
  const RuntimeInfo info = runtime_info();
  std::fprintf(file, "{\"version\": \"%s\", \"instruction_set\": \"%s\", \"compiler\": \"%s\",\n", info.version.c_str(),
               info.instruction_set.c_str(), info.compiler.c_str());
  std::fprintf(file, " \"n_users\": %lld, \"n_items\": %lld, \"n_ratings\": %lld, \"repeats\": %d,\n \"results\": [",
               static_cast<long long>(options.n_users), static_cast<long long>(options.n_items),
               static_cast<long long>(options.n_ratings), options.repeats);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Case& c = cases[i];
    const Result& r = results[i];
    std::fprintf(file,
                 "%s\n  {\"case\": \"%s\", \"n_factors\": %lld, \"n_threads\": %d, \"seconds\": %.9g, \"fastest\": "
                 "%.9g, \"slowest\": %.9g, \"flop\": %.9g, \"amount\": %.9g, \"unit\": \"%s\"}",
                 i == 0 ? "" : ",", c.name.c_str(), static_cast<long long>(c.n_factors), c.n_threads, r.median,
                 r.fastest, r.slowest, c.flop, c.amount, c.unit.c_str());
  }
  std::fprintf(file, "\n ]}\n");
}

}  // namespace matfac::bench
