"""Data to try things on: generated, nothing is downloaded."""

from __future__ import annotations

import numpy as np

from matfac._ratings import Ratings
from matfac._synthetic import synthetic_ratings

__all__ = ["make_ratings"]


def make_ratings(
    n_users: int,
    n_items: int,
    n_ratings: int,
    *,
    random_state: int | np.random.Generator | None = None,
) -> Ratings:
    """Generate realistic ratings, shaped after MovieLens.

    Items have a Zipf-Mandelbrot popularity and users a shifted log-normal activity. Each user rates
    distinct items, drawn by popularity and, weakly, by taste. A rating is mean + user bias + item
    bias + tastes · traits + noise, rounded to half stars from 0.5 to 5; tastes and traits have 32
    dimensions with a decaying spectrum. At the density of MovieLens 20M a good model reaches a test
    RMSE near 0.80, and predicting the mean gives about 1.05.

    Parameters
    ----------
    n_users, n_items : int
        Shape of the matrix, each at least 1. Raw ids are 0, 1, 2, ...
    n_ratings : int
        Number of ratings, all of distinct pairs; from 1 to ``n_users * n_items``. Some items may end
        up without any.
    random_state : int, numpy.random.Generator or None
        The same integer gives the same ratings.

    Returns
    -------
    Ratings

    Raises
    ------
    ValueError
        A size out of range, in particular ``n_ratings > n_users * n_items``.

    Notes
    -----
    Time and memory are proportional to ``n_ratings``; 20 million take some 15 seconds.
    """
    users, items, values = synthetic_ratings(
        n_users, n_items, n_ratings, random_state=random_state
    )
    offsets = np.zeros(n_users + 1, np.int64)
    np.cumsum(np.bincount(users, minlength=n_users), out=offsets[1:])
    return Ratings.from_csr_arrays(offsets, items, values, n_items)
