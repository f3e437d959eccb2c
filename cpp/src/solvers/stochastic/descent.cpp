#include "solvers/stochastic/descent.hpp"

#include <algorithm>

#include "core/parallel.hpp"

namespace matfac::stochastic {

template <class T>
Rows<T>::Rows(MatrixView<T> source, std::span<T> biases, const std::vector<Code>& code_at, T factor_scale, T bias_scale,
              int n_threads)
    : stride(padded<T>(source.cols)), factors(source.rows * stride), rows(static_cast<std::size_t>(source.rows)) {
  parallel_chunks(source.rows, 1024, n_threads, [&](Index begin, Index end, int) {
    for (Index p = begin; p < end; ++p) {
      const Code code = code_at[static_cast<std::size_t>(p)];
      T* const row = factors.data() + p * stride;
      for (Index f = 0; f < source.cols; ++f) row[f] = source.row(code)[f] * factor_scale;
      std::fill(row + source.cols, row + stride, T(0));
      const T bias = biases.empty() ? T(0) : biases[static_cast<std::size_t>(code)] * bias_scale;
      rows[static_cast<std::size_t>(p)] = {
          .bias = bias, .rate = 0, .shrink = 1, .threshold = 0, .bias_rate = 0, .bias_shrink = 1};
    }
  });
}

template <class T>
void Rows<T>::publish(MatrixView<T> target, std::span<T> biases, const std::vector<Code>& code_at, T factor_scale,
                      T bias_scale, int n_threads) const {
  const T factor = T(1) / factor_scale, bias = T(1) / bias_scale;
  parallel_chunks(target.rows, 1024, n_threads, [&](Index begin, Index end, int) {
    for (Index p = begin; p < end; ++p) {
      const Code code = code_at[static_cast<std::size_t>(p)];
      for (Index f = 0; f < target.cols; ++f) target.row(code)[f] = factors[p * stride + f] * factor;
      if (!biases.empty()) biases[static_cast<std::size_t>(code)] = rows[static_cast<std::size_t>(p)].bias * bias;
    }
  });
}

template struct Rows<float>;
template struct Rows<double>;

}  // namespace matfac::stochastic
