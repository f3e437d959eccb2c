"""Lists of recommended items and what is relevant, brought into the codes that the core measures.

What ``recommended`` and ``relevant`` may be is said in `matfac.metrics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matfac import _core, _ids
from matfac._ids import CodeArray

#: `Ratings`, a SciPy CSR matrix, ``(offsets, items)`` or a sequence of collections.
Relevant: TypeAlias = Any

#: What the core measures of a list, in its order.
LIST_MEASURES = (
    "precision",
    "recall",
    "hit_rate",
    "reciprocal_rank",
    "average_precision",
    "ndcg",
)

_ENTRIES_COUNTED = 1 << 22


def mean_of(measure: str, recommended: ArrayLike, relevant: Relevant, n: int) -> float:
    """Return a measure's mean over the users who have a relevant item."""
    lists = first_columns(recommended, n)
    offsets, items, codes = _in_codes(lists, relevant)
    if len(offsets) - 1 != len(lists):
        raise ValueError(
            f"recommended has {len(lists):,} rows, relevant has {len(offsets) - 1:,}; pass one of "
            "each per user"
        )
    n_items = 1 + int(items.max(initial=-1))
    try:
        measures = _core.ranking_measures(codes, (offsets, items), n_items, 0)
    except ValueError:
        _refuse_repeats(lists, codes)  # by its raw id
        raise
    mean = _core.mean_measures(measures, 0)[LIST_MEASURES.index(measure)]
    if np.isnan(mean):
        raise ValueError(
            "relevant: no user has a relevant item, so that there is nothing to measure"
        )
    return mean


def first_columns(recommended: ArrayLike, n: int | None) -> NDArray[Any]:
    """Return the first n columns of the lists, checked; all of them for None."""
    lists = np.asarray(recommended)
    if n is not None:
        if isinstance(n, bool) or not isinstance(n, int | np.integer):
            raise TypeError(f"n={n!r}: expected an integer")
        if n < 1:
            raise ValueError(f"n={n}: must be at least 1")
    if lists.ndim != 2:
        raise ValueError(f"recommended: expected shape (n_users, >= n), got {lists.shape}")
    if n is not None and lists.shape[1] < n:
        raise ValueError(
            f"recommended: {lists.shape[1]} items per user are too few for n={n}; recommend more"
        )
    return lists[:, :n]


# ---- how often items occur ----------------------------------------------------------------------


def occurrences(codes: CodeArray, n_items: int) -> NDArray[np.int64]:
    """Return how often each item occurs among codes."""
    counts = np.zeros(n_items, np.int64)
    for start in range(0, len(codes), _ENTRIES_COUNTED):  # bincount widens what it counts
        counts += np.bincount(codes[start : start + _ENTRIES_COUNTED], minlength=n_items)
    return counts


def coverage(recommended: NDArray[np.int64]) -> float:
    """Return the share of the items that are recommended at all."""
    return float(np.count_nonzero(recommended) / len(recommended))


def popularity(recommended: NDArray[np.int64], rated: NDArray[np.int64], n_users: int) -> float:
    """Return the mean of rated / n_users over the entries of all lists."""
    return float((recommended @ rated) / (int(recommended.sum()) * n_users))


def novelty(recommended: NDArray[np.int64], rated: NDArray[np.int64], n_users: int) -> float:
    """Return the mean of -log2(rated / n_users) over the entries of all lists."""
    bits = np.log2(n_users) - np.log2(np.maximum(rated, 1))
    return float((recommended @ bits) / recommended.sum())


# ---- codes --------------------------------------------------------------------------------------


def _in_codes(
    lists: NDArray[Any], relevant: Relevant
) -> tuple[NDArray[np.int64], CodeArray, CodeArray]:
    """Return what is relevant as CSR (items ascending in each row), and the lists in codes."""
    if hasattr(relevant, "item_codes"):
        codes = relevant.item_codes(lists.ravel())
        return relevant.offsets, relevant.items, _as_codes(codes.reshape(lists.shape))
    csr = _csr_arrays(relevant)
    if csr is not None:
        if lists.dtype.kind not in "iu":
            raise TypeError(f"recommended: expected item codes (integers), got dtype {lists.dtype}")
        offsets, items = csr
        return offsets, _ascending(offsets, items), _as_codes(lists)
    if isinstance(relevant, str | bytes) or not isinstance(relevant, Sequence | np.ndarray):
        raise TypeError(
            "relevant: expected Ratings, a CSR matrix, (offsets, items) or one collection per "
            f"user, got {type(relevant).__name__}"
        )
    collections = [list(dict.fromkeys(collection)) for collection in relevant]
    offsets = np.concatenate([[0], np.cumsum([len(c) for c in collections], dtype=np.int64)])
    labels, items = _ids.encode(list(chain.from_iterable(collections)), "relevant")
    if len(labels) == 0:
        return offsets, items, np.full(lists.shape, -1, np.int32)
    codes = _ids.lookup(labels, lists.ravel(), "recommended")
    return offsets, _ascending(offsets, items), _as_codes(codes.reshape(lists.shape))


def _as_codes(lists: NDArray[Any]) -> CodeArray:
    """Return lists of codes as the core takes them; what is no item becomes -1."""
    if lists.size and int(lists.max()) >= _ids.MAX_COUNT:
        raise ValueError(f"recommended: item code {lists.max()} is too large for 32 bits")
    return np.ascontiguousarray(np.maximum(lists, -1) if lists.dtype.kind == "i" else lists, "i4")


def _csr_arrays(relevant: Relevant) -> tuple[NDArray[np.int64], CodeArray] | None:
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
    if len(items) and items.max() >= _ids.MAX_COUNT:
        raise ValueError(f"relevant: item code {items.max()} is too large for 32 bits")
    return np.ascontiguousarray(offsets, np.int64), np.ascontiguousarray(items, np.int32)


def _ascending(offsets: NDArray[np.int64], items: CodeArray) -> CodeArray:
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    if len(items) and ((items[1:] <= items[:-1]) & (rows[1:] == rows[:-1])).any():
        items = items[np.lexsort((items, rows))]
    return items


def _refuse_repeats(lists: NDArray[Any], codes: CodeArray) -> None:
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
