// The table of this level's kernels. Included last by each unit, which names its level in MATFAC_LEVEL_TABLE.
#include "losses/squared.hpp"

// clang-format off: each builds on the ones above
#include "kernels/vec.inl"
#include "kernels/rows.inl"
#include "kernels/cholesky.inl"
#include "kernels/gram.inl"
#include "kernels/sgd.inl"
#include "kernels/top_n.inl"
// clang-format on

namespace matfac {
namespace {

template <class T, class Loss>
constexpr LossKernels<T> loss_kernels{&row_loss<T, Loss>, &row_gradients<T, Loss>, &block_sgd<T, Loss>};

}  // namespace

template <class T>
const Kernels<T>& MATFAC_LEVEL_TABLE() {
  static constexpr Kernels<T> table{
      {loss_kernels<T, SquaredLoss>},
      &row_residuals<T>,
      &row_line_terms<T>,
      &solve_row<T>,
      &accumulate_row<T>,
      &add_system<T>,
      &finish_row<T>,
      &solve_row_workspace<T>,
      &dot<T>,
      &score_strip<T>,
      &ranking_workspace<T>,
      &pair_scores<T>,
  };
  return table;
}

template const Kernels<float>& MATFAC_LEVEL_TABLE<float>();
template const Kernels<double>& MATFAC_LEVEL_TABLE<double>();

}  // namespace matfac
