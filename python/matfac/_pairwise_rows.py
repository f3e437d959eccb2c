"""Rows of new users in models of pairwise comparisons, the items' held fixed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matfac._ids import CodeArray

#: Items that stand for all that a user has not chosen; all of them where there are no more.
_MAX_OTHERS = 512
_MAX_STEPS = 100
#: Stop when a step is smaller than this, relative to the row.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class PairwiseRows:
    """Finds the row u of a user who has chosen the items P, of which Q stand for the others.

    It minimizes the objective of ``"bpr"`` that the user is part of, a convex function of u::

        Σ_{i in P} q_i 1/|Q| Σ_{j in Q} log(1 + exp(-(c_i - c_j + u·(v_i - v_j))))
            + ½ λ w |u|²

    by steps that never raise it: the logistic function curves by ¼ at the most, so that one matrix
    bounds all second derivatives.

    Parameters
    ----------
    item_factors : ndarray, shape (M, F)
    item_biases : ndarray, shape (M,), or None
    penalty : float
        λ.
    exponent : float
        w = |P| ** exponent.
    """

    item_factors: NDArray[Any]
    item_biases: NDArray[Any] | None
    penalty: float
    exponent: float

    def solve(
        self, offsets: NDArray[np.int64], items: CodeArray, weights: NDArray[Any] | None
    ) -> NDArray[np.float64]:
        """Return one row of factors for each row of items; zeros for one that tells nothing."""
        n_items, n_factors = self.item_factors.shape
        # The same for everybody, always.
        order = np.random.default_rng(0).permutation(n_items).astype(np.int32)
        rows = np.zeros((len(offsets) - 1, n_factors))
        for n, (begin, end) in enumerate(pairwise(offsets)):
            chosen = items[begin:end]
            first = order[: len(chosen) + _MAX_OTHERS]
            others = first[~np.isin(first, chosen)][:_MAX_OTHERS]
            if len(chosen) and len(others):
                given = None if weights is None else weights[begin:end]
                rows[n] = self._row(chosen, others, given)
        return rows

    def _row(
        self, chosen: CodeArray, others: CodeArray, weights: NDArray[Any] | None
    ) -> NDArray[np.float64]:
        P = self.item_factors[chosen].astype(np.float64)
        Q = self.item_factors[others].astype(np.float64)
        margins = np.zeros((len(chosen), len(others)))
        if self.item_biases is not None:
            biases = self.item_biases.astype(np.float64)
            margins = biases[chosen][:, None] - biases[others]
        q = np.ones(len(chosen)) if weights is None else weights.astype(np.float64)
        penalty = self.penalty * len(chosen) ** self.exponent
        mean = Q.mean(axis=0)
        cross = np.outer(q @ P, mean)
        bound = (P.T * q) @ P + q.sum() * (Q.T @ Q) / len(Q) - cross - cross.T
        # Without a penalty the bound may be singular; the least of ridges keeps it solvable.
        ridge = penalty + 1e-9 * np.trace(bound) / len(bound) + np.finfo(np.float64).tiny
        inverse = np.linalg.inv(0.25 * bound + ridge * np.eye(len(bound)))
        u = np.zeros(P.shape[1])
        for _ in range(_MAX_STEPS):
            differences = margins + (P @ u)[:, None] - Q @ u
            pull = q[:, None] * np.exp(-np.logaddexp(0.0, differences)) / len(Q)
            step = inverse @ (pull.sum(axis=1) @ P - pull.sum(axis=0) @ Q - penalty * u)
            u += step
            if np.linalg.norm(step) <= _TOLERANCE * np.linalg.norm(u):
                break
        return u
