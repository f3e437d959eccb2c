"""Measures of quality: errors of predicted ratings, and the quality of ranked recommendations.

Ranking measures share one convention. ``recommended`` is an array of shape (n_users, >= n), row by
row the items recommended to a user, best first; only the first n count. ``relevant`` says which
items are right for the user of the same row, and is one of

- a `Ratings`: every stored item is relevant; row i belongs to ``relevant.user_ids[i]`` and
  ``recommended`` holds raw item ids, as `MatrixFactorization.recommend` returns them;
- a SciPy CSR matrix or a pair ``(offsets, items)`` of CSR arrays: ``recommended`` holds item codes
  (columns);
- a sequence of collections, one per user: ``recommended`` holds whatever labels these hold
  (integers or strings).

An entry that stands for no item (-1, an empty string, an id that nobody rated) is never right, so
that padding costs nothing but its rank. Relevance is binary. With h_j = 1 if the item at rank j
(from 1) is relevant and else 0, and c the number of the user's relevant items, each function states
its measure for one user and returns the mean over the users with c >= 1; the others cannot be
served well or badly and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matfac import _ids

__all__ = [
    "average_precision_at",
    "hit_rate_at",
    "mae",
    "mse",
    "ndcg_at",
    "precision_at",
    "recall_at",
    "reciprocal_rank_at",
    "rmse",
]

#: See the module: `Ratings`, SciPy CSR, ``(offsets, items)`` or a sequence of collections.
Relevant: TypeAlias = Any

# ---- errors of predictions
# --------------------------------------------------------------------------


def rmse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the root of the mean squared error, sqrt(1/n Σ (ŷ_i - y_i)²), summed in float64.

    Parameters
    ----------
    y_true, y_pred : array-like of finite numbers, shape (n,), n >= 1

    Raises
    ------
    ValueError
        Shapes that differ, no entries, NaN or infinity (with the position).
    """
    return float(np.sqrt(mse(y_true, y_pred)))


def mse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean squared error, 1/n Σ (ŷ_i - y_i)². Arguments and errors as for `rmse`."""
    return float(np.mean(np.square(_errors(y_true, y_pred))))


def mae(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean absolute error, 1/n Σ |ŷ_i - y_i|. Arguments and errors as for `rmse`."""
    return float(np.mean(np.abs(_errors(y_true, y_pred))))


