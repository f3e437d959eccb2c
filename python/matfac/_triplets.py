"""From (user, item, value) triplets to the core's compressed rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matfac import _core
from matfac._ids import CodeArray, IdArray
from matfac._values import TimeArray, ValueArray
from matfac._warnings import DuplicateRatingsWarning, warn_user

NativeRatings: TypeAlias = "_core.RatingsF32 | _core.RatingsF64"

#: What may become of a (user, item) pair that occurs more than once.
DUPLICATES = ("error", "first", "last", "mean", "sum")


@dataclass
class Triplets:
    """Ratings in any order, already numbered; all arrays have one entry per rating."""

    user_ids: IdArray  # unique, ascending
    item_ids: IdArray
    users: CodeArray
    items: CodeArray
    values: ValueArray
    times: TimeArray | None = None
    weights: ValueArray | None = None  # of the values' dtype
    place: Callable[[int], str] = "position {}".format  # of a triplet, for messages


def check_duplicates_policy(duplicates: str | None) -> None:
    """Refuse an unknown policy, listing the known ones; None is the default."""
    if duplicates is not None and duplicates not in DUPLICATES:
        raise ValueError(
            f"duplicates={duplicates!r} is unknown; choose one of "
            f"{', '.join(map(repr, DUPLICATES))}"
        )


def native_of(
    n_items: int,
    offsets: NDArray[np.int64],
    items: CodeArray,
    values: ValueArray,
    weights: ValueArray | None = None,
) -> NativeRatings:
    """Return the core's ratings that share these arrays; it validates them."""
    kind: Any = _core.RatingsF32 if values.dtype == np.float32 else _core.RatingsF64
    native: NativeRatings = kind(n_items, offsets, items, values, weights)
    return native


def compress(triplets: Triplets, duplicates: str | None) -> tuple[NativeRatings, TimeArray | None]:
    """Sort the triplets by user and item and settle duplicates.

    ``duplicates=None`` keeps the last of each pair and warns. Returns the ratings and the time
    stamps in their order.
    """
    check_duplicates_policy(duplicates)
    # Duplicates that are an error are found after the fact, so that the message can hold raw ids.
    policy = duplicates if duplicates not in (None, "error") else "last"
    native, n_duplicates = _native(triplets, triplets.values, policy)
    if n_duplicates and duplicates in (None, "error"):
        _report(triplets, native, n_duplicates, duplicates)
    if triplets.weights is not None:
        native = _weighted(triplets, native, triplets.weights, policy, n_duplicates)
    if triplets.times is None:
        return native, None
    order = triplets.times if n_duplicates and policy in ("mean", "sum") else None
    return native, triplets.times[_positions_kept(triplets, policy, order)]


def _weighted(
    triplets: Triplets,
    native: NativeRatings,
    weights: ValueArray,
    policy: str,
    n_duplicates: int,
) -> NativeRatings:
    """Return the ratings with their weights; a mean is anew, since it is weighted."""
    values, dtype = native.values, native.values.dtype
    if n_duplicates and policy == "mean":
        # Σ q (r - r̂)² over a pair's ratings is Σ q (r̄ - r̂)² and a constant, r̄ = Σ q r / Σ q.
        exact = weights.astype(np.float64)
        count, total, weighted = (
            _native(triplets, terms, "sum")[0].values
            for terms in (np.ones_like(exact), exact, exact * triplets.values)
        )
        chosen = (count > 1) & (total > 0)
        mean = weighted / np.where(chosen, total, 1)
        values = np.where(chosen, mean, values).astype(dtype)
        with np.errstate(over="ignore"):
            kept = total.astype(dtype)
        if not np.isfinite(kept).all():
            raise ValueError("weights: their sum for a pair is too large; pass dtype='float64'")
    else:
        if n_duplicates and policy == "sum":
            _refuse_unequal_weights(triplets, weights)
        kept = weights[_positions_kept(triplets, "last" if policy == "sum" else policy)]
    return native_of(native.n_items, native.offsets, native.items, values, kept)


def _refuse_unequal_weights(triplets: Triplets, weights: ValueArray) -> None:
    ends = [weights[_positions_kept(triplets, "last", order)] for order in (weights, -weights)]
    unequal = ends[0] != ends[1]
    if unequal.any():
        at = int(unequal.argmax())
        native, _ = _native(triplets, triplets.values, "last")
        row = int(np.searchsorted(native.offsets, at, side="right")) - 1
        raise ValueError(
            f"weights: user {triplets.user_ids[row].item()!r} rated item "
            f"{triplets.item_ids[native.items[at]].item()!r} with the weights {ends[1][at]:g} and "
            f"{ends[0][at]:g}; duplicates='sum' needs equal weights of a pair, 'mean' does not"
        )


def _native(triplets: Triplets, values: NDArray[Any], policy: str) -> tuple[NativeRatings, int]:
    n_users, n_items = len(triplets.user_ids), len(triplets.item_ids)
    users, items = np.ascontiguousarray(triplets.users), np.ascontiguousarray(triplets.items)
    native, count = _core.ratings_from_triplets(users, items, values, n_users, n_items, policy)
    return native, int(count)


def _positions_kept(
    triplets: Triplets, policy: str, order_by: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """Return, for each rating kept, the position of the triplet whose time or weight it takes.

    The positions go through the same machinery as if they were values (exact in float64). With
    ``order_by`` it is the triplet of each pair where that is largest, the last of equals: the last
    one when the triplets come in its order.
    """
    if order_by is not None:
        order = np.argsort(order_by, kind="stable")
        moved = Triplets(
            triplets.user_ids,
            triplets.item_ids,
            triplets.users[order],
            triplets.items[order],
            triplets.values,
        )
        native, _ = _native(moved, order.astype(np.float64), "last")
    else:
        positions = np.arange(len(triplets.users), dtype=np.float64)
        native, _ = _native(triplets, positions, policy)
    return native.values.astype(np.int64)


def _report(
    triplets: Triplets, native: NativeRatings, n_duplicates: int, duplicates: str | None
) -> None:
    first, second = _first_duplicate(triplets, native)
    user = triplets.user_ids[triplets.users[first]].item()
    item = triplets.item_ids[triplets.items[first]].item()
    pair = (
        f"user {user!r} rated item {item!r} at {triplets.place(first)} "
        f"({triplets.values[first]:g}) and again at {triplets.place(second)} "
        f"({triplets.values[second]:g})"
    )
    repeat = f"{n_duplicates:,} {'rating repeats' if n_duplicates == 1 else 'ratings repeat'}"
    choices = "duplicates='last' (or 'first', 'mean', 'sum'"
    if duplicates == "error":
        raise ValueError(f"{repeat} a (user, item) pair: {pair}; drop them, or choose {choices})")
    warn_user(
        f"{repeat} a (user, item) pair and the last of each was kept: "
        f"{pair}; say what you want with {choices}, 'error')",
        DuplicateRatingsWarning,
    )


def _first_duplicate(triplets: Triplets, native: NativeRatings) -> tuple[int, int]:
    """Return two positions of one pair: of the first user who repeats, the lowest such item."""
    given = np.bincount(triplets.users, minlength=len(triplets.user_ids))
    user = int(np.flatnonzero(given != np.diff(native.offsets))[0])
    positions = np.flatnonzero(triplets.users == user)
    order = np.argsort(triplets.items[positions], kind="stable")
    items = triplets.items[positions][order]
    at = int(np.flatnonzero(items[1:] == items[:-1])[0])
    return int(positions[order[at]]), int(positions[order[at + 1]])
