"""Stochastic descent."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from matfac.reference._losses import loss_derivatives, loss_values
from matfac.reference._operations import count_weights, counts, penalty_of, user_codes
from matfac.reference._random import BLOCK_ORDER, USER_ORDER, random_order
from matfac.reference._types import Array, Model, Penalty, Rows, StoredRows, weights_of


def sgd_order(R: Rows, *, seed: int = 0, epoch: int = 0) -> Array:
    """Return the order in which an epoch takes the ratings: positions in CSR order, (nnz,).

    The grid of `sgd_blocks` is taken block by block, as `sgd_block_order` says.
    """
    blocks = sgd_blocks(R, seed=seed)
    order = sgd_block_order(len(blocks), len(blocks[0]), seed=seed, epoch=epoch)
    return np.concatenate([blocks[row][column] for row, column in order])


def sgd_blocks(R: Rows, *, seed: int = 0) -> list[list[Array]]:
    """Return the ratings of each block of the grid, as positions in CSR order.

    Users are put in a random order, items by falling number of ratings (in a random order where
    equal); both are cut into segments of about equally many ratings. A block is what a segment of
    users and one of items have in common, by user and then in CSR order; its four quarters are
    taken in turn, an entry of each, so that neighbours can run side by side. There are about
    √(nnz / 512) segments, at most 32 of users and 16 of items.
    """
    positions, segments = [], []
    grid = int(np.sqrt(len(R.values) / 512))
    for side, (count, most) in enumerate(zip(counts(R), (32, 16), strict=True)):
        order = random_order(len(count), seed, USER_ORDER + side, 0)
        if side == 1:
            order = order[np.argsort(-count[order], kind="stable")]
        position = np.empty(len(order), int)
        position[order] = np.arange(len(order))
        positions.append(position)
        bounds = _segments(count[order], min(max(grid, 1), most))
        segments.append(np.searchsorted(bounds, position, side="right") - 1)
    users = user_codes(R)
    by_user = np.argsort(positions[0][users], kind="stable")
    rows, columns = segments[0][users][by_user], segments[1][R.items][by_user]
    n_rows, n_columns = (int(segment.max()) + 1 for segment in segments)
    by_row = [(by_user[rows == r], columns[rows == r]) for r in range(n_rows)]
    return [[_in_strips(entries[at == c]) for c in range(n_columns)] for entries, at in by_row]


def _in_strips(entries: Array) -> Array:
    whole = len(entries) // 4 * 4
    return np.concatenate([entries[:whole].reshape(4, -1).T.ravel(), entries[whole:]])


def sgd_block_order(
    n_rows: int, n_columns: int, *, seed: int = 0, epoch: int = 0
) -> list[tuple[int, int]]:
    """Return the blocks (row, column) of the grid in the order of an epoch.

    Rounds of a Latin square in a random order: round t pairs row i with column i + t, so that the
    blocks of a round have no user and no item in common.
    """
    side = max(n_rows, n_columns)
    rounds = random_order(side, seed, BLOCK_ORDER, 2 * epoch)
    rows = random_order(side, seed, BLOCK_ORDER, 2 * epoch + 1)
    pairs = [(int(rows[i]), int(i + t) % side) for t in rounds for i in range(side)]
    return [(row, column) for row, column in pairs if row < n_rows and column < n_columns]


def sgd_fit(
    R: Rows,
    model: Model,
    penalty: Penalty,
    n_iter: int,
    *,
    learning_rate: float,
    seed: int = 0,
    loss: str = "squared",
    threshold: float = 1.0,
    nonnegative: bool = False,
) -> tuple[Model, list[float]]:
    """Return the model after ``n_iter`` epochs, and the objective of each as it is measured.

    With g the derivative of the weighted loss (r̂ - r for "squared"), in units in which the ratings'
    deviation s is 1, and n the ratings of a row::

        u := soft(u - η g v, η κ w / n) / (1 + η λ w / n)      soft(x, t) = sign(x) max(|x| - t, 0)
        b := (b - ν g) / (1 + ν β w / n),                      v, c alike
        η = learning_rate / √(1 + n T / 50),   ν = learning_rate / √(1 + n T)

    T is the time in epochs: the middle of the current block in the first epoch, the middle of the
    epoch later. Where |g| > 3 it is cut at 30 and divided by 1 + η_u |v|² + η_v |u|² + ν_b + ν_c
    (the rates with their denominators). ``nonnegative``: factors below 0 become 0; with
    "kullback_leibler" also biases below -μ/2 become -μ/2. s is the mean of the ratings for
    "kullback_leibler", 1 for losses of labels.
    """
    s, unit, shift = _units(R, loss, model.global_mean)
    x = _scaled(model, 1 / s)
    in_units = Penalty(
        (penalty.of(0)[0] * s / unit, penalty.of(1)[0] * s / unit),
        (penalty.of(0)[1] * s * s / unit, penalty.of(1)[1] * s * s / unit),
        penalty.regularization_exponent,
        (penalty.l1_of(0) * np.sqrt(s) / unit, penalty.l1_of(1) * np.sqrt(s) / unit),
    )
    ratings = StoredRows(R.offsets, R.items, (R.values - shift) / s, R.shape, weights_of(R))
    steps = _Steps(loss, threshold / s, (model.global_mean - shift) / s, nonnegative)
    blocks = sgd_blocks(R, seed=seed)
    objectives = []
    for epoch in range(n_iter):
        order = sgd_block_order(len(blocks), len(blocks[0]), seed=seed, epoch=epoch)
        total = 0.0
        for i, (row, column) in enumerate(order):
            time = epoch + 0.5 if epoch else (i + 0.5) / len(order)
            rates = _rates(ratings, x, in_units, time, learning_rate)
            total += _sgd_block(ratings, x, rates, blocks[row][column], steps)
        objectives.append(unit * (total + penalty_of(R, x, in_units)))
    return _scaled(x, s), objectives


@dataclass(frozen=True)
class _Steps:
    loss: str
    threshold: float
    offset: float
    nonnegative: bool


def _units(R: Rows, loss: str, mean: float) -> tuple[float, float, float]:
    """Return the unit s of estimates, the objective's, and what is subtracted from ratings."""
    if loss in ("logistic", "hinge", "squared_hinge"):
        return 1.0, 1.0, 0.0
    if loss == "kullback_leibler":
        s = float(np.average(R.values, weights=weights_of(R))) or 1.0
        return s, s, 0.0
    s = float(np.sqrt(np.average((R.values - mean) ** 2, weights=weights_of(R)))) or 1.0
    return s, s if loss == "absolute" else s * s, mean


