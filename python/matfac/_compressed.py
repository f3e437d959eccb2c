"""Ratings that come as compressed rows: read where they lie if they can be, copied if they must."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from matfac._ids import CodeArray, IdArray, check_count, given_ids
from matfac._triplets import (
    NativeRatings,
    Triplets,
    check_duplicates_policy,
    compress,
    native_of,
)
from matfac._values import ValueArray, as_values, as_weights
from matfac._warnings import CopyWarning, warn_user


@dataclass
class Rows:
    """Compressed rows as the caller gave them."""

    offsets: NDArray[Any]
    items: NDArray[Any]
    values: NDArray[Any]
    n_items: int
    weights: object | None = None
    #: What had to be copied so far, for the warning.
    copies: list[str] = field(default_factory=list)


@dataclass
class Compressed:
    """What comes out: the ratings and the ids of their rows and columns."""

    native: NativeRatings
    user_ids: IdArray
    item_ids: IdArray


def from_rows(
    rows: Rows,
    user_ids: object | None,
    item_ids: object | None,
    duplicates: str | None,
    dtype: DTypeLike | None,
) -> Compressed:
    """Turn compressed rows into ratings, without a copy if they already are what the core reads.

    The core's own validation decides whether they are; only when it refuses are the rows sorted
    (and duplicates settled), or the fault is named.
    """
    check_duplicates_policy(duplicates)
    offsets, items, values = _checked_parts(rows, dtype)
    weights = _checked_weights(rows, offsets, items, values.dtype)
    n_users = len(offsets) - 1
    users_unique, user_codes = given_ids(user_ids, n_users, "user_ids")
    items_unique, item_codes = given_ids(item_ids, rows.n_items, "item_ids")
    if len(items) == 0:
        raise ValueError("there are no ratings: the matrix has no stored entry; pass at least one")
    native = None
    if user_codes is None and item_codes is None:
        native = _as_it_lies(offsets, items, values, weights, rows.n_items)
        if native is None:
            rows.copies.append(
                "all ratings (the items of a row are not in ascending order or repeat; sort them)"
            )
    else:
        rows.copies.append(
            "all ratings (the ids are not in ascending order; sort rows and columns by id)"
        )
    if native is None:
        users = np.repeat(np.arange(n_users, dtype=np.int32), np.diff(offsets))
        items = _renumbered(items, item_codes, "items")
        users = _renumbered(users, user_codes, "users")
        triplets = Triplets(users_unique, items_unique, users, items, values, weights=weights)
        native, _ = compress(triplets, duplicates)
    _warn_about_copies(rows.copies)
    return Compressed(native, users_unique, items_unique)


def from_scipy(
    matrix: Any,
    user_ids: object | None,
    item_ids: object | None,
    duplicates: str | None,
    dtype: DTypeLike | None,
    weights: Any = None,
) -> Compressed:
    """Turn a SciPy sparse matrix or array of any format into ratings; CSR is read where it lies."""
    if not is_scipy_sparse(matrix):
        raise TypeError(_no_sparse_matrix(matrix))
    if matrix.ndim != 2:
        raise ValueError(
            f"expected a matrix with users as rows and items as columns, got shape {matrix.shape}"
        )
    check_count(matrix.shape[0], "users")
    check_count(matrix.shape[1], "items")
    if is_scipy_sparse(weights):
        entries = _entries_alike(matrix, weights)
        if entries is None:
            made = from_scipy(matrix, user_ids, item_ids, duplicates, dtype)
            return _joined(made, weights, user_ids, item_ids)
        weights = entries
    copies = []
    if matrix.format in ("bsr", "dia"):
        if weights is not None:
            raise ValueError(
                f"weights: the {matrix.format.upper()} format pads with zeros, so that an array of "
                "weights cannot be told to belong to its entries; pass a CSR matrix, or the "
                "weights as a sparse matrix"
            )
        # These formats store zeros for padding, so that a zero in them cannot be told from absence.
        _check_blocks(matrix)
        copies.append(f"all ratings ({matrix.format.upper()} -> CSR; pass a CSR matrix)")
        matrix = matrix.tocsr(copy=True)
        matrix.eliminate_zeros()
    if matrix.format == "csr":
        indices, data = _cut_slack(matrix.indptr, matrix.indices, matrix.data)
        _check_offset_count(matrix.indptr, matrix.shape[0], "rows")
        rows = Rows(matrix.indptr, indices, data, matrix.shape[1], weights, copies)
        return from_rows(rows, user_ids, item_ids, duplicates, dtype)
    return _from_coordinates(matrix, user_ids, item_ids, duplicates, dtype, weights)


def _entries_alike(matrix: Any, weights: Any) -> NDArray[Any] | None:
    """Return the entries of a sparse matrix of weights if they lie as those of ``matrix`` do."""
    if weights.shape != matrix.shape:
        raise ValueError(
            f"weights: a matrix of shape {weights.shape} for ratings of shape {matrix.shape}"
        )
    if matrix.format != weights.format or matrix.format not in ("csr", "csc", "coo"):
        return None
    names = ("row", "col") if matrix.format == "coo" else ("indptr", "indices")
    parts = [[getattr(m, name) for name in names] for m in (matrix, weights)]
    if matrix.format != "coo":
        parts = [
            [indptr, _cut_slack(indptr, indices, m.data)[0]]
            for m, (indptr, indices) in zip((matrix, weights), parts, strict=True)
        ]
    if not all(np.array_equal(own, other) for own, other in zip(*parts, strict=True)):
        return None
    entries: NDArray[Any] = weights.data[: len(parts[0][1])]
    return entries


def _joined(
    made: Compressed, weights: Any, user_ids: object | None, item_ids: object | None
) -> Compressed:
    """Return ratings with weights that come as a matrix which lies otherwise: one a pair."""
    native = made.native
    if weights.format in ("csr", "csc", "coo"):
        as_weights(weights.data, native.values.dtype, "position {} of its data".format)
    other = from_scipy(weights, user_ids, item_ids, "error", native.values.dtype).native
    if not np.array_equal(native.offsets, other.offsets) or not np.array_equal(
        native.items, other.items
    ):
        raise ValueError(
            f"weights: the matrix has {other.nnz:,} entries, but not at the places of the "
            f"{native.nnz:,} ratings; it must have an entry where there is a rating, and no other"
        )
    checked = as_weights(
        other.values, native.values.dtype, lambda at: _entry(native.offsets, native.items, at)
    )
    joined = native_of(native.n_items, native.offsets, native.items, native.values, checked)
    return Compressed(joined, made.user_ids, made.item_ids)


def is_scipy_sparse(matrix: object) -> bool:
    """Whether this is a SciPy sparse object; SciPy is never imported for asking."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(matrix))


