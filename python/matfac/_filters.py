"""Which items may be recommended: patterns of item codes, one row a query or one for all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matfac._ids import CodeArray

#: Rows of item codes: offsets (n + 1,) and items, ascending in each row.
Pattern: TypeAlias = tuple[NDArray[np.int64], CodeArray]
#: From raw ids to codes, -1 for those that are not known, and the shape of what was given.
Lookup: TypeAlias = Callable[[object, str], tuple[CodeArray, tuple[int, ...]]]


def pattern_of(given: object, what: str, lookup: Lookup, n_queries: int | None) -> Pattern:
    """Return raw ids as a pattern; those that the model does not know are passed over.

    ``given`` is one list of ids for all queries, or, unless ``n_queries`` is None, one a query.
    """
    if isinstance(given, str | bytes) or not (hasattr(given, "__len__") or _is_column(given)):
        raise TypeError(f"{what}={given!r}: expected a list of raw item ids")
    if n_queries is not None and _is_nested(given):
        return _pattern_of_lists(given, what, lookup, n_queries)
    codes, shape = (np.empty(0, np.int32), (0,)) if _is_empty(given) else lookup(given, what)
    if len(shape) != 1:
        raise ValueError(f"{what} has shape {shape}: expected a list of raw item ids")
    known = np.unique(codes[codes >= 0])
    return np.array([0, len(known)], np.int64), known


def union(first: Pattern | None, second: Pattern | None, n_queries: int) -> Pattern | None:
    """Return the rows of both, merged; None holds nothing."""
    if first is None or second is None:
        return second if first is None else first
    rows, items = zip(_entries(first, n_queries), _entries(second, n_queries), strict=True)
    return _from_entries(np.concatenate(rows), np.concatenate(items), n_queries)


def _is_column(given: object) -> bool:
    return hasattr(given, "to_pylist")  # pyarrow's


def _is_empty(given: Any) -> bool:
    return hasattr(given, "__len__") and len(given) == 0


def _is_nested(given: Any) -> bool:
    if not isinstance(given, Sequence):
        return isinstance(given, np.ndarray) and given.ndim == 2
    return len(given) > 0 and not isinstance(given[0], str) and isinstance(given[0], Collection)


def _pattern_of_lists(given: Any, what: str, lookup: Lookup, n_queries: int) -> Pattern:
    if len(given) != n_queries:
        raise ValueError(
            f"{what} has {len(given)} lists for {n_queries} users: pass one list of ids a user, or "
            "one for all"
        )
    for at, ids in enumerate(given):
        if isinstance(ids, str) or not isinstance(ids, Collection | np.ndarray):
            raise TypeError(
                f"{what} at position {at}: expected a list of raw item ids, got {ids!r}"
            )
    rows = np.repeat(np.arange(n_queries), [len(ids) for ids in given])
    flat = list(
        chain.from_iterable(ids.tolist() if hasattr(ids, "tolist") else ids for ids in given)
    )
    codes = lookup(flat, what)[0] if flat else np.empty(0, np.int32)
    return _from_entries(rows[codes >= 0], codes[codes >= 0], n_queries)


def _entries(pattern: Pattern, n_queries: int) -> tuple[NDArray[Any], CodeArray]:
    """Return the row and the item of each entry; a single row counts for all queries."""
    offsets, items = pattern
    if len(offsets) == 2 and n_queries != 1:
        return np.repeat(np.arange(n_queries), len(items)), np.tile(items, n_queries)
    return np.repeat(np.arange(n_queries), np.diff(offsets)), items


def _from_entries(rows: NDArray[Any], items: CodeArray, n_queries: int) -> Pattern:
    keys = np.unique((rows.astype(np.int64) << 32) | items.astype(np.int64))
    offsets = np.searchsorted(keys >> 32, np.arange(n_queries + 1)).astype(np.int64, copy=False)
    return offsets, (keys & 0x7FFFFFFF).astype(np.int32)
