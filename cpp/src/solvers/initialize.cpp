#include "solvers/initialize.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.hpp"
#include "core/random.hpp"

namespace matfac {
namespace {

template <class T>
void fill_normal(MatrixView<T> matrix, const Settings& settings, Stream stream) {
  const double deviation = *settings.init_std;
  parallel_chunks(matrix.rows, 512, settings.n_threads, [&](Index begin, Index end, int) {
    for (Index i = begin; i < end; ++i) {
      T* const row = matrix.row(i);
      for (Index f = 0; f < matrix.cols; f += 4) {
        const Words words = random_words(settings.seed, stream, static_cast<std::uint64_t>(i),
                                         static_cast<std::uint32_t>(f / 4));
        const auto first = to_normals(words[0], words[1]), second = to_normals(words[2], words[3]);
        const double normals[] = {first[0], first[1], second[0], second[1]};
        const Index count = std::min<Index>(4, matrix.cols - f);
        for (Index j = 0; j < count; ++j) {
          const double normal = settings.nonnegative ? std::abs(normals[j]) : normals[j];
          row[f + j] = static_cast<T>(deviation * normal);
        }
      }
    }
  });
}

template <class T>
void clear_row(MatrixView<T> factors, std::span<T> biases, Index i) {
  std::fill_n(factors.row(i), factors.cols, T(0));
  if (!biases.empty()) biases[static_cast<std::size_t>(i)] = T(0);
}

}  // namespace

template <class T>
void initialize(const FactorsView<T>& factors, const Settings& settings) {
  fill_normal(factors.user_factors, settings, Stream::user_factors);
  fill_normal(factors.item_factors, settings, Stream::item_factors);
  std::fill(factors.user_biases.begin(), factors.user_biases.end(), T(0));
  std::fill(factors.item_biases.begin(), factors.item_biases.end(), T(0));
}

template <class T>
void clear_unrated(const RatingsView<T>& train, const FactorsView<T>& factors) {
  for (Index n = 0; n < train.n_users; ++n) {
    if (train.offsets[n] == train.offsets[n + 1]) clear_row(factors.user_factors, factors.user_biases, n);
  }
  std::vector<bool> rated(static_cast<std::size_t>(train.n_items));
  for (Index i = 0; i < train.nnz(); ++i) rated[static_cast<std::size_t>(train.items[i])] = true;
  for (Index m = 0; m < train.n_items; ++m) {
    if (!rated[static_cast<std::size_t>(m)]) clear_row(factors.item_factors, factors.item_biases, m);
  }
}

template void initialize(const FactorsView<float>&, const Settings&);
template void initialize(const FactorsView<double>&, const Settings&);
template void clear_unrated(const RatingsView<float>&, const FactorsView<float>&);
template void clear_unrated(const RatingsView<double>&, const FactorsView<double>&);

}  // namespace matfac
