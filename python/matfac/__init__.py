"""Sparse matrix factorization for recommender systems: R ≈ U Vᵀ, exact and fast.

Start with `Ratings.read` or `Ratings.from_arrays`, then `MatrixFactorization().fit(ratings)` for
ratings and labels, or `ImplicitFactorization().fit(interactions)` for clicks, plays, purchases.
"""

from __future__ import annotations

from typing import Any

from matfac import _core, datasets, export, metrics, model_selection
from matfac._core import DivergenceError, ModelFileError
from matfac._estimator import MatrixFactorization
from matfac._implicit import ImplicitFactorization
from matfac._model import NotFittedError, Ranking
from matfac._operations import (
    batch_step,
    gradients,
    loss,
    pair_gradients,
    residuals,
    sgd_epoch,
    sgd_order,
)
from matfac._persistence import load
from matfac._ratings import Ratings
from matfac._warnings import CopyWarning, DuplicateRatingsWarning

__version__: str = _core.__version__

__all__ = [
    "CopyWarning",
    "DivergenceError",
    "DuplicateRatingsWarning",
    "ImplicitFactorization",
    "MatrixFactorization",
    "ModelFileError",
    "NotFittedError",
    "Ranking",
    "Ratings",
    "batch_step",
    "datasets",
    "export",
    "gradients",
    "load",
    "loss",
    "metrics",
    "model_selection",
    "pair_gradients",
    "residuals",
    "runtime_info",
    "sgd_epoch",
    "sgd_order",
]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def runtime_info() -> dict[str, Any]:
    """Return what this process runs on.

    ``version``; ``instruction_set`` of the kernels in use ("baseline", "avx2" or "avx512") and
    ``instruction_sets`` that this processor can run, one of which the environment variable
    ``MATFAC_ISA`` can force; ``n_threads`` that 0 stands for; ``openmp`` and ``compiler``.
    """
    info: dict[str, Any] = _core.runtime_info()
    return info
