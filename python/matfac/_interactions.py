"""What people hold as interactions, brought to `Ratings` of positive strengths."""

from __future__ import annotations

import numpy as np

from matfac._coerce import as_ratings
from matfac._ratings import Ratings
from matfac._warnings import warn_user


def as_interactions(data: object, what: str = "interactions") -> Ratings:
    """Return who has chosen what, and how much.

    A data frame of two columns is users and items. Zeros are left out, with a warning: of somebody
    who has done a thing no time nothing is known. Negative strengths are a ValueError.
    """
    given = _two_columns(data)
    interactions = as_ratings(data, what) if given is None else given
    values = interactions.values
    if not len(values) or values.min() > 0:
        return interactions
    at = int(values.argmin())
    if values[at] < 0:
        users, items, _ = interactions.to_arrays()
        raise ValueError(
            f"{what}: the strength {values[at]:g} of user {users[at].item()!r} and item "
            f"{items[at].item()!r} is negative; a strength is how much a user has chosen an item, "
            "above 0: leave out what was not chosen, or fit ratings with MatrixFactorization"
        )
    positive = values > 0
    if not positive.any():
        raise ValueError(f"{what}: all {len(values):,} strengths are 0; at least one must be above")
    n_zeros = len(values) - int(np.count_nonzero(positive))
    warn_user(
        f"{n_zeros:,} of {len(values):,} {what} have the strength 0 and were left out, as not "
        "chosen; drop them from the data to be rid of this warning",
        UserWarning,
    )
    return interactions.select(positive)


def _two_columns(data: object) -> Ratings | None:
    """Return a data frame of users and items as ratings of 1."""
    if not (hasattr(data, "__dataframe__") or hasattr(data, "__arrow_c_stream__")):
        return None
    import narwhals as nw

    frame = nw.from_native(data, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame) or len(frame.columns) != 2:
        return None
    return Ratings.from_frame(data, rating=False)
