"""Measures of quality: errors of predicted ratings, and the quality of ranked recommendations.

`evaluate_ranking` recommends to all users of a test set and measures the lists, natively;
docs/evaluation.md shows how to measure what. The functions below it measure lists that exist.

They share one convention. ``recommended`` is an array of shape (n_users, >= n), row by
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

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matfac import _rankings
from matfac._coerce import as_ratings
from matfac._evaluation import auc, evaluate_ranking
from matfac._rankings import Relevant

__all__ = [
    "auc",
    "average_precision_at",
    "coverage",
    "evaluate_ranking",
    "hit_rate_at",
    "mae",
    "mse",
    "ndcg_at",
    "novelty",
    "popularity",
    "precision_at",
    "recall_at",
    "reciprocal_rank_at",
    "rmse",
]

# ---- errors of predictions -----------------------------------------------------------------------


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


# ---- ranking -------------------------------------------------------------------------------------


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
    Users with fewer than n relevant items cannot reach 1. Measured natively and in parallel, in
    O(n (log n + log c)) a user.
    """
    return _rankings.mean_of("precision", recommended, relevant, n)


def recall_at(recommended: ArrayLike, relevant: Relevant, n: int) -> float:
    """Return the mean recall among the first n: 1/c Σ_{j≤n} h_j.

    Arguments as for `precision_at`.
    """
    return _rankings.mean_of("recall", recommended, relevant, n)


def hit_rate_at(recommended: ArrayLike, relevant: Relevant, n: int) -> float:
    """Return the share of users with a hit among the first n: max_{j≤n} h_j.

    Arguments as for `precision_at`.
    """
    return _rankings.mean_of("hit_rate", recommended, relevant, n)


def reciprocal_rank_at(recommended: ArrayLike, relevant: Relevant, n: int) -> float:
    """Return the mean reciprocal rank: 1/j of the first hit among the first n, 0 without one.

    Arguments as for `precision_at`.

    References
    ----------
    E. M. Voorhees (1999): The TREC-8 question answering track report.
    """
    return _rankings.mean_of("reciprocal_rank", recommended, relevant, n)


def average_precision_at(recommended: ArrayLike, relevant: Relevant, n: int) -> float:
    """Return the mean average precision (MAP): 1/min(n, c) Σ_{j≤n} h_j · (1/j Σ_{i≤j} h_i).

    The divisor is what can be reached among n, so that a perfect list has 1. Arguments as for
    `precision_at`.

    References
    ----------
    C. D. Manning, P. Raghavan, H. Schütze (2008): Introduction to Information Retrieval, section
    8.4 (there with c as the divisor, the list being complete).
    """
    return _rankings.mean_of("average_precision", recommended, relevant, n)


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
    return _rankings.mean_of("ndcg", recommended, relevant, n)


# ---- the lists as a whole ------------------------------------------------------------------------


def coverage(recommended: ArrayLike, train: object, n: int | None = None) -> float:
    """Return the share of the catalogue that is recommended to anybody: |∪ lists| / n_items.

    Parameters
    ----------
    recommended : array-like, shape (n_users, >= n)
        Raw item ids, as `MatrixFactorization.recommend` returns them. Fillers and items that
        ``train`` does not know do not count.
    train : Ratings, SciPy sparse matrix or data frame
        What the model was fitted on: its items are the catalogue.
    n : int, optional
        Look at the first n of each list only.

    Raises
    ------
    ValueError
        Not two-dimensional, fewer than n columns, no known item at all.
    TypeError
        Strings where the ids are integers, or the reverse.
    """
    counts, _, _ = _recommended_and_rated(recommended, train, n)
    return _rankings.coverage(counts)


def popularity(recommended: ArrayLike, train: object, n: int | None = None) -> float:
    """Return the mean share of users who rated what is recommended: 1/|L| Σ_{m in L} n_m / N.

    L holds the entries of all lists, n_m is the number of users who rated item m in ``train``, and
    N the number of its users. Lower means that less is owed to what everybody knows. Arguments as
    for `coverage`.
    """
    return _rankings.popularity(*_recommended_and_rated(recommended, train, n))


def novelty(recommended: ArrayLike, train: object, n: int | None = None) -> float:
    """Return the mean self-information of what is recommended: -1/|L| Σ_{m in L} log2(n_m / N).

    In bits; L, n_m and N as for `popularity`. An item that nobody rated counts as rated once, so
    that log2(N) is the most that can be reached. Arguments as for `coverage`.

    References
    ----------
    T. Zhou et al. (2010): Solving the apparent diversity-accuracy dilemma of recommender systems.
    PNAS 107(10).
    """
    return _rankings.novelty(*_recommended_and_rated(recommended, train, n))


def _recommended_and_rated(
    recommended: ArrayLike, train: object, n: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return how often each item is recommended, how many users rated it, and their number."""
    ratings = as_ratings(train, "train")
    lists = _rankings.first_columns(recommended, n)
    codes = ratings.item_codes(lists.ravel())
    counts = _rankings.occurrences(codes[codes >= 0], ratings.n_items)
    if not counts.any():
        raise ValueError(
            "recommended: none of the items is one of train; do the ids mean the same?"
        )
    return counts, _rankings.occurrences(ratings.items, ratings.n_items), ratings.n_users
