"""The model: the random start, predictions, rankings."""

from __future__ import annotations

import numpy as np

from matfac.reference._random import USER_FACTORS, random_words
from matfac.reference._types import Array, Model


def initial_factors(n_rows: int, n_factors: int, init_std: float, seed: int, side: int) -> Array:
    """Return the random start of a side (0 users, 1 items), (n_rows, F), in float64.

    Entry (i, f) is number f % 4 of the four standard normal numbers that Box and Muller make, two
    words at a time, of the random words number f // 4 of row i; times ``init_std``.
    """
    groups = -(-n_factors // 4)
    rows, columns = np.meshgrid(np.arange(n_rows), np.arange(groups), indexing="ij")
    words = random_words(seed, USER_FACTORS + side, rows, columns)
    a, b, c, d = ((word.astype(np.float64) + 0.5) / 2**32 for word in words)
    normals = [
        np.sqrt(-2 * np.log(radius)) * turn(2 * np.pi * angle)
        for radius, angle in ((a, b), (c, d))
        for turn in (np.cos, np.sin)
    ]
    return init_std * np.stack(normals, axis=2).reshape(n_rows, 4 * groups)[:, :n_factors]


def predict(model: Model, users: Array, items: Array) -> Array:
    """Return r̂ of each pair of codes, (n,); a code of -1 is unknown and adds nothing."""
    users, items = np.asarray(users), np.asarray(items)
    known = (users >= 0) & (items >= 0)
    products = np.sum(model.user_factors[users] * model.item_factors[items], axis=1)
    total = model.global_mean + np.where(known, products, 0)
    if model.user_biases is not None:
        total = total + np.where(users >= 0, model.user_biases[users], 0)
    if model.item_biases is not None:
        total = total + np.where(items >= 0, model.item_biases[items], 0)
    return total


def recommend(
    model: Model, users: Array, n: int, seen: tuple[Array, Array] | None = None
) -> tuple[Array, Array]:
    """Return the n best items of each user and their estimates, both (len(users), n).

    Best first, ties by the lower code. ``seen`` is (offsets, items), one row per entry of
    ``users``, and left out. Where fewer than n items remain the rest is -1 and -inf.
    """
    all_items = np.arange(len(model.item_factors))
    scores = np.stack([predict(model, np.full(len(all_items), u), all_items) for u in users])
    if seen is not None:
        for row, start, end in zip(scores, seen[0][:-1], seen[0][1:], strict=True):
            row[seen[1][start:end]] = -np.inf
    return _best(scores, n)


def similar_items(item_factors: Array, items: Array, n: int) -> tuple[Array, Array]:
    """Return the n items of highest cosine with each given one, and the cosines, (len(items), n).

    The item itself is left out; the cosine with a row of zeros is 0. Order and filling are those of
    `recommend`.
    """
    norms = np.linalg.norm(item_factors, axis=1)
    unit = item_factors / np.where(norms > 0, norms, 1)[:, None]
    cosines = unit[items] @ unit.T
    cosines[np.arange(len(items)), items] = -np.inf
    return _best(cosines, n)


def _best(scores: Array, n: int) -> tuple[Array, Array]:
    items = np.full((len(scores), n), -1)
    best = np.full((len(scores), n), -np.inf)
    for row, (item_row, score_row) in zip(scores, zip(items, best, strict=True), strict=True):
        order = np.argsort(-row, kind="stable")[:n]
        order = order[row[order] > -np.inf]
        item_row[: len(order)] = order
        score_row[: len(order)] = row[order]
    return items, best
