"""Parts of ratings: splits, selections, and the same ratings in another numbering."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from matfac._coerce import generator_from
from matfac._ids import CodeArray
from matfac._triplets import NativeRatings

Positions = NDArray[np.int64]


def take(native: NativeRatings, positions: Positions) -> NativeRatings:
    """Return the ratings at ascending positions, in the same shape."""
    offsets = np.searchsorted(positions, native.offsets).astype(np.int64, copy=False)
    return _of(native, native.n_items, offsets, native.items[positions], positions)


def _of(
    native: NativeRatings,
    n_items: int,
    offsets: NDArray[np.int64],
    items: CodeArray,
    positions: Positions,
) -> NativeRatings:
    """Return rows of these items with the values and weights from ``positions``."""
    kind: Any = type(native)
    weights = None if native.weights is None else native.weights[positions]
    rows: NativeRatings = kind(n_items, offsets, items, native.values[positions], weights)
    return rows


def random_mask(
    nnz: int, n_chosen: int, random_state: int | np.random.Generator | None
) -> NDArray[np.bool_]:
    """Choose ``n_chosen`` of ``nnz`` ratings, each set of them equally likely."""
    generator = generator_from(random_state)
    mask = np.zeros(nnz, np.bool_)
    mask[generator.choice(nnz, n_chosen, replace=False, shuffle=False)] = True
    return mask


def latest_mask(times: NDArray[Any], n_chosen: int) -> NDArray[np.bool_]:
    """Choose the ``n_chosen`` latest ratings; among equal times the later ones in CSR order."""
    mask = np.zeros(len(times), np.bool_)
    mask[np.argsort(times, kind="stable")[len(times) - n_chosen :]] = True
    return mask


def n_test_ratings(nnz: int, test_fraction: float) -> int:
    """Return ``round(test_fraction * nnz)``, refusing a fraction that leaves a part empty."""
    if isinstance(test_fraction, bool) or not isinstance(test_fraction, float | int | np.number):
        raise TypeError(f"test_fraction={test_fraction!r}: expected a number between 0 and 1")
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction={test_fraction!r}: must lie strictly between 0 and 1")
    n_test = round(float(test_fraction) * nnz)
    if not 0 < n_test < nnz:
        empty = "test" if n_test == 0 else "training"
        raise ValueError(
            f"test_fraction={test_fraction!r} of {nnz:,} ratings leaves the {empty} part empty; "
            "choose another fraction or bring more ratings"
        )
    return n_test


def recode(
    native: NativeRatings,
    new_user_codes: CodeArray,
    new_item_codes: CodeArray,
    n_users: int,
    n_items: int,
) -> tuple[NativeRatings, Positions]:
    """Return the ratings under new codes (-1: leave out) and the positions of those that are kept.

    Both numberings ascend with the raw ids, so that the order of the ratings stays as it is and
    nothing needs sorting. O(nnz).
    """
    per_user = np.diff(native.offsets)
    known = np.repeat(new_user_codes >= 0, per_user)
    items = new_item_codes[native.items]
    known &= items >= 0
    positions = np.flatnonzero(known)
    ends = np.searchsorted(positions, native.offsets)
    counts = np.zeros(n_users + 1, np.int64)
    counts[1:][new_user_codes[new_user_codes >= 0]] = np.diff(ends)[new_user_codes >= 0]
    return _of(native, n_items, np.cumsum(counts), items[positions], positions), positions