def _no_sparse_matrix(matrix: object) -> str:
    start = f"expected a SciPy sparse matrix, got {type(matrix).__name__}"
    if getattr(matrix, "ndim", None) == 2:
        return (
            f"{start}: in a dense matrix nothing tells a missing rating from a rating of 0; say "
            "which entries are ratings, for example: users, items = numpy.nonzero(X); "
            "Ratings.from_arrays(users, items, X[users, items])"
        )
    return f"{start}; use from_arrays, from_frame or from_csr_arrays for other data"


def _from_coordinates(
    matrix: Any,
    user_ids: object | None,
    item_ids: object | None,
    duplicates: str | None,
    dtype: DTypeLike | None,
    weights: object | None,
) -> Compressed:
    """Formats other than CSR: as triplets. SciPy's own tocsr would add duplicates up unasked."""
    check_duplicates_policy(duplicates)
    n_users, n_items = matrix.shape
    if matrix.format == "csc":
        indices, data = _cut_slack(matrix.indptr, matrix.indices, matrix.data)
        _check_offset_count(matrix.indptr, n_items, "columns")
        _check_offsets(matrix.indptr, len(indices), "columns")
        users, values = indices, data
        items = np.repeat(np.arange(n_items, dtype=np.int32), np.diff(matrix.indptr))
    else:
        coordinates = matrix.tocoo(copy=False)
        users, items, values = coordinates.row, coordinates.col, coordinates.data
    if not len(users) == len(items) == len(values):
        raise ValueError(
            f"the matrix is malformed: {len(users):,} rows, {len(items):,} columns and "
            f"{len(values):,} values"
        )
    users_unique, user_codes = given_ids(user_ids, n_users, "user_ids")
    items_unique, item_codes = given_ids(item_ids, n_items, "item_ids")
    if len(values) == 0:
        raise ValueError("there are no ratings: the matrix has no stored entry; pass at least one")
    users = _as_codes(users, n_users, "row indices", [])
    items = _as_codes(items, n_items, "column indices", [])
    describe = "position {}".format
    ratings = as_values(values, dtype, describe)
    triplets = Triplets(
        users_unique,
        items_unique,
        _renumbered(users, user_codes, "row indices"),
        _renumbered(items, item_codes, "column indices"),
        ratings,
    )
    if weights is not None:
        triplets.weights = as_weights(weights, ratings.dtype, describe, len(ratings))
    native, _ = compress(triplets, duplicates)
    _warn_about_copies([f"all ratings ({matrix.format.upper()} -> CSR; pass a CSR matrix)"])
    return Compressed(native, users_unique, items_unique)