def _errors(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[np.float64]:
    true, predicted = _finite_vector(y_true, "y_true"), _finite_vector(y_pred, "y_pred")
    if len(true) != len(predicted):
        raise ValueError(
            f"y_true has {len(true):,} entries and y_pred {len(predicted):,}; pass as many of both"
        )
    if len(true) == 0:
        raise ValueError("y_true and y_pred are empty; an error is a mean over at least one entry")
    return predicted - true


def _finite_vector(values: ArrayLike, what: str) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{what}: expected one dimension, got shape {array.shape}")
    if array.dtype.kind not in "fiu" and len(array):
        raise TypeError(f"{what}: expected numbers, got dtype {array.dtype}")
    finite = np.isfinite(array)
    if not finite.all():
        at = int(finite.argmin())
        raise ValueError(
            f"{what}: {array[at]} at position {at} is not finite; leave it out or correct it"
        )
    return array.astype(np.float64, copy=False)


# ---- ranking
# ----------------------------------------------------------------------------------------


def precision_at(recommended: ArrayLike, relevant: Relevant, n: int) -> float:
    """Return the mean precision among the first n: 1/n Σ_{j≤n} h_j.

    Parameters
    ----------
    recommended : array-like, shape (n_users, >= n)
        Best first; see the module for what it holds.
    relevant : Ratings, CSR matrix, (offsets, items) or sequence of collections
        One row per row of ``recommended``.
    n : int
        At least 1.

    Raises
    ------
    ValueError
        Fewer than n columns, another number of rows, an item recommended twice to one user (with
        the row), nobody with a relevant item.
    TypeError
        Objects that are no items: floats, or strings where there are integers.

    Notes
    -----
    Users with fewer than n relevant items cannot reach 1. O(n_users · n · log nnz), no loop in
    Python.
    """
    return float((_judge(recommended, relevant, n).hits.sum(axis=1) / n).mean())


def recall_at(recommended: ArrayLike, relevant: Relevant, n: int) -> float:
    """Return the mean recall among the first n: 1/c Σ_{j≤n} h_j.

    Arguments as for `precision_at`.
    """
    hits, counts = _judge(recommended, relevant, n)
    return float((hits.sum(axis=1) / counts).mean())


def hit_rate_at(recommended: ArrayLike, relevant: Relevant, n: int) -> float:
    """Return the share of users with a hit among the first n: max_{j≤n} h_j.

    Arguments as for `precision_at`.
    """
    return float(_judge(recommended, relevant, n).hits.any(axis=1).mean())


def reciprocal_rank_at(recommended: ArrayLike, relevant: Relevant, n: int) -> float:
    """Return the mean reciprocal rank: 1/j of the first hit among the first n, 0 without one.

    Arguments as for `precision_at`.

    References
    ----------
    E. M. Voorhees (1999): The TREC-8 question answering track report.
    """
    hits = _judge(recommended, relevant, n).hits
    return float(np.where(hits.any(axis=1), 1 / (1 + hits.argmax(axis=1)), 0).mean())


def average_precision_at(recommended: ArrayLike, relevant: Relevant, n: int) -> float:
    """Return the mean average precision (MAP): 1/min(n, c) Σ_{j≤n} h_j · (1/j Σ_{i≤j} h_i).

    The divisor is what can be reached among n, so that a perfect list has 1. Arguments as for
    `precision_at`.

    References
    ----------
    C. D. Manning, P. Raghavan, H. Schütze (2008): Introduction to Information Retrieval, section
    8.4 (there with c as the divisor, the list being complete).
    """
    hits, counts = _judge(recommended, relevant, n)
    precisions = np.cumsum(hits, axis=1) / np.arange(1, n + 1)
    return float(((hits * precisions).sum(axis=1) / np.minimum(counts, n)).mean())


def ndcg_at(recommended: ArrayLike, relevant: Relevant, n: int) -> float:
    """Return the mean normalized discounted cumulative gain: DCG / ideal DCG.

    DCG = Σ_{j≤n} h_j / log2(j + 1), and the ideal one is that of min(n, c) hits at the top.
    Arguments as for `precision_at`.

    References
    ----------
    K. Järvelin, J. Kekäläinen (2002): Cumulated gain-based evaluation of IR techniques. ACM TOIS
    20(4), with gains of 0 and 1 and the discount log2(j + 1), which, unlike theirs, already lowers
    rank 2.
    """
    hits, counts = _judge(recommended, relevant, n)
    discounts = 1 / np.log2(np.arange(2, n + 2))
    ideal = np.cumsum(discounts)[np.minimum(counts, n) - 1]
    return float((hits @ discounts / ideal).mean())


class _Judgement(NamedTuple):
    """Of the users with at least one relevant item."""

    hits: NDArray[np.bool_]  # (users, n): is the item at this rank relevant?
    counts: NDArray[np.int64]  # (users,): c


def _judge(recommended: ArrayLike, relevant: Relevant, n: int) -> _Judgement:
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"n={n!r}: expected an integer")
    if n < 1:
        raise ValueError(f"n={n}: must be at least 1")
    lists = np.asarray(recommended)
    if lists.ndim != 2:
        raise ValueError(f"recommended: expected shape (n_users, >= n), got {lists.shape}")
    if lists.shape[1] < n:
        raise ValueError(
            f"recommended: {lists.shape[1]} items per user are too few for n={n}; recommend more"
        )
    lists = lists[:, :n]
    offsets, items, codes = _in_codes(lists, relevant)
    if len(offsets) - 1 != len(lists):
        raise ValueError(
            f"recommended has {len(lists):,} rows, relevant has {len(offsets) - 1:,}; pass one of "
            "each per user"
        )
    _refuse_repeats(lists, codes)
    counts = np.diff(offsets)
    served = counts > 0
    if not served.any():
        raise ValueError(
            "relevant: no user has a relevant item, so that there is nothing to measure"
        )
    # (user, item) pairs as one number each: the relevant ones ascend, and membership is a search.
    n_codes = 1 + max(int(items.max()), int(codes.max(initial=0)))
    rows = np.arange(len(lists), dtype=np.int64)
    right = np.repeat(rows, counts) * n_codes + items
    asked = (rows[:, None] * n_codes + codes)[served]
    found = np.searchsorted(right, asked)
    found[found == len(right)] = 0
    hits = (right[found] == asked) & (codes[served] >= 0)
    return _Judgement(hits, counts[served])


