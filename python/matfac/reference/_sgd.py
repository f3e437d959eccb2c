"""Stochastic descent."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from matfac.reference._operations import count_weights, counts, penalty_of, user_codes
from matfac.reference._random import BLOCK_ORDER, USER_ORDER, random_order
from matfac.reference._types import Array, Model, Penalty, Rows, StoredRows


def sgd_order(
    R: Rows, n_factors: int, *, seed: int = 0, epoch: int = 0, dtype: str = "float32"
) -> Array:
    """Return the order in which an epoch takes the ratings: positions in CSR order, (nnz,).

    The grid of `sgd_blocks` is taken block by block, as `sgd_block_order` says.
    """
    blocks = sgd_blocks(R, n_factors, seed=seed, dtype=dtype)
    order = sgd_block_order(len(blocks), len(blocks[0]), seed=seed, epoch=epoch)
    return np.concatenate([blocks[row][column] for row, column in order])


def sgd_blocks(
    R: Rows, n_factors: int, *, seed: int = 0, dtype: str = "float32"
) -> list[list[Array]]:
    """Return the ratings of each block of the grid, as positions in CSR order.

    Users and items are put in a random order and cut into segments of about equally many ratings; a
    block is what a segment of users and one of items have in common, by user and then in CSR order;
    its four quarters are taken in turn, an entry of each, so that neighbours can run side by side.
    There are about √(nnz / 512) segments, or more if the rows of the items would not fit a cache.
    """
    positions, segments = [], []
    row_bytes = 64 * (-(-n_factors * np.dtype(dtype).itemsize // 64))
    for_threads = min(max(int(np.sqrt(len(R.values) / 512)), 1), 32)
    for_cache = min(R.shape[1] * row_bytes // (256 * 1024), 256)
    for side, count in enumerate(counts(R)):
        order = random_order(len(count), seed, USER_ORDER + side, 0)
        position = np.empty(len(order), int)
        position[order] = np.arange(len(order))
        positions.append(position)
        bounds = _segments(count[order], max(for_threads, for_cache))
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
    dtype: str = "float32",
) -> tuple[Model, list[float]]:
    """Return the model after ``n_iter`` epochs, and the objective of each as it is measured.

    With g = r̂ - r, in units in which the ratings' deviation s is 1, and n the ratings of a row::

        u := (u - η g v) / (1 + η λ w / n),    b := (b - ν g) / (1 + ν β w / n),    v, c alike
        η = learning_rate / √(1 + n T / 50),   ν = learning_rate / √(1 + n T)

    T is the time in epochs: the middle of the current block in the first epoch, the middle of the
    epoch later. Where |g| > 3 it is divided by 1 + η_u |v|² + η_v |u|² + ν_b + ν_c (the rates with
    their denominators). ``dtype`` is that of the native run, on which the order depends.
    """
    s = float(np.sqrt(np.mean((R.values - model.global_mean) ** 2))) or 1.0
    x = _scaled(model, 1 / s)
    in_units = replace(penalty, regularization=(penalty.of(0)[0] / s, penalty.of(1)[0] / s))
    ratings = StoredRows(R.offsets, R.items, (R.values - model.global_mean) / s, R.shape)
    n_factors = model.user_factors.shape[1]
    blocks = sgd_blocks(R, n_factors, seed=seed, dtype=dtype)
    objectives = []
    for epoch in range(n_iter):
        order = sgd_block_order(len(blocks), len(blocks[0]), seed=seed, epoch=epoch)
        total = 0.0
        for i, (row, column) in enumerate(order):
            time = epoch + 0.5 if epoch else (i + 0.5) / len(order)
            total += _sgd_block(ratings, x, in_units, blocks[row][column], time, learning_rate)
        objectives.append(s * s * (total + penalty_of(R, x, in_units)))
    return _scaled(x, s), objectives


def _sgd_block(
    R: Rows, x: Model, penalty: Penalty, block: Array, time: float, learning_rate: float
) -> float:
    """Take the steps of a block in place, and return the sum of the losses before each."""
    rates = []
    for side, count in enumerate(counts(R)):
        per_rating = count_weights(count, penalty.regularization_exponent) / np.maximum(count, 1)
        factor, bias = penalty.of(side)
        eta = learning_rate / np.sqrt(1 + count * time / 50)
        nu = learning_rate / np.sqrt(1 + count * time) * (x.user_biases is not None)
        shrink, bias_shrink = 1 / (1 + eta * factor * per_rating), 1 / (1 + nu * bias * per_rating)
        rates.append((eta * shrink, shrink, nu * bias_shrink, bias_shrink))
    users, total = user_codes(R), 0.0
    for i in block:
        n, m = users[i], R.items[i]
        u, v = x.user_factors[n].copy(), x.item_factors[m].copy()
        g = u @ v - R.values[i]
        if x.user_biases is not None and x.item_biases is not None:
            g += x.user_biases[n] + x.item_biases[m]
        total += 0.5 * g * g
        (eta_u, shrink_u, nu_b, shrink_b), (eta_v, shrink_v, nu_c, shrink_c) = (
            [rate[code] for rate in side] for side, code in zip(rates, (n, m), strict=True)
        )
        if abs(g) > 3:
            g /= 1 + eta_u * (v @ v) + eta_v * (u @ u) + nu_b + nu_c
        x.user_factors[n] = shrink_u * u - eta_u * g * v
        x.item_factors[m] = shrink_v * v - eta_v * g * u
        if x.user_biases is not None and x.item_biases is not None:
            x.user_biases[n] = shrink_b * x.user_biases[n] - nu_b * g
            x.item_biases[m] = shrink_c * x.item_biases[m] - nu_c * g
    return total


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