def _checked_parts(
    rows: Rows, dtype: DTypeLike | None
) -> tuple[NDArray[np.int64], CodeArray, ValueArray]:
    for name, array in (("offsets", rows.offsets), ("items", rows.items), ("values", rows.values)):
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}: expected a NumPy array, got {type(array).__name__}")
        if array.ndim != 1:
            raise ValueError(f"{name}: expected one dimension, got shape {array.shape}")
    if len(rows.items) != len(rows.values):
        raise ValueError(
            f"{len(rows.items):,} items and {len(rows.values):,} values: there must be as many of "
            "both"
        )
    check_count(rows.n_items, "items")
    check_count(len(rows.offsets) - 1, "users")
    _check_offsets(rows.offsets, len(rows.items), "rows")
    offsets = np.ascontiguousarray(rows.offsets, dtype=np.int64)
    items = _as_codes(rows.items, rows.n_items, "items", rows.copies)
    values = as_values(rows.values, dtype, lambda at: _entry(offsets, items, at))
    if values is not rows.values:
        rows.copies.append(f"the values ({_layout(rows.values)} -> {values.dtype})")
    return offsets, items, values


def _checked_weights(
    rows: Rows, offsets: NDArray[np.int64], items: CodeArray, dtype: np.dtype[Any]
) -> ValueArray | None:
    if rows.weights is None:
        return None
    weights = as_weights(
        rows.weights, dtype, lambda at: _entry(offsets, items, at), length=len(items)
    )
    if weights is not rows.weights and isinstance(rows.weights, np.ndarray):
        rows.copies.append(f"the weights ({_layout(rows.weights)} -> {dtype})")
    return weights


def _check_offsets(offsets: NDArray[Any], n_entries: int, what: str) -> None:
    """Refuse offsets that do not cut ``n_entries`` entries into rows."""
    if offsets.dtype.kind not in "iu":
        raise TypeError(f"offsets: expected integers, got dtype {offsets.dtype}")
    if len(offsets) == 0:
        raise ValueError(f"offsets: there must be one more of them than {what}, got none")
    if offsets[0] != 0:
        raise ValueError(f"offsets: the first must be 0, got {offsets[0]}")
    falling = offsets[1:] < offsets[:-1]
    if falling.any():
        at = int(falling.argmax())
        raise ValueError(
            f"offsets: they must never fall, got {offsets[at]} at position {at} and "
            f"{offsets[at + 1]} after it"
        )
    if offsets[-1] != n_entries:
        raise ValueError(f"offsets: the last is {offsets[-1]}, but there are {n_entries:,} entries")


