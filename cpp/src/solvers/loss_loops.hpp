#pragma once

#include "kernels/kernels.hpp"
#include "matfac/settings.hpp"

namespace matfac {

/// The loops over ratings for one loss: which of the two kinds, and the loss to hand to them.
template <class T>
struct LossLoops {
  const LossKernels<T>* kernels;
  PointLoss<T> loss;
};

inline bool is_point_loss(Loss loss) { return static_cast<int>(loss) < kPointLosses; }
inline bool is_pairwise_loss(Loss loss) { return loss == Loss::bpr || loss == Loss::warp; }

/// `is_plain`: no weights, and for stochastic steps no thresholds, no signs to keep, no offset.
template <class T>
LossLoops<T> loss_loops(Loss loss, double parameter, bool is_plain) {
  const auto& table = kernels<T>();
  LossLoops<T> loops{loss == Loss::squared && is_plain ? &table.squared : &table.general,
                     table.losses[static_cast<int>(loss)]};
  loops.loss.parameter = static_cast<T>(parameter);
  return loops;
}

}  // namespace matfac
