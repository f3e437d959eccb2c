"""Twins of the measures of rankings."""

from __future__ import annotations

import numpy as np

from matfac.reference._model import predict
from matfac.reference._types import Array, Model

#: (offsets, items), one row a user.
Pattern = tuple[Array, Array]


def ranking_measures(recommended: Array, relevant: Pattern, seen: Pattern | None = None) -> Array:
    """Return precision, recall, hit rate, reciprocal rank, average precision and NDCG, (users, 6).

    ``recommended`` is (users, n), -1 for no item. What was seen is not relevant; NaN for users to
    whom nothing is.
    """
    n = recommended.shape[1]
    ranks = np.arange(1, n + 1)
    discounts = 1 / np.log2(ranks + 1)
    rows = []
    for user, items in enumerate(recommended):
        right = _relevant_to(user, relevant, seen)
        c = len(right)
        if c == 0:
            rows.append([np.nan] * 6)
            continue
        h = np.isin(items, right).astype(float)
        first = np.argmax(h) + 1
        rows.append(
            [
                h.sum() / n,
                h.sum() / c,
                h.max(),
                h.max() / first,
                h @ (np.cumsum(h) / ranks) / min(n, c),
                h @ discounts / discounts[: min(n, c)].sum(),
            ]
        )
    return np.array(rows).reshape(-1, 6)


def ranking_auc(
    model: Model, users: Array, relevant: Pattern, seen: Pattern | None = None
) -> Array:
    """Return P(r̂ of a relevant item > r̂ of another) + ½ P(equal), none of them seen, (users,)."""
    every = np.arange(len(model.item_factors))
    areas = []
    for user in users:
        right = _relevant_to(user, relevant, seen)
        others = np.setdiff1d(every, right)
        if seen is not None:
            others = np.setdiff1d(others, seen[1][seen[0][user] : seen[0][user + 1]])
        p = predict(model, np.full(len(right), user), right)[:, None]
        q = predict(model, np.full(len(others), user), others)
        wins = (p > q) + 0.5 * (p == q)
        areas.append(wins.mean() if wins.size else np.nan)
    return np.array(areas)


def _relevant_to(user: int, relevant: Pattern, seen: Pattern | None) -> Array:
    items = relevant[1][relevant[0][user] : relevant[0][user + 1]]
    if seen is None:
        return items
    return np.setdiff1d(items, seen[1][seen[0][user] : seen[0][user + 1]])