def _rates(R: Rows, x: Model, penalty: Penalty, time: float, learning_rate: float) -> list[Array]:
    """Return each side's rows of (rate, shrink, threshold, bias rate, bias shrink)."""
    sides = []
    for side, count in enumerate(counts(R)):
        per_rating = count_weights(count, penalty.regularization_exponent) / np.maximum(count, 1)
        factor, bias = penalty.of(side)
        eta = learning_rate / np.sqrt(1 + count * time / 50)
        nu = learning_rate / np.sqrt(1 + count * time) * (x.user_biases is not None)
        shrink, bias_shrink = 1 / (1 + eta * factor * per_rating), 1 / (1 + nu * bias * per_rating)
        threshold = eta * shrink * penalty.l1_of(side) * per_rating
        rates = (eta * shrink, shrink, threshold, nu * bias_shrink, bias_shrink)
        sides.append(np.stack(rates, axis=1))
    return sides


def _sgd_block(R: StoredRows, x: Model, rates: list[Array], block: Array, steps: _Steps) -> float:
    """Take the steps of a block in place, and return the sum of the losses before each."""
    users, q, total = user_codes(R), weights_of(R), 0.0
    for i in block:
        n, m = users[i], R.items[i]
        u, v = x.user_factors[n].copy(), x.item_factors[m].copy()
        (eta_u, shrink_u, soft_u, nu_b, shrink_b), (eta_v, shrink_v, soft_v, nu_c, shrink_c) = (
            rates[0][n],
            rates[1][m],
        )
        estimate = u @ v + steps.offset
        if x.user_biases is not None and x.item_biases is not None:
            estimate += x.user_biases[n] + x.item_biases[m]
        point = steps.loss, R.values[i], estimate, steps.threshold
        g, total = q[i] * loss_derivatives(*point), total + float(q[i] * loss_values(*point))
        if abs(g) > 3:
            g = np.clip(g, -30, 30) / (1 + eta_u * (v @ v) + eta_v * (u @ u) + nu_b + nu_c)
        x.user_factors[n] = _soft(shrink_u * u - eta_u * g * v, soft_u, steps.nonnegative)
        x.item_factors[m] = _soft(shrink_v * v - eta_v * g * u, soft_v, steps.nonnegative)
        if x.user_biases is not None and x.item_biases is not None:
            least = -steps.offset / 2 if steps.loss == "kullback_leibler" else -np.inf
            x.user_biases[n] = max(shrink_b * x.user_biases[n] - nu_b * g, least)
            x.item_biases[m] = max(shrink_c * x.item_biases[m] - nu_c * g, least)
    return total


def _soft(x: Array, threshold: float, nonnegative: bool) -> Array:
    return np.maximum(x - threshold, 0) + (0 if nonnegative else np.minimum(x + threshold, 0))


def _scaled(model: Model, scale: float) -> Model:
    """Return copies of the parameters for estimates times ``scale``; mu stays."""
    b, c = (None if x is None else x * scale for x in (model.user_biases, model.item_biases))
    root = np.sqrt(scale)
    return Model(model.user_factors * root, model.item_factors * root, b, c, model.global_mean)


def _segments(count: Array, n_segments: int) -> Array:
    """Return where segments of about equal count begin, none of them longer than 2**16."""
    n_segments = max(1, min(n_segments, len(count)))
    sums = np.concatenate([[0], np.cumsum(count)])
    targets = [int(float(sums[-1]) * p / n_segments) for p in range(1, n_segments)]
    cuts = np.unique([0, *np.searchsorted(sums[:-1], targets), len(count)])
    return np.concatenate([np.arange(a, b, 2**16) for a, b in pairwise(cuts)])
