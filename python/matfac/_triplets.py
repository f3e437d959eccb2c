"""From (user, item, value) triplets to the core's compressed rows."""

from __future__ import annotations

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


def check_duplicates_policy(duplicates: str | None) -> None:
    """Refuse an unknown policy, listing the known ones; None is the default."""
    if duplicates is not None and duplicates not in DUPLICATES:
        raise ValueError(
            f"duplicates={duplicates!r} is unknown; choose one of "
            f"{', '.join(map(repr, DUPLICATES))}"
        )


def compress(triplets: Triplets, duplicates: str | None) -> tuple[NativeRatings, TimeArray | None]:
    """Sort the triplets by user and item and settle duplicates.

    ``duplicates=None`` keeps the last of each pair and warns. Returns the ratings and the time
    stamps in their order.
    """
    check_duplicates_policy(duplicates)
    # Duplicates that are an error are found after the fact, so that the message can hold raw ids.
    policy = "last" if duplicates in (None, "error") else duplicates
    native, n_duplicates = _native(triplets, triplets.values, policy)
    if n_duplicates and duplicates in (None, "error"):
        _report(triplets, native, n_duplicates, duplicates)
    if triplets.times is None:
        return native, None
    kept = _positions_kept(triplets, policy, n_duplicates)
    return native, triplets.times[kept]


def _native(
    triplets: Triplets, values: NDArray[Any], policy: str | None
) -> tuple[NativeRatings, int]:
    n_users, n_items = len(triplets.user_ids), len(triplets.item_ids)
    users, items = np.ascontiguousarray(triplets.users), np.ascontiguousarray(triplets.items)
    native, count = _core.ratings_from_triplets(users, items, values, n_users, n_items, str(policy))
    return native, int(count)


def _positions_kept(triplets: Triplets, policy: str | None, n_duplicates: int) -> NDArray[np.int64]:
    """Return, for each rating kept, the position of the triplet whose time it takes.

    The positions go through the same machinery as if they were values (exact in float64). A mean or
    sum takes the latest time of its pair: the last one when the triplets come in the order of time.
    """
    assert triplets.times is not None
    if n_duplicates and policy in ("mean", "sum"):
        order = np.argsort(triplets.times, kind="stable")
        moved = Triplets(
            triplets.user_ids,
            triplets.item_ids,
            triplets.users[order],
            triplets.items[order],
            triplets.values,
        )
        native, _ = _native(moved, order.astype(np.float64), "last")
    else:
        positions = np.arange(len(triplets.times), dtype=np.float64)
        native, _ = _native(triplets, positions, policy)
    return native.values.astype(np.int64)


def _report(
    triplets: Triplets, native: NativeRatings, n_duplicates: int, duplicates: str | None
) -> None:
    first, second = _first_duplicate(triplets, native)
    user = triplets.user_ids[triplets.users[first]].item()
    item = triplets.item_ids[triplets.items[first]].item()
    pair = (
        f"user {user!r} rated item {item!r} at position {first} ({triplets.values[first]:g}) and "
        f"again at position {second} ({triplets.values[second]:g})"
    )
    choices = "duplicates='first', 'last', 'mean' or 'sum'"
    if duplicates == "error":
        raise ValueError(
            f"{n_duplicates:,} ratings repeat a (user, item) pair: {pair}; drop them, or choose "
            f"{choices}"
        )
    warn_user(
        f"{n_duplicates:,} ratings repeat a (user, item) pair and the last of each was kept: "
        f"{pair}; say what you want with {choices} or 'error'",
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
