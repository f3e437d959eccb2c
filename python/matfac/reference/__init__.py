"""NumPy twins of the native core: short, obvious and slow.

Each function says in a few lines of NumPy what the function of the same name computes, in whatever
floating-point type its arguments have. The tests compare the two; the rest of the package never
imports this module. It is also the place to look up a formula.

Throughout, R (N x M) is anything with the attributes of `Rows`, such as `matfac.Ratings`; U is
(N, F), V is (M, F); users and items are codes, that is row numbers, not raw ids.
"""

from __future__ import annotations

from matfac.reference._als import als_sweep, fold_in, held_out_implicit_loss, transpose
from matfac.reference._batch import batch_fit, flat, moved, objective_gradient
from matfac.reference._ccd import ccd_sweep
from matfac.reference._fold_in import (
    RowPenalty,
    fold_in_divergence,
    fold_in_pairs,
    sample_of,
)
from matfac.reference._losses import loss_derivatives, loss_majorizer, loss_values
from matfac.reference._metrics import ranking_auc, ranking_measures
from matfac.reference._model import initial_factors, predict, recommend, similar_items
from matfac.reference._operations import (
    batch_step,
    count_weights,
    counts,
    derivatives,
    estimates,
    gradients,
    loss,
    objective,
    pair_gradients,
    penalty_of,
    products,
    residuals,
    rmse,
    sgd_epoch,
    user_codes,
)
from matfac.reference._pairwise import (
    Pairs,
    PairwiseGrid,
    pairwise_fit,
    pairwise_held_out_loss,
)
from matfac.reference._proximal import proximal_fit
from matfac.reference._sgd import sgd_block_order, sgd_blocks, sgd_fit, sgd_order
from matfac.reference._types import Array, Model, Penalty, Rows, StoredRows, weights_of

__all__ = [
    "Array",
    "Model",
    "Pairs",
    "PairwiseGrid",
    "Penalty",
    "RowPenalty",
    "Rows",
    "StoredRows",
    "als_sweep",
    "batch_fit",
    "batch_step",
    "ccd_sweep",
    "count_weights",
    "counts",
    "derivatives",
    "estimates",
    "flat",
    "fold_in",
    "fold_in_divergence",
    "fold_in_pairs",
    "gradients",
    "held_out_implicit_loss",
    "initial_factors",
    "loss",
    "loss_derivatives",
    "loss_majorizer",
    "loss_values",
    "moved",
    "objective",
    "objective_gradient",
    "pair_gradients",
    "pairwise_fit",
    "pairwise_held_out_loss",
    "penalty_of",
    "predict",
    "products",
    "proximal_fit",
    "ranking_auc",
    "ranking_measures",
    "recommend",
    "residuals",
    "rmse",
    "sample_of",
    "sgd_block_order",
    "sgd_blocks",
    "sgd_epoch",
    "sgd_fit",
    "sgd_order",
    "similar_items",
    "transpose",
    "user_codes",
    "weights_of",
]