def _check_offset_count(offsets: NDArray[Any], count: int, what: str) -> None:
    if len(offsets) != count + 1:
        raise ValueError(
            f"offsets (indptr): {len(offsets):,} entries for {count:,} {what}; there must be one "
            "more"
        )


def _as_codes(codes: NDArray[Any], count: int, what: str, copies: list[str]) -> CodeArray:
    """Return codes as contiguous int32; their range is checked before they are narrowed."""
    if codes.dtype.kind not in "iu":
        raise TypeError(f"{what}: expected integers, got dtype {codes.dtype}")
    if codes.dtype == np.int32 and codes.flags.c_contiguous:
        return codes  # the core checks the range
    _check_range(codes, count, what)
    copies.append(f"the {what} ({_layout(codes)} -> int32)")
    return np.ascontiguousarray(codes, dtype=np.int32)


def _renumbered(codes: CodeArray, new_codes: CodeArray | None, what: str) -> CodeArray:
    if new_codes is None:
        return codes
    _check_range(codes, len(new_codes), what)
    return new_codes.take(codes)


def _check_range(codes: NDArray[Any], count: int, what: str) -> None:
    outside = (codes < 0) | (codes >= count)
    if outside.any():
        at = int(outside.argmax())
        raise ValueError(
            f"{what}: {codes[at]} at position {at} is out of range; it must be in 0 .. {count - 1}"
        )


def _as_it_lies(
    offsets: NDArray[np.int64],
    items: CodeArray,
    values: ValueArray,
    weights: ValueArray | None,
    n_items: int,
) -> NativeRatings | None:
    """Return ratings that share these arrays, or None if their rows must be sorted first."""
    try:
        native = native_of(n_items, offsets, items, values, weights)
    except ValueError:
        _check_range(items, n_items, "items")
        if _rows_ascend(offsets, items):
            raise
        return None
    return native


def _rows_ascend(offsets: NDArray[np.int64], items: CodeArray) -> bool:
    not_ascending = items[1:] <= items[:-1]
    starts = offsets[1:-1]
    not_ascending[starts[(starts > 0) & (starts < len(items))] - 1] = False
    return not not_ascending.any()


def _cut_slack(
    offsets: NDArray[Any], items: NDArray[Any], values: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """SciPy allows room after the last entry; leave it out (a view)."""
    if len(items) != len(values) or len(offsets) == 0 or not 0 <= offsets[-1] <= len(items):
        return items, values  # malformed, or nothing to cut: the checks decide
    return items[: offsets[-1]], values[: offsets[-1]]


def _check_blocks(matrix: Any) -> None:
    """Check a BSR matrix before SciPy reads it: out-of-range blocks would crash the conversion."""
    if matrix.format == "bsr":
        height, width = matrix.blocksize
        _check_offset_count(matrix.indptr, matrix.shape[0] // height, "block rows")
        indices, _ = _cut_slack(matrix.indptr, matrix.indices, matrix.data)
        _check_offsets(matrix.indptr, len(indices), "block rows")
        _check_range(indices, matrix.shape[1] // width, "block columns")


def _entry(offsets: NDArray[np.int64], items: CodeArray, at: int) -> str:
    row = int(np.searchsorted(offsets, at, side="right")) - 1
    return f"position {at} (row {row}, column {items[at]})"


def _layout(array: NDArray[Any]) -> str:
    return str(array.dtype) if array.flags.c_contiguous else f"{array.dtype}, not contiguous"


def _warn_about_copies(copies: list[str]) -> None:
    if copies:
        warn_user(
            f"the matrix could not be read where it lies; copied were {', '.join(copies)}. Results "
            "are the same; only time and memory are spent",
            CopyWarning,
        )
