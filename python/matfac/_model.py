"""A fitted model: prediction, ranking, new users."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matfac import _core, _ids
from matfac._coerce import as_native, as_ratings, integer, raw_ids, threads
from matfac._filters import Pattern, pattern_of, union
from matfac._ids import CodeArray, IdArray
from matfac._ratings import Ratings
from matfac._unread import read_all, read_later
from matfac._warnings import warn_user

#: User and item factors, user and item biases, global mean: what every function of the core takes.
ModelParameters: TypeAlias = tuple[
    NDArray[Any], NDArray[Any], "NDArray[Any] | None", "NDArray[Any] | None", float
]


class NotFittedError(ValueError, AttributeError):
    """A model was asked before it was fitted."""


class Ranking(NamedTuple):
    """Ids and scores, best first; ties go to the lower code.

    For one query both are vectors. For several they have one row a query; where fewer than n items
    remain, the score is ``-inf`` and the id a filler (-1, or the empty string).
    """

    ids: IdArray
    scores: NDArray[Any]


class FactorModel:
    """What can be done with factors and biases: r̂_nm = μ + b_n + c_m + u_n · v_m.

    Methods may be called from several threads at once.
    """

    user_factors_: NDArray[Any]
    item_factors_: NDArray[Any]
    user_biases_: NDArray[Any] | None
    item_biases_: NDArray[Any] | None
    global_mean_: float
    user_ids_: IdArray = read_later()
    item_ids_: IdArray = read_later()
    n_threads: int

    # What each user has rated in training, or None if that was not kept.
    _seen: Pattern | None = read_later()

    def predict(self, users: object, items: object | None = None) -> Any:
        """Estimate pairs, in the terms of the data."""
        return self._estimate(users, items)

    def score(self, ratings: object) -> float:
        """Return the root of the mean squared error over ``ratings``, in their own units.

        Weighted, if the ratings have weights. Unknown users and items are estimated like in
        `predict`. Lower is better.
        """
        self._require_fitted()
        test = self._as_ratings(ratings)
        errors = self._predict_codes(*self._codes_of(test)).astype(np.float64) - test.values
        return float(np.sqrt(weighted_mean(errors * errors, test)))

    def recommend(
        self,
        users: object | None = None,
        n: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: object | None = None,
        among: object | None = None,
        n_threads: int | None = None,
    ) -> Ranking:
        """Return the n items with the highest estimate for each user.

        Parameters
        ----------
        users : raw ids, a single raw id, or None
            None: all users of the training, in the order of ``user_ids_``.
        n : int
            At least 1; it may exceed the number of items.
        exclude_seen : bool
            Leave out the items that the user rated in training.
        exclude : raw ids of items, optional
            Leave these out too: one list for all users, or a list of lists, one a user.
        among : raw ids of items, optional
            Recommend only these. In both lists ids that the model does not know are passed over.
        n_threads : int, optional
            0: all; None: the model's.

        Returns
        -------
        Ranking : ids and scores, shapes (len(users), n), or (at most n,) for a single user
            An unknown user gets what suits everybody (by item biases), with a warning;
            `recommend_new` ranks for new users by their ratings. Where fewer than n items are left,
            the list of a single user is shorter, and rows for several users end with the score
            -inf and the id -1 or ``""``: by the score they are told from an item of that id.

        Notes
        -----
        2F flop a user and item; memory of a few scores a user, never users x items.
        """
        self._require_fitted()
        n, count = integer("n", n, least=1), self._threads(n_threads)
        users = self.user_ids_ if users is None else users
        codes, shape = self._lookup(self.user_ids_, users, "users")
        self._warn_unknown(codes, users)
        excluded, allowed = self._filters(exclude, among, len(codes))
        if exclude_seen:
            excluded = union(self._seen_by(codes), excluded, len(codes))
        parameters = self._parameters()
        items, scores = _core.recommend(*parameters, codes, n, excluded, count, allowed)
        return self._ranking(items, scores, shape)

    def recommend_new(
        self,
        ratings: object,
        n: int = 10,
        *,
        exclude_seen: bool = True,
        exclude: object | None = None,
        among: object | None = None,
        n_threads: int | None = None,
    ) -> Ranking:
        """Return the n best items for users who were not in the training, given some ratings.

        Parameters
        ----------
        ratings : Ratings, SciPy sparse matrix or data frame
            One row a new user; the items by the model's raw ids.
        n, exclude_seen, exclude, among, n_threads
            As for `recommend`; what counts as seen is ``ratings``.

        Returns
        -------
        Ranking : ids and scores, shape (ratings.n_users, n)
        """
        self._require_fitted()
        n, count = integer("n", n, least=1), self._threads(n_threads)
        known = self._with_model_items(ratings)
        factors, biases = self._fold_in(known, count)
        codes = np.arange(known.n_users, dtype=np.int32)
        excluded, allowed = self._filters(exclude, among, len(codes))
        if exclude_seen:
            seen = (known._native.offsets, known._native.items)
            excluded = union(seen, excluded, len(codes))
        parameters = (factors, self.item_factors_, biases, self.item_biases_, self.global_mean_)
        items, scores = _core.recommend(*parameters, codes, n, excluded, count, allowed)
        return self._ranking(items, scores, (known.n_users,))

    def similar_items(self, items: object, n: int = 10, *, n_threads: int | None = None) -> Ranking:
        """Return the n items most similar to each given one, by the cosine of their factors.

        Parameters
        ----------
        items : raw ids, or a single raw id
        n, n_threads
            As for `recommend`.

        Returns
        -------
        Ranking : ids and cosines in [-1, 1], shapes (len(items), n), or (at most n,) for one item
            The item itself is left out.

        Raises
        ------
        ValueError
            An unknown item: nothing is known that could be similar.
        """
        self._require_fitted()
        n, count = integer("n", n, least=1), self._threads(n_threads)
        codes, shape = self._lookup(self.item_ids_, items, "items")
        unknown = np.flatnonzero(codes < 0)
        if unknown.size:
            at = int(unknown[0])
            raise ValueError(
                f"item {_entry(items, at)!r} at position {at} is not in the model; choose from "
                "item_ids_"
            )
        found, scores = _core.similar_items(self.item_factors_, codes, n, count)
        return self._ranking(found, scores, shape)

    def fold_in(
        self, ratings: object, *, return_biases: bool = False, n_threads: int | None = None
    ) -> Any:
        """Return factors of users who were not in the training, the items' held fixed.

        Each row minimizes the model's own objective over the new user's factors and bias; a user of
        the training thus gets, up to rounding, what `fit` ended with under ``als``.

        Parameters
        ----------
        ratings : Ratings, SciPy sparse matrix or data frame
            One row a new user; the items by the model's raw ids. Items that the model does not know
            are left out, with a warning.
        return_biases : bool
            Return the users' biases too.

        Returns
        -------
        user_factors : ndarray, shape (ratings.n_users, n_factors)
        user_biases : ndarray, shape (ratings.n_users,), or None without biases
            Only if ``return_biases``.

        Notes
        -----
        For a user with n ratings n (F² + 3F) + F³/3 flop where the loss is quadratic; other losses
        are approached in steps.
        """
        self._require_fitted()
        count = self._threads(n_threads)
        factors, biases = self._fold_in(self._with_model_items(ratings), count)
        return (factors, biases) if return_biases else factors

    # ---- for the estimators ---------------------------------------------------------------------

    def _estimate(self, users: object, items: object | None = None) -> Any:
        """Return r̂ of pairs by raw ids; see `MatrixFactorization.predict`."""
        self._require_fitted()
        if items is None:
            if not isinstance(users, Ratings):
                raise TypeError(
                    "predict(users, items) estimates pairs, predict(ratings) the pairs of Ratings; "
                    f"got {type(users).__name__} alone (Ratings.from_frame and from_csr make "
                    "Ratings)"
                )
            return self._predict_codes(*self._codes_of(users))
        user_codes, user_shape = self._lookup(self.user_ids_, users, "users")
        item_codes, item_shape = self._lookup(self.item_ids_, items, "items")
        try:
            shape = np.broadcast_shapes(user_shape, item_shape)
        except ValueError:
            raise ValueError(
                f"users of shape {user_shape} and items of shape {item_shape} do not fit together: "
                "pass one of each per pair"
            ) from None
        estimates = self._predict_codes(
            np.broadcast_to(user_codes.reshape(user_shape), shape),
            np.broadcast_to(item_codes.reshape(item_shape), shape),
        )
        return float(estimates[0]) if shape == () else estimates.reshape(shape)

    def _fold_in_settings(self) -> _core.Settings:
        """Return what `fold_in` needs of the settings that the fit used."""
        raise NotImplementedError

    def _as_ratings(self, data: object, what: str = "ratings") -> Ratings:
        """Return data that the caller holds as what the model is about."""
        return as_ratings(data, what)

    def _require_fitted(self) -> None:
        if getattr(self, "item_factors_", None) is None:
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet; call fit(ratings) first"
            )

    def _parameters(self) -> ModelParameters:
        return (
            self.user_factors_,
            self.item_factors_,
            self.user_biases_,
            self.item_biases_,
            self.global_mean_,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Pickle or copy: all of it, whatever file it came from."""
        read_all(self)
        return self.__dict__.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickle; NumPy does not keep the flag of read-only arrays."""
        self.__dict__.update(state)
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    def _threads(self, n_threads: int | None) -> int:
        return threads(self.n_threads if n_threads is None else n_threads)

    def _lookup(self, ids: IdArray, query: object, what: str) -> tuple[CodeArray, tuple[int, ...]]:
        """Return the codes of raw ids, flat, and the shape of the query."""
        if query is ids:
            return np.arange(len(ids), dtype=np.int32), (len(ids),)
        shape, flat = _shape_of(query), query
        if shape == () and not isinstance(query, np.ndarray):
            flat = [query]
        elif len(shape) != 1:
            # As objects, so that NumPy does not make strings of integers mixed with strings.
            flat = np.ravel(query if isinstance(query, np.ndarray) else np.asarray(query, object))
        return np.ascontiguousarray(_ids.lookup(ids, flat, what)), shape

    def _codes_of(self, ratings: Ratings) -> tuple[CodeArray, CodeArray]:
        """Return the model's codes of the pairs of ``ratings``, in CSR order."""
        users = self._model_codes(self.user_ids_, ratings.user_ids, "users")
        items = self._model_codes(self.item_ids_, ratings.item_ids, "items")
        return np.repeat(users, np.diff(ratings.offsets)), items[ratings.items]

    @staticmethod
    def _model_codes(model_ids: IdArray, ids: IdArray, what: str) -> CodeArray:
        if ids is model_ids or (ids.dtype == model_ids.dtype and np.array_equal(ids, model_ids)):
            return np.arange(len(ids), dtype=np.int32)
        return _ids.lookup(model_ids, ids, what)

    def _predict_codes(self, users: CodeArray, items: CodeArray) -> NDArray[Any]:
        users = np.ascontiguousarray(users).ravel()
        items = np.ascontiguousarray(items).ravel()
        out = np.empty(len(users), self.user_factors_.dtype)
        _core.predict(*self._parameters(), users, items, out, self._threads(None))
        return out

    def _warn_unknown(self, codes: CodeArray, users: object) -> None:
        unknown = np.flatnonzero(codes < 0)
        if unknown.size:
            at = int(unknown[0])
            warn_user(
                f"{unknown.size} of {len(codes)} users are not in the model (the first is "
                f"{_entry(users, at)!r}): they get what suits everybody; recommend_new ranks for "
                "new users by their ratings",
                UserWarning,
            )

    def _seen_by(self, codes: CodeArray) -> Pattern:
        """Return, for each of the users, what was rated in training, as a pattern of rows."""
        if self._seen is None:
            raise ValueError(
                "this model was saved without the training pattern, so it does not know what was "
                "seen; pass exclude_seen=False, or save with include_seen=True"
            )
        offsets, items = self._seen
        if len(codes) == 1:
            user = int(codes[0])
            own = items[offsets[user] : offsets[user + 1]] if user >= 0 else items[:0]
            return np.array([0, len(own)], np.int64), own
        if len(codes) == len(offsets) - 1 and np.array_equal(codes, np.arange(len(codes))):
            return self._seen
        starts = np.where(codes >= 0, offsets[codes], 0)
        counts = np.where(codes >= 0, offsets[codes + 1] - offsets[codes], 0)
        rows = np.zeros(len(codes) + 1, np.int64)
        np.cumsum(counts, out=rows[1:])
        positions = np.arange(rows[-1]) + np.repeat(starts - rows[:-1], counts)
        return rows, np.ascontiguousarray(items[positions])

    def _filters(
        self, exclude: object | None, among: object | None, n_queries: int
    ) -> tuple[Pattern | None, Pattern | None]:
        """Return what the user wants left out, and what it is to be chosen from."""

        def lookup(ids: object, what: str) -> tuple[CodeArray, tuple[int, ...]]:
            return self._lookup(self.item_ids_, ids, what)

        return (
            None if exclude is None else pattern_of(exclude, "exclude", lookup, n_queries),
            None if among is None else pattern_of(among, "among", lookup, None),
        )

    def _with_model_items(self, ratings: object) -> Ratings:
        """Return ratings with the model's columns and dtype."""
        given = self._as_ratings(ratings)
        known, n_unknown = given.aligned_to(item_ids=self.item_ids_)
        if n_unknown:
            warn_user(
                f"{n_unknown:,} of {given.nnz:,} ratings are of items that the model does not "
                "know; they were left out",
                UserWarning,
            )
        return known.astype(self.item_factors_.dtype)

    def _fold_in(
        self, ratings: Ratings, n_threads: int
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        dtype = self.item_factors_.dtype
        factors = np.zeros((ratings.n_users, self.item_factors_.shape[1]), dtype)
        biases = None if self.item_biases_ is None else np.zeros(ratings.n_users, dtype)
        with raw_ids(ratings):
            _core.fold_in(
                self.item_factors_,
                self.item_biases_,
                self.global_mean_,
                self._fold_in_settings(),
                as_native(ratings, dtype),
                factors,
                biases,
                n_threads,
                self.user_factors_,
                self.user_biases_,
            )
        return factors, biases

    def _ranking(self, codes: CodeArray, scores: NDArray[Any], shape: tuple[int, ...]) -> Ranking:
        """Turn codes into raw ids, in the shape of the query."""
        if shape == ():
            found = codes[0][codes[0] >= 0]  # what fills the row comes last
            return Ranking(self.item_ids_[found], scores[0, : len(found)])
        filler: Any = -1 if self.item_ids_.dtype.kind == "i" else ""
        ids = np.where(codes >= 0, self.item_ids_[codes], filler)
        width = codes.shape[1]
        return Ranking(ids.reshape((*shape, width)), scores.reshape((*shape, width)))


def weighted_mean(errors: NDArray[Any], ratings: Ratings) -> float:
    """Return the mean of one number a rating, in CSR order, by the weights of the ratings."""
    weights = ratings.weights
    if weights is None:
        return float(np.mean(errors))
    if not weights.any():
        raise ValueError("all weights of the ratings are 0: there is nothing to measure")
    return float(np.average(errors, weights=weights.astype(np.float64)))


def _shape_of(query: Any) -> tuple[int, ...]:
    """Return the shape of raw ids without making an array of them, where that is possible."""
    if isinstance(query, str | int | np.generic):
        return ()
    if type(query) is list and set(map(type, query)) <= {str, int}:
        return (len(query),)
    if hasattr(query, "to_pylist") and not hasattr(query, "shape"):  # pyarrow's
        return (len(query),)
    shape: tuple[int, ...] = np.shape(query)
    return shape


def _entry(query: object, at: int) -> Any:
    """Return an entry of the user's query, for a message."""
    return np.ravel(np.asarray(query, dtype=object))[at]