def _in_codes(
    lists: NDArray[Any], relevant: Relevant
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    """Return what is relevant as CSR (items ascending in each row), and the lists in codes."""
    if hasattr(relevant, "item_codes"):
        codes = relevant.item_codes(lists.ravel())
        return relevant.offsets, relevant.items, codes.reshape(lists.shape).astype(np.int64)
    csr = _csr_arrays(relevant)
    if csr is not None:
        if lists.dtype.kind not in "iu":
            raise TypeError(f"recommended: expected item codes (integers), got dtype {lists.dtype}")
        offsets, items = csr
        return offsets, _ascending(offsets, items), lists.astype(np.int64)
    if isinstance(relevant, str | bytes) or not isinstance(relevant, Sequence | np.ndarray):
        raise TypeError(
            "relevant: expected Ratings, a CSR matrix, (offsets, items) or one collection per "
            f"user, got {type(relevant).__name__}"
        )
    collections = [list(dict.fromkeys(collection)) for collection in relevant]
    offsets = np.concatenate([[0], np.cumsum([len(c) for c in collections], dtype=np.int64)])
    labels, items = _ids.encode(list(chain.from_iterable(collections)), "relevant")
    if len(labels) == 0:
        return offsets, items, np.full(lists.shape, -1, np.int64)
    codes = _ids.lookup(labels, lists.ravel(), "recommended")
    return offsets, _ascending(offsets, items), codes.reshape(lists.shape).astype(np.int64)


def _csr_arrays(relevant: Relevant) -> tuple[NDArray[np.int64], NDArray[Any]] | None:
    if getattr(relevant, "format", None) == "csr":
        offsets, items = relevant.indptr, relevant.indices
    elif (
        isinstance(relevant, tuple)
        and len(relevant) == 2
        and all(isinstance(part, np.ndarray) and part.dtype.kind in "iu" for part in relevant)
    ):
        offsets, items = relevant
    else:
        return None
    if (
        len(offsets) == 0
        or offsets[0] != 0
        or (np.diff(offsets) < 0).any()
        or offsets[-1] > len(items)
    ):
        raise ValueError(
            "relevant: malformed CSR: offsets start at 0, never fall, and end with the entries"
        )
    items = items[: offsets[-1]]
    if len(items) and items.min() < 0:
        raise ValueError(f"relevant: item code {items.min()} is negative; codes count from 0")
    return offsets.astype(np.int64, copy=False), items


def _ascending(offsets: NDArray[np.int64], items: NDArray[Any]) -> NDArray[Any]:
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    if len(items) and ((items[1:] <= items[:-1]) & (rows[1:] == rows[:-1])).any():
        items = items[np.lexsort((items, rows))]
    return items


def _refuse_repeats(lists: NDArray[Any], codes: NDArray[np.int64]) -> None:
    ordered = np.sort(codes, axis=1)
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if repeated.any():
        row = int(repeated.any(axis=1).argmax())
        code = ordered[row, 1:][repeated[row]][0]
        item = lists[row, codes[row] == code][0]
        raise ValueError(
            f"recommended: item {item.item()!r} stands twice in row {row}; recommend each item at "
            "most once"
        )
