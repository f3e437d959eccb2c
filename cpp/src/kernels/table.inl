// The table of this level's kernels. Included last by each unit, which names its level in MATFAC_LEVEL_TABLE.
#include "losses/absolute.hpp"
#include "losses/hinge.hpp"
#include "losses/huber.hpp"
#include "losses/kullback_leibler.hpp"
#include "losses/logistic.hpp"
#include "losses/pairwise.hpp"
#include "losses/squared.hpp"
#include "losses/squared_hinge.hpp"

// clang-format off: each builds on the ones above
#include "kernels/vec.inl"
#include "kernels/rows.inl"
#include "kernels/cholesky.inl"
#include "kernels/gram.inl"
#include "kernels/row_solution.inl"
#include "kernels/lane_systems.inl"
#include "kernels/row_batch.inl"
#include "kernels/coordinate_descent.inl"
#include "kernels/conjugate_gradient.inl"
#include "kernels/sgd.inl"
#include "kernels/pairwise.inl"
#include "kernels/top_n.inl"
#include "kernels/ccd.inl"
// clang-format on

namespace matfac {
namespace {

template <class T, class Loss>
constexpr LossKernels<T> loss_kernels{&row_loss<T, Loss>, &row_gradient<T, Loss>, &block_sgd<T, Loss>};

}  // namespace

template <class T>
const Kernels<T>& MATFAC_LEVEL_TABLE() {
  static constexpr Kernels<T> table{
      loss_kernels<T, InlinedSquaredLoss>,
      loss_kernels<T, CalledLoss>,
      {point_loss<T, SquaredLoss>(), point_loss<T, AbsoluteLoss>(), point_loss<T, HuberLoss>(),
       point_loss<T, KullbackLeiblerLoss>(), point_loss<T, LogisticLoss>(), point_loss<T, HingeLoss>(),
       point_loss<T, SquaredHingeLoss>()},
      &row_residuals<T>,
      &add_outer<T>,
      &add_runs<T>,
      &fingerprint,
      &row_line_terms<T>,
      &row_line_estimates<T>,
      &accumulate_row<T>,
      &add_system<T>,
      &finish_row<T>,
      &descend_row<T>,
      &row_system_size<T>,
      &row_panels_size<T>,
      &batch_rows<T>,
      &row_batch_memory<T>,
      &add_to_batch<T>,
      &solve_batch<T>,
      &step_row<T>,
      &step_row_workspace<T>,
      &row_estimates<T>,
      &dot<T>,
      &score_strip<T>,
      &ranking_workspace<T>,
      &pair_scores<T>,
      &ccd_accumulate<T>,
      &ccd_move<T>,
      &block_bpr<T>,
      &find_violator<T>,
      &pair_step<T>,
  };
  return table;
}

template const Kernels<float>& MATFAC_LEVEL_TABLE<float>();
template const Kernels<double>& MATFAC_LEVEL_TABLE<double>();

}  // namespace matfac
