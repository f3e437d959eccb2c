#include <cmath>
#include <limits>

#include "core/sum.hpp"
#include "core/validate.hpp"
#include "matfac/metrics.hpp"
#include "model/measure_row.hpp"

namespace matfac {
namespace {

constexpr Index kUsersPerChunk = 512;

}  // namespace

void ranking_measures(MatrixView<const Code> recommended, const PatternView& relevant, MatrixView<double> measures,
                      int n_threads) {
  require(recommended.cols >= 1, "recommended must have at least one column");
  require(relevant.n_users == recommended.rows, "recommended has ", recommended.rows, " rows, relevant has ",
          relevant.n_users, ": pass one of each per user");
  require_shape("measures", measures, recommended.rows, kRankingMeasures);
  validate(relevant, n_threads);
  parallel_chunks(recommended.rows, kUsersPerChunk, n_threads, [&](Index begin, Index end, int) {
    ListMeasurer measurer(recommended.cols);
    for (Index u = begin; u < end; ++u) {
      const std::span<const Code> items(relevant.items + relevant.offsets[u], relevant.items + relevant.offsets[u + 1]);
      measurer.measure(recommended.row(u), items, static_cast<Index>(items.size()), u, measures.row(u));
    }
  });
}

std::vector<double> mean_measures(MatrixView<const double> measures, int n_threads) {
  std::vector<double> means;
  for (Index column = 0; column < measures.cols; ++column) {
    const auto sum_of = [&](auto&& value_of) {
      return chunked_sum(measures.rows, 4096, n_threads, [&](Index begin, Index end) {
        double sum = 0;
        for (Index u = begin; u < end; ++u) {
          const double value = measures.row(u)[column];
          if (!std::isnan(value)) sum += value_of(value);
        }
        return sum;
      });
    };
    const double n_values = sum_of([](double) { return 1.0; });
    means.push_back(n_values > 0 ? sum_of([](double value) { return value; }) / n_values
                                 : std::numeric_limits<double>::quiet_NaN());
  }
  return means;
}

}  // namespace matfac
