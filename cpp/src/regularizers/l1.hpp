#pragma once

#include <cmath>
#include <vector>

#include "core/padded_matrix.hpp"
#include "core/sum.hpp"
#include "matfac/types.hpp"

/// The absolute penalty: sum_n w_n l1_regularization |x_n|_1, with w_n as in l2.hpp.
namespace matfac {

template <class T>
double absolute_penalty(const PaddedMatrix<T>& factors, const std::vector<double>& weights, double l1_regularization,
                        int n_threads) {
  if (l1_regularization == 0) return 0;
  return l1_regularization * chunked_sum(factors.rows(), 4096, n_threads, [&](Index begin, Index end) {
           double total = 0;
           for (Index i = begin; i < end; ++i) {
             const T* const row = factors.row(i);
             double sum = 0;
             for (Index f = 0; f < factors.stride(); ++f) sum += std::abs(static_cast<double>(row[f]));
             total += weights[static_cast<std::size_t>(i)] * sum;
           }
           return total;
         });
}

}  // namespace matfac
