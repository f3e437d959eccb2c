"""How good a model ranks, over all users of a test set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matfac import _core, _rankings
from matfac._coerce import as_ratings, flag, integer, number
from matfac._filters import Pattern
from matfac._ids import CodeArray
from matfac._model import FactorModel
from matfac._rankings import LIST_MEASURES
from matfac._ratings import Ratings
from matfac._warnings import warn_user

#: Measures of what is recommended to all together.
CATALOGUE_MEASURES = ("coverage", "popularity", "novelty")
#: All that `evaluate_ranking` can measure; what is measured by default is all but "auc", which asks
#: for another pass over all scores.
MEASURES = (*LIST_MEASURES, *CATALOGUE_MEASURES, "auc")

#: Products of factors in a call of the core: Ctrl-C takes effect between calls.
_PRODUCTS_AT_ONCE = 2**35
_USERS_AT_ONCE = 4096


def evaluate_ranking(
    model: Any,
    test: object,
    n: int = 10,
    *,
    measures: str | Sequence[str] | None = None,
    train: object | None = None,
    exclude_seen: bool = True,
    min_rating: float | None = None,
    n_threads: int | None = None,
) -> dict[str, float]:
    """Recommend n items to every user of ``test``, and return how good the lists are.

    What can be recommended to a user is every item that the model knows and the user has not seen;
    what of it ``test`` has ratings of is relevant. Users without a relevant item are left out.

    Parameters
    ----------
    model : fitted estimator
        One of this package, or the best of a search; or any object with ``recommend(users, n=...,
        exclude_seen=...)`` that returns raw item ids, one row a user (or ids and scores), see the
        notes.
    test : Ratings, SciPy sparse matrix or data frame
        Held-out ratings, by raw ids. Those of users or items that the model does not know are left
        out, with a warning.
    n : int
        The length of the lists. It may exceed the number of items.
    measures : str or sequence of str, optional
        ``"precision"``, ``"recall"``, ``"hit_rate"``, ``"reciprocal_rank"`` (its mean is MRR),
        ``"average_precision"`` (MAP), ``"ndcg"``: as the functions `precision_at` and so on.
        ``"coverage"``, ``"popularity"``, ``"novelty"``: as the functions of these names, over the
        lists of all these users. ``"auc"``: see `auc`; n does not matter. None: all but ``"auc"``.
    train : Ratings, SciPy sparse matrix or data frame, optional
        What the users have seen and how popular the items are. None: what the model was fitted on.
    exclude_seen : bool
        Do not recommend what the user has seen.
    min_rating : float, optional
        Only ratings of at least this much are relevant; None: all that ``test`` has.
    n_threads : int, optional
        0: all; None: the model's. The result does not depend on it, bit for bit.

    Returns
    -------
    dict of float
        By the names of the measures, in the order in which they were asked for.

    Raises
    ------
    ValueError
        No relevant item at all, unknown measures, factors that are not finite, a model that was
        saved without what its users have seen (pass ``train``).
    TypeError
        Strings where the ids are integers, or the reverse.

    Notes
    -----
    The time is that of `recommend` for these users, 2F flop a user and item, and the same again for
    ``"auc"``; the memory some megabytes beyond the ratings, and 48 bytes a user.

    Of a model that is not of this package only the lists are seen: its ``recommend`` has to leave
    out what was seen, the catalogue are the items of ``train``, or else of ``test``, ``popularity``
    and ``novelty`` need ``train``, and ``auc`` cannot be measured.
    """
    model = getattr(model, "best_estimator_", model)  # of a search
    names = checked_measures(measures)
    n, exclude_seen = integer("n", n, least=1), flag("exclude_seen", exclude_seen)
    convert = model._as_ratings if isinstance(model, FactorModel) else as_ratings
    held_out = _relevant(convert(test, "test"), min_rating)
    seen_ratings = None if train is None else convert(train, "train")
    kind = _Native if isinstance(model, FactorModel) else _Listed
    task: _Native | _Listed = kind(model, held_out, seen_ratings, exclude_seen, n_threads)
    values: dict[str, float] = {}
    if set(names) - {"auc"}:
        values |= _of_lists(task, n, set(names))
    if "auc" in names:
        values["auc"] = task.auc()
    return {name: values[name] for name in names}


def auc(
    model: FactorModel,
    test: object,
    *,
    train: object | None = None,
    exclude_seen: bool = True,
    min_rating: float | None = None,
    n_threads: int | None = None,
) -> float:
    """Return the area under the ROC curve of a model's ranking of all items, the mean over users.

    For one user it is the share of the pairs of a relevant and another item in which the relevant
    one has the higher estimate::

        1/(P Q) Σ_{i relevant} Σ_{j other} ([r̂_i > r̂_j] + ½ [r̂_i = r̂_j])

    with P relevant and Q other items, neither of them seen in training. It is exact: no item is
    sampled. ½ is what chance gives. Users without a relevant item or without another are left out.

    Parameters are those of `evaluate_ranking`; the model must be one of this package.

    Notes
    -----
    2F flop a user and item, and O(log P) for each item that is estimated no lower than the user's
    lowest relevant one.

    References
    ----------
    S. Rendle et al. (2009): BPR: Bayesian personalized ranking from implicit feedback. UAI.
    """
    return evaluate_ranking(
        model,
        test,
        measures="auc",
        train=train,
        exclude_seen=exclude_seen,
        min_rating=min_rating,
        n_threads=n_threads,
    )["auc"]


def checked_measures(measures: str | Sequence[str] | None) -> list[str]:
    """Return the names of measures, refusing the unknown ones."""
    if measures is None:
        return [name for name in MEASURES if name != "auc"]
    names = [measures] if isinstance(measures, str) else list(measures)
    if not names:
        raise ValueError("measures: none is named; pass None for all")
    for name in names:
        if name not in MEASURES:
            raise ValueError(
                f"unknown measure {name!r}: choose from {', '.join(MEASURES)} (MAP is "
                "average_precision, MRR is reciprocal_rank)"
            )
    return names


def _relevant(test: Ratings, min_rating: float | None) -> Ratings:
    if min_rating is None:
        return test
    enough = test.values >= number("min_rating", min_rating)
    if not enough.any():
        raise ValueError(
            f"min_rating={min_rating}: no rating of test is that high (the highest is "
            f"{test.values.max(initial=-np.inf)})"
        )
    return test.select(enough)


@dataclass
class _Lists:
    """What is known of all lists together."""

    measures: NDArray[np.float64]  # (users, measures)
    recommended: NDArray[np.int64]  # how often, by item


def _of_lists(task: _Native | _Listed, n: int, names: set[str]) -> dict[str, float]:
    rated = task.rated() if names & {"popularity", "novelty"} else None
    lists = task.lists(n)
    means = _core.mean_measures(lists.measures, 0)
    if np.isnan(means[0]):
        raise ValueError(
            "test: no user has a relevant item that was not seen in training; there is nothing to "
            "measure (exclude_seen=False ranks what was seen too)"
        )
    values = dict(zip(LIST_MEASURES, means, strict=True))
    values["coverage"] = _rankings.coverage(lists.recommended)
    if rated is not None:
        values["popularity"] = _rankings.popularity(lists.recommended, *rated)
        values["novelty"] = _rankings.novelty(lists.recommended, *rated)
    return values


def _users_of(relevant: Ratings) -> CodeArray:
    """Return the users who have ratings."""
    users = np.flatnonzero(np.diff(relevant.offsets)).astype(np.int32)
    if len(users) == 0:
        raise ValueError("test: there are no ratings, and so nothing to measure")
    return users


def _aligned(test: Ratings, user_ids: Any, item_ids: Any, whose: str) -> Ratings:
    aligned, n_unknown = test.aligned_to(user_ids=user_ids, item_ids=item_ids)
    if n_unknown:
        warn_user(
            f"{n_unknown:,} of the {test.nnz:,} ratings of test are of users or items that {whose} "
            "does not have; they are left out of the evaluation",
            UserWarning,
        )
    return aligned


class _Native:
    """A model of this package: all is done by the core, in codes."""

    def __init__(
        self,
        model: FactorModel,
        test: Ratings,
        train: Ratings | None,
        exclude_seen: bool,
        n_threads: int | None,
    ) -> None:
        model._require_fitted()
        self.model = model
        self.threads = model._threads(n_threads)
        self.parameters = model._parameters()
        _require_finite(model)
        self.train: Pattern | None = model._seen
        if train is not None:
            self.train = _pattern(_known_part(train, model))
        if exclude_seen and self.train is None:
            raise ValueError(
                "this model was saved without the training pattern, so it does not know what was "
                "seen; pass train=, or exclude_seen=False"
            )
        self.seen = self.train if exclude_seen else None
        relevant = _aligned(test, model.user_ids_, model.item_ids_, "the model")
        self.relevant = _pattern(relevant)
        self.users = _users_of(relevant)

    @property
    def n_items(self) -> int:
        return len(self.model.item_ids_)

    def lists(self, n: int) -> _Lists:
        measures = np.empty((len(self.users), len(LIST_MEASURES)))
        recommended = np.zeros(self.n_items, np.int64)
        for part in self._parts():
            _core.evaluate_recommendations(
                *self.parameters,
                self.users[part],
                n,
                self.relevant,
                self.seen,
                measures[part],
                recommended,
                self.threads,
            )
        return _Lists(measures, recommended)

    def auc(self) -> float:
        areas = np.empty(len(self.users))
        for part in self._parts():
            _core.ranking_auc(
                *self.parameters,
                self.users[part],
                self.relevant,
                self.seen,
                areas[part],
                self.threads,
            )
        mean = _core.mean_measures(areas[:, None], self.threads)[0]
        if np.isnan(mean):
            raise ValueError(
                "auc: no user has both a relevant and another item among those not seen in training"
            )
        return mean

    def rated(self) -> tuple[NDArray[np.int64], int]:
        if self.train is None:
            raise ValueError(
                "popularity and novelty: this model was saved without the training pattern; pass "
                "train="
            )
        return _rankings.occurrences(self.train[1], self.n_items), len(self.model.user_ids_)

    def _parts(self) -> Iterator[slice]:
        products = max(1, self.n_items * self.model.item_factors_.shape[1])
        size = max(1024, _PRODUCTS_AT_ONCE // products)
        return (slice(start, start + size) for start in range(0, len(self.users), size))


class _Listed:
    """Any other model: its lists are measured."""

    def __init__(
        self,
        model: Any,
        test: Ratings,
        train: Ratings | None,
        exclude_seen: bool,
        n_threads: int | None,  # noqa: ARG002
    ) -> None:
        if not callable(getattr(model, "recommend", None)):
            raise TypeError(
                f"model: a {type(model).__name__} cannot recommend; pass a fitted estimator"
            )
        self.model = model
        self.exclude_seen = exclude_seen
        self.train = train
        self.catalogue = test if train is None else train
        self.relevant = _aligned(test, None, self.catalogue.item_ids, "train")
        self.users = _users_of(self.relevant)
        if exclude_seen and train is not None:
            self.relevant = _without(self.relevant, train)

    def lists(self, n: int) -> _Lists:
        n_items = self.catalogue.n_items
        measures = np.empty((len(self.users), len(LIST_MEASURES)))
        recommended = np.zeros(n_items, np.int64)
        for start in range(0, len(self.users), _USERS_AT_ONCE):
            part = slice(start, start + _USERS_AT_ONCE)
            codes = self._recommend(self.users[part], n)
            measures[part] = _core.ranking_measures(
                codes, self._relevant_to(self.users[part]), n_items, 0
            )
            recommended += np.bincount(codes[codes >= 0], minlength=n_items)
        return _Lists(measures, recommended)

    def auc(self) -> float:
        raise TypeError(
            f"auc needs the scores of all items, which a {type(self.model).__name__} does not "
            "give; leave it out, or pass an estimator of this package"
        )

    def rated(self) -> tuple[NDArray[np.int64], int]:
        if self.train is None:
            raise ValueError(
                "popularity and novelty: how popular items are is not known; pass train="
            )
        return _rankings.occurrences(self.train.items, self.train.n_items), self.train.n_users

    def _recommend(self, users: CodeArray, n: int) -> CodeArray:
        answer = self.model.recommend(
            self.relevant.user_ids[users], n=n, exclude_seen=self.exclude_seen
        )
        ids = np.asarray(answer[0] if isinstance(answer, tuple) else answer)
        if ids.ndim != 2 or len(ids) != len(users) or ids.shape[1] > n:
            raise ValueError(
                f"{type(self.model).__name__}.recommend: expected the ids of {n} items for each of "
                f"{len(users):,} users, got shape {ids.shape}"
            )
        codes = np.full((len(users), n), -1, np.int32)
        codes[:, : ids.shape[1]] = self.catalogue.item_codes(ids.ravel()).reshape(ids.shape)
        return codes

    def _relevant_to(self, users: CodeArray) -> Pattern:
        """Return the rows of ``users``, between which there are none with ratings."""
        begins, ends = self.relevant.offsets[users], self.relevant.offsets[users + 1]
        return np.append(begins, ends[-1]) - begins[0], self.relevant.items[begins[0] : ends[-1]]


def _known_part(train: Ratings, model: FactorModel) -> Ratings:
    """Return what ``train`` says of the model's users and items."""
    return train.aligned_to(user_ids=model.user_ids_, item_ids=model.item_ids_)[0]


def _without(relevant: Ratings, train: Ratings) -> Ratings:
    """Return what of ``relevant`` is not in ``train``."""
    seen, _ = train.aligned_to(user_ids=relevant.user_ids, item_ids=relevant.item_ids)
    own, excluded = (
        np.repeat(np.arange(part.n_users), np.diff(part.offsets)) * part.n_items + part.items
        for part in (relevant, seen)
    )
    return relevant.select(~np.isin(own, excluded, assume_unique=True))


def _pattern(ratings: Ratings) -> Pattern:
    return ratings._native.offsets, ratings._native.items


def _require_finite(model: FactorModel) -> None:
    for name in ("user_factors_", "item_factors_", "user_biases_", "item_biases_"):
        array = getattr(model, name)
        if array is not None and not np.isfinite(array).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(
                f"{name}: {array[at]} at {at if len(at) > 1 else at[0]} is not finite, so that "
                "scores cannot be ranked; fit the model anew"
            )
