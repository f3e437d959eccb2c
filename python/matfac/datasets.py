"""Data to try things on: generated, nothing is downloaded."""

from __future__ import annotations

import numpy as np

from matfac._coerce import generator_from, integer
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
    dimensions with a decaying spectrum. Popular items are liked a little better. At the density of
    MovieLens 20M a good model reaches a test RMSE near 0.80, and predicting the mean gives about
    1.05.

    Parameters
    ----------
    n_users, n_items : int
        Shape of the matrix, each at least 1. Raw ids are 0, 1, 2, ...
    n_ratings : int
        Number of ratings, all of distinct pairs; from 1 to ``n_users * n_items``. Some items (and,
        where there are fewer ratings than users, some users) may end up without any.
    random_state : int, numpy.random.Generator or None
        The same integer gives the same ratings; None gives different ones each time.

    Returns
    -------
    Ratings
        float32.

    Raises
    ------
    ValueError
        A size out of range, in particular ``n_ratings > n_users * n_items``.
    TypeError
        A size that is no integer.

    Notes
    -----
    Time and memory are proportional to ``n_ratings``; 20 million take some 15 seconds.
    """
    n_users = integer("n_users", n_users, least=1)
    n_items = integer("n_items", n_items, least=1)
    n_ratings = integer("n_ratings", n_ratings, least=1, below=2**63)
    if n_ratings > n_users * n_items:
        raise ValueError(
            f"n_ratings={n_ratings:,}: {n_users:,} users and {n_items:,} items make only "
            f"{n_users * n_items:,} pairs, and each is rated at most once; lower n_ratings, or "
            "raise n_users or n_items"
        )
    rng = generator_from(random_state)
    return Ratings.from_csr_arrays(*synthetic_ratings(n_users, n_items, n_ratings, rng), n_items)
