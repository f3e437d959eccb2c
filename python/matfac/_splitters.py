"""How ratings are divided into training and test parts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matfac import _selecting
from matfac._coerce import as_ratings, flag, generator_from, integer, number
from matfac._params import Parameters
from matfac._ratings import Ratings

#: Which of the ratings, in CSR order.
Mask: TypeAlias = NDArray[np.bool_]
RandomState: TypeAlias = "int | np.random.Generator | None"

_SORTED_AT_ONCE = 1 << 15


class Splitter(Parameters):
    """What the splitters have in common: `split` and `get_n_splits`.

    Parts keep the shape and the ids of the whole, so that a model fitted on one knows the users and
    items of the other.
    """

    n_splits: int

    def split(self, ratings: object) -> Iterator[tuple[Ratings, Ratings]]:
        """Yield (train, test) pairs.

        Parameters
        ----------
        ratings : Ratings, SciPy sparse matrix or data frame

        Raises
        ------
        ValueError
            Before the first pair: parameters out of range, too few ratings, no time stamps where
            they are needed.
        """
        whole = as_ratings(ratings)
        masks = self.masks(whole)
        return ((whole.select(train), whole.select(test)) for train, test in masks)

    def masks(self, ratings: Ratings) -> Iterator[tuple[Mask, Mask]]:
        """Yield which ratings are in the training and which in the test part, in CSR order."""
        raise NotImplementedError

    def get_n_splits(self, ratings: object = None) -> int:  # noqa: ARG002
        """Return the number of pairs that `split` yields, whatever the ratings."""
        return integer("n_splits", self.n_splits, least=1)


class KFold(Splitter):
    """Cut the ratings into ``n_splits`` parts; each is the test part once, the others train.

    Parameters
    ----------
    n_splits : int
        At least 2.
    shuffle : bool
        True: parts are drawn at random, every division equally likely. False: ratings are dealt out
        in turn, in CSR order, so that each part has its share of every user (consecutive ratings,
        as scikit-learn takes them, would be whole users, of whom nothing is learnt).
    random_state : int, numpy.random.Generator or None
        Of the shuffle. None: another one each time.
    """

    def __init__(
        self, n_splits: int = 5, *, shuffle: bool = True, random_state: RandomState = 0
    ) -> None:
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def masks(self, ratings: Ratings) -> Iterator[tuple[Mask, Mask]]:
        """Yield which ratings are in the training and which in the test part, in CSR order."""
        n_splits = integer("n_splits", self.n_splits, least=2)
        if n_splits > ratings.nnz:
            raise ValueError(
                f"n_splits={n_splits}: there are only {ratings.nnz} ratings; every part needs one"
            )
        parts = np.arange(ratings.nnz) % n_splits
        if flag("shuffle", self.shuffle):
            generator_from(self.random_state).shuffle(parts)
        return ((parts != part, parts == part) for part in range(n_splits))


class ShuffleSplit(Splitter):
    """Draw a test part at random, ``n_splits`` times, each time from all ratings.

    Parameters
    ----------
    n_splits : int
    test_fraction : float
        As in `Ratings.split`, whose random split this repeats.
    random_state : int, numpy.random.Generator or None
        None: another one each time.
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        test_fraction: float = 0.2,
        random_state: RandomState = 0,
    ) -> None:
        self.n_splits = n_splits
        self.test_fraction = test_fraction
        self.random_state = random_state

    def masks(self, ratings: Ratings) -> Iterator[tuple[Mask, Mask]]:
        """Yield which ratings are in the training and which in the test part, in CSR order."""
        n_splits = self.get_n_splits()
        n_test = _selecting.n_test_ratings(ratings.nnz, self.test_fraction)
        generator = generator_from(self.random_state)
        drawn = (_selecting.random_mask(ratings.nnz, n_test, generator) for _ in range(n_splits))
        return ((~test, test) for test in drawn)


class UserSplit(Splitter):
    """Hold out some ratings of each user.

    Every user keeps at least one rating in the training part. Those who have too few to give any
    stay there altogether.

    Parameters
    ----------
    test_fraction : float
        Of each user's n ratings ``round(test_fraction * n)`` are held out, but never all.
    n_test : int or None
        Instead of a fraction: that many of each user; users with no more than these give none.
    by : {"random", "time"}
        ``"random"`` draws them; ``"time"`` takes the user's latest, which needs time stamps (among
        equal times those that come later in CSR order).
    n_splits : int
        How often to draw; one where they are the latest.
    random_state : int, numpy.random.Generator or None
        None: another one each time.
    """

    def __init__(
        self,
        test_fraction: float = 0.2,
        *,
        n_test: int | None = None,
        by: Literal["random", "time"] = "random",
        n_splits: int = 1,
        random_state: RandomState = 0,
    ) -> None:
        self.test_fraction = test_fraction
        self.n_test = n_test
        self.by = by
        self.n_splits = n_splits
        self.random_state = random_state

    def masks(self, ratings: Ratings) -> Iterator[tuple[Mask, Mask]]:
        """Yield which ratings are in the training and which in the test part, in CSR order."""
        keys = _keys(ratings, self.by, self.get_n_splits(), self.random_state)
        return _masks_by_user(ratings, keys, self._held_out(ratings))

    def _held_out(self, ratings: Ratings) -> NDArray[np.int64]:
        """Return how many ratings each user gives."""
        counts = np.diff(ratings.offsets)
        if self.n_test is not None:
            n_test = integer("n_test", self.n_test, least=1)
            held_out = np.where(counts > n_test, n_test, 0)
            remedy = f"n_test={n_test}: no user has more than {n_test} ratings; hold out fewer"
        else:
            fraction = number("test_fraction", self.test_fraction)
            if not 0 < fraction < 1:
                raise ValueError(f"test_fraction={fraction}: must lie strictly between 0 and 1")
            held_out = np.minimum(np.rint(fraction * counts).astype(np.int64), counts - 1)
            held_out = np.maximum(held_out, 0)
            remedy = (
                f"test_fraction={fraction}: no user has enough ratings to give one; hold out more, "
                "or pass n_test"
            )
        if not held_out.any():
            raise ValueError(remedy)
        return held_out


