"""NumPy twins of the native core: short, obvious and slow.

Each function says in a few lines of NumPy what the function of the same name computes, in whatever
floating-point type its arguments have. The tests compare the two; the rest of the package never
imports this module. It is also the place to look up a formula.

Throughout, R (N x M) is anything with the attributes of `Rows`, such as `matfac.Ratings`; U is
(N, F), V is (M, F); users and items are codes, that is row numbers, not raw ids.
"""

from __future__ import annotations

from matfac.reference._als import als_sweep, fold_in, transpose
from matfac.reference._batch import batch_fit, flat, moved, objective_gradient
from matfac.reference._model import initial_factors, predict, recommend, similar_items
from matfac.reference._operations import (
    batch_step,
    count_weights,
    counts,
    estimates,
    gradients,
    loss,
    objective,
    pair_gradients,
    penalty_of,
    residuals,
    rmse,
    sgd_epoch,
    user_codes,
)
from matfac.reference._sgd import sgd_block_order, sgd_blocks, sgd_fit, sgd_order
from matfac.reference._types import Array, Model, Penalty, Rows, StoredRows

__all__ = [
    "Array",
    "Model",
    "Penalty",
    "Rows",
    "StoredRows",
    "als_sweep",
    "batch_fit",
    "batch_step",
    "count_weights",
    "counts",
    "estimates",
    "flat",
    "fold_in",
    "gradients",
    "initial_factors",
    "loss",
    "moved",
    "objective",
    "objective_gradient",
    "pair_gradients",
    "penalty_of",
    "predict",
    "recommend",
    "residuals",
    "rmse",
    "sgd_block_order",
    "sgd_blocks",
    "sgd_epoch",
    "sgd_fit",
    "sgd_order",
    "similar_items",
    "transpose",
    "user_codes",
]
