"""What a `Ratings` holds and gives out; how it is built and divided is in `_ratings`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike, NDArray

from matfac import _ids
from matfac._ids import CodeArray, IdArray
from matfac._triplets import NativeRatings, native_of
from matfac._values import TimeArray, ValueArray, as_values, as_weights, float_dtype

if TYPE_CHECKING:
    from typing_extensions import Self

    from matfac._reading import ReadGuess


class RatingsBase:
    """The immutable content of a `Ratings`: native rows, raw ids, time stamps."""

    __slots__ = ("__weakref__", "_item_ids", "_native", "_source", "_timestamps", "_user_ids")

    _native: NativeRatings
    _user_ids: IdArray
    _item_ids: IdArray
    _timestamps: TimeArray | None
    _source: ReadGuess | None

    @classmethod
    def _new(
        cls,
        native: NativeRatings,
        user_ids: IdArray,
        item_ids: IdArray,
        timestamps: TimeArray | None = None,
        source: ReadGuess | None = None,
    ) -> Self:
        self = object.__new__(cls)
        put = object.__setattr__
        put(self, "_native", native)
        put(self, "_user_ids", _frozen(user_ids))
        put(self, "_item_ids", _frozen(item_ids))
        put(self, "_timestamps", None if timestamps is None else _frozen(timestamps))
        put(self, "_source", source)
        return self

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Ratings are immutable; {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"Ratings are immutable; {name!r} cannot be deleted")

    # ---- what it holds --------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_users, n_items)``."""
        return self.n_users, self.n_items

    @property
    def n_users(self) -> int:
        """The number of users (rows), those without ratings included."""
        return len(self._user_ids)

    @property
    def n_items(self) -> int:
        """The number of items (columns), those without ratings included."""
        return len(self._item_ids)

    @property
    def nnz(self) -> int:
        """The number of ratings."""
        return len(self._native.items)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the ratings: float32 or float64."""
        dtype: np.dtype[Any] = self._native.values.dtype
        return dtype

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each row begins, (n_users + 1,) int64, read-only."""
        return _frozen(self._native.offsets)

    @property
    def items(self) -> CodeArray:
        """The item code of each rating in CSR order, (nnz,) int32, read-only."""
        return _frozen(self._native.items)

    @property
    def values(self) -> ValueArray:
        """The ratings in CSR order, (nnz,), read-only."""
        return _frozen(self._native.values)

    @property
    def weights(self) -> ValueArray | None:
        """How much each rating counts, in CSR order, (nnz,) read-only; None: all alike, 1."""
        weights = self._native.weights
        return None if weights is None else _frozen(weights)

    @property
    def user_ids(self) -> IdArray:
        """The raw id of each row, (n_users,) int64 or str, ascending, read-only."""
        return self._user_ids

    @property
    def item_ids(self) -> IdArray:
        """The raw id of each column, (n_items,) int64 or str, ascending, read-only."""
        return self._item_ids

    @property
    def timestamps(self) -> TimeArray | None:
        """When each rating was given, in CSR order, (nnz,) read-only; None when not known."""
        return self._timestamps

    @property
    def source(self) -> ReadGuess | None:
        """How the file was read, for ratings that come from `read`; else None."""
        return self._source

    @property
    def mean(self) -> float:
        """The mean rating (weighted by `weights`), computed in float64; NaN without ratings."""
        values, weights = self._native.values, self._native.weights
        if not self.nnz or (weights is not None and not weights.any()):
            return float("nan")
        if weights is None:
            return float(values.mean(dtype=np.float64))
        return float(np.average(values.astype(np.float64), weights=weights))

    def __repr__(self) -> str:
        shape = f"{self.n_users:,} users x {self.n_items:,} items"
        weighted = "" if self._native.weights is None else ", weighted"
        return f"Ratings({shape}, {self.nnz:,} ratings, {self.dtype}{weighted})"

    # ---- taking out -----------------------------------------------------------------------------

    def user_codes(self, ids: object) -> CodeArray:
        """Return the codes of raw user ids, (n,) int32; -1 for the unknown.

        Raises TypeError for strings where the ids are integers, or the reverse. O(n log n_users).
        """
        return _ids.lookup(self._user_ids, ids, "users")

    def item_codes(self, ids: object) -> CodeArray:
        """Return the codes of raw item ids, (n,) int32; -1 for the unknown. As `user_codes`."""
        return _ids.lookup(self._item_ids, ids, "items")

    def to_arrays(self) -> tuple[IdArray, IdArray, ValueArray]:
        """Return raw users, raw items and values, each (nnz,), in CSR order; values are shared.

        `weights` and `timestamps` are in the same order.
        """
        users = np.repeat(self._user_ids, np.diff(self._native.offsets))
        return users, self._item_ids[self._native.items], self.values

    def to_scipy(self) -> Any:
        """Return a ``scipy.sparse.csr_array`` that shares items and values, read-only.

        Weights are left out; ``Ratings.from_csr(X, weights=R.weights)`` joins them again.
        The offsets are a copy. From 2**31 ratings on SciPy needs 64-bit item codes, and these are a
        copy as well.
        """
        from scipy.sparse import csr_array

        # SciPy wants one dtype for both index arrays: narrow the short one, not widen the long one.
        offsets = self.offsets.astype(np.int32) if self.nnz < 2**31 else self.offsets
        matrix = csr_array((self.values, self.items, offsets), shape=self.shape, copy=False)
        matrix.has_canonical_format = True
        return matrix

    def astype(self, dtype: DTypeLike) -> Self:
        """Return the same ratings as float32 or float64; offsets, items and ids are shared.

        Weights have the dtype of the ratings. Raises ValueError for a rating or a weight too large
        for float32. Returns itself when nothing changes.
        """
        if float_dtype(dtype) == self.dtype:
            return self
        describe = "position {} of CSR order".format
        values, weights = as_values(self._native.values, dtype, describe), self._native.weights
        if weights is not None:
            weights = as_weights(weights, dtype, describe)
        native = native_of(
            len(self._item_ids), self._native.offsets, self._native.items, values, weights
        )
        return self._new(native, self._user_ids, self._item_ids, self._timestamps, self._source)

    def __reduce__(self) -> tuple[Any, ...]:
        native = self._native
        arrays = (native.offsets, native.items, native.values, self._user_ids, self._item_ids)
        return _rebuild, (type(self), *arrays, self._timestamps, self._source, native.weights)


def _rebuild(
    cls: type[RatingsBase],
    offsets: NDArray[np.int64],
    items: CodeArray,
    values: ValueArray,
    user_ids: IdArray,
    item_ids: IdArray,
    timestamps: TimeArray | None,
    source: ReadGuess | None,
    weights: ValueArray | None = None,
) -> RatingsBase:
    """Unpickle; the core validates the arrays again."""
    native = native_of(len(item_ids), offsets, items, values, weights)
    return cls._new(native, user_ids, item_ids, timestamps, source)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view; the array itself keeps its flag."""
    view: NDArray[Any] = array.view()
    view.flags.writeable = False
    return view