class LeaveOneOut(Splitter):
    """Hold out one rating of each user who has at least two.

    Users with a single rating stay in the training part.

    Parameters
    ----------
    by : {"random", "time"}
        Which one: any, or the user's latest, which needs time stamps.
    n_splits : int
        How often to draw; one where it is the latest.
    random_state : int, numpy.random.Generator or None
        None: another one each time.
    """

    def __init__(
        self,
        by: Literal["random", "time"] = "random",
        *,
        n_splits: int = 1,
        random_state: RandomState = 0,
    ) -> None:
        self.by = by
        self.n_splits = n_splits
        self.random_state = random_state

    def masks(self, ratings: Ratings) -> Iterator[tuple[Mask, Mask]]:
        """Yield which ratings are in the training and which in the test part, in CSR order."""
        keys = _keys(ratings, self.by, self.get_n_splits(), self.random_state)
        held_out = (np.diff(ratings.offsets) >= 2).astype(np.int64)
        if not held_out.any():
            raise ValueError(
                "no user has two ratings, and the only one of a user cannot be left out: split the "
                "ratings with KFold or ShuffleSplit"
            )
        return _masks_by_user(ratings, keys, held_out)


class TimeSplit(Splitter):
    """Train on the past, test on what comes next.

    The latest ``n_splits * test_fraction`` of all ratings are cut into ``n_splits`` test parts of
    consecutive times; each is tested after training on all that comes before it, so that the
    training part grows. With one split it is ``Ratings.split(test_fraction, by="time")``.

    Parameters
    ----------
    n_splits : int
    test_fraction : float
        Of all ratings, the size of a test part. ``n_splits * test_fraction`` must be less than 1.

    Notes
    -----
    Equal times are ordered as in CSR order, so that a cut may lie between them.
    """

    def __init__(self, n_splits: int = 1, *, test_fraction: float = 0.2) -> None:
        self.n_splits = n_splits
        self.test_fraction = test_fraction

    def masks(self, ratings: Ratings) -> Iterator[tuple[Mask, Mask]]:
        """Yield which ratings are in the training and which in the test part, in CSR order."""
        n_splits, times = self.get_n_splits(), _times(ratings)
        n_test = _selecting.n_test_ratings(ratings.nnz, self.test_fraction)
        first = ratings.nnz - n_splits * n_test
        if first < 1:
            raise ValueError(
                f"n_splits={n_splits} test parts of test_fraction={self.test_fraction} leave "
                "nothing to train the first on; take fewer or smaller ones"
            )
        place = np.empty(ratings.nnz, np.int64)
        place[np.argsort(times, kind="stable")] = np.arange(ratings.nnz)
        begins = range(first, ratings.nnz, n_test)
        return ((place < at, (place >= at) & (place < at + n_test)) for at in begins)


def _times(ratings: Ratings) -> NDArray[Any]:
    if ratings.timestamps is None:
        raise ValueError(
            "these ratings have no timestamps; pass them when the ratings are built, or split at "
            "random"
        )
    return ratings.timestamps


def _keys(
    ratings: Ratings, by: str, n_splits: int, random_state: RandomState
) -> Iterator[NDArray[Any]]:
    """Yield what orders the ratings of a user, of whom the last ones are held out."""
    if by == "time":
        times = _times(ratings)
        if n_splits != 1:
            raise ValueError(
                f"n_splits={n_splits}: by='time' the held-out ratings are the same each time; "
                "n_splits must be 1"
            )
        return iter([times])
    if by != "random":
        raise ValueError(f"by={by!r} is unknown; choose 'random' or 'time'")
    generator = generator_from(random_state)
    return (generator.random(ratings.nnz) for _ in range(n_splits))


def _masks_by_user(
    ratings: Ratings, keys: Iterator[NDArray[Any]], held_out: NDArray[np.int64]
) -> Iterator[tuple[Mask, Mask]]:
    """Yield masks that hold out so many ratings of each user."""
    tests = (_last_of_each_user(ratings, key, held_out) for key in keys)
    return ((~test, test) for test in tests)


def _last_of_each_user(ratings: Ratings, keys: NDArray[Any], n_last: NDArray[np.int64]) -> Mask:
    """Choose each user's last ratings in the order of ``keys``, and then of CSR."""
    offsets = ratings.offsets
    mask = np.zeros(ratings.nnz, np.bool_)
    # Some users at a time: what is sorted then lies in the processor's cache.
    cuts = np.searchsorted(offsets, np.arange(0, ratings.nnz, _SORTED_AT_ONCE))
    for begin, end in pairwise(np.unique(np.append(cuts, ratings.n_users))):
        first, last = offsets[begin], offsets[end]
        counts = np.diff(offsets[begin : end + 1])
        order = np.lexsort((keys[first:last], np.repeat(np.arange(end - begin), counts)))
        # In this order every user's ratings stand where they do in CSR order.
        rest = np.repeat(offsets[begin + 1 : end + 1] - n_last[begin:end], counts)
        mask[first + order[np.arange(first, last) >= rest]] = True
    return mask
