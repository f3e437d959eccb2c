// V^T V for the pairs without a rating. The kernel that sums a row's system sums a few hundred rows in T; those sums
// are added in double, in an order that the number of rows alone decides.

#include <algorithm>
#include <numeric>

#include "core/aligned.hpp"
#include "core/parallel.hpp"
#include "solvers/als/solve_rows.hpp"

namespace matfac::als {
namespace {

constexpr Index kGramRows = 512;
constexpr Index kGramParts = 16;

}  // namespace

template <class T>
std::vector<double> gram_matrix(const T* factors, Index stride, Index n_rows, Index n_factors, int n_threads) {
  const auto& k = kernels<T>();
  const Index lda = padded<T>(n_factors) + kLanes<T>, chunks = (n_rows + kGramRows - 1) / kGramRows;
  const Index part = std::max<Index>(1, (chunks + kGramParts - 1) / kGramParts) * kGramRows;
  std::vector<Code> codes(static_cast<std::size_t>(n_rows));
  std::iota(codes.begin(), codes.end(), Code{0});
  const std::vector<T> zeros(static_cast<std::size_t>(kGramRows));
  std::vector<std::vector<double>> sums(static_cast<std::size_t>((n_rows + part - 1) / part));
  parallel_chunks(n_rows, part, n_threads, [&](Index begin, Index end, int) {
    AlignedBuffer<T> system(k.row_system_size(n_factors)), panels(k.row_panels_size(n_factors));
    auto& sum = sums[static_cast<std::size_t>(begin / part)];
    sum.resize(static_cast<std::size_t>(n_factors * n_factors));
    for (Index start = begin; start < end; start += kGramRows) {
      const Code* fetched = nullptr;
      const RowProblem<T> problem{.fixed = factors,
                                  .fixed_stride = stride,
                                  .is_padded = false,
                                  .n_factors = n_factors,
                                  .codes = codes.data() + start,
                                  .values = zeros.data(),
                                  .n = std::min(kGramRows, end - start),
                                  .n_ahead = 0,
                                  .fetched = &fetched,
                                  .offsets = nullptr,
                                  .has_bias = false,
                                  .mean = 0,
                                  .regularization = 0,
                                  .bias_regularization = 0};
      k.accumulate_row(problem, 0, problem.n, true, system.data(), panels.data());
      for (Index f = 0; f < n_factors; ++f) {
        for (Index g = f; g < n_factors; ++g) {
          sum[static_cast<std::size_t>(f * n_factors + g)] += static_cast<double>(system[f * lda + g]);
        }
      }
    }
  });
  std::vector<double> gram(static_cast<std::size_t>(n_factors * n_factors));
  for (const auto& sum : sums) {
    for (std::size_t i = 0; i < gram.size(); ++i) gram[i] += sum[i];
  }
  for (Index f = 0; f < n_factors; ++f) {
    for (Index g = 0; g < f; ++g) {
      gram[static_cast<std::size_t>(f * n_factors + g)] = gram[static_cast<std::size_t>(g * n_factors + f)];
    }
  }
  return gram;
}

template std::vector<double> gram_matrix(const float*, Index, Index, Index, int);
template std::vector<double> gram_matrix(const double*, Index, Index, Index, int);

}  // namespace matfac::als
