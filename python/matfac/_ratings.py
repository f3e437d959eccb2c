"""`Ratings`: the sparse matrix R (users x items) with the raw ids of its rows and columns."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from matfac import _compressed, _ids, _selecting
from matfac._coerce import flag
from matfac._ids import CodeArray, IdArray
from matfac._ratings_base import RatingsBase
from matfac._triplets import NativeRatings, Triplets, check_duplicates_policy, compress
from matfac._values import as_times, as_values, as_weights, float_dtype

if TYPE_CHECKING:
    from matfac._reading import ReadGuess

__all__ = ["Ratings"]


class Ratings(RatingsBase):
    """Observed ratings R (``n_users`` x ``n_items``), immutable and sparse.

    What is missing is absent, not zero; an explicit zero is a rating like any other. The ratings
    lie as compressed rows (CSR): the items of the user with code n are, ascending,
    ``items[offsets[n]:offsets[n + 1]]``, and ``values`` is aligned with ``items``. This order is
    called *CSR order*; residuals and predictions of the training ratings come in it.

    Build one with `from_arrays`, `from_csr`, `from_csr_arrays`, `from_frame` or `read`.

    Notes
    -----
    *Ids and codes.* A user or an item is called by its raw id (integer or string) wherever this
    package takes or returns one. Codes are rows of the factors. Codes ascend with the raw ids
    (strings by code point), whatever the order of the input.

    *Duplicates.* When a (user, item) pair occurs more than once, ``duplicates`` says what is kept:
    ``"first"`` or ``"last"`` in the order of the input, ``"mean"``, ``"sum"`` (counts, durations),
    or ``"error"``. The default, None, keeps the last and issues a `DuplicateRatingsWarning`; a
    policy that is stated does not warn.

    *Weights* say how much each rating counts in every loss and error (2: as much as two such
    ratings, 0: not at all); without them all count alike, 1. Of a pair that occurs more than once
    ``"first"`` and ``"last"`` keep that rating's weight. ``"mean"`` weights the mean and keeps the
    sum of the weights, which to the squared loss is the same as all of the pair's ratings.
    ``"sum"`` keeps the weight, which must be the same for all ratings of the pair.

    *Copies.* `from_csr` and `from_csr_arrays` read arrays of the right dtype and layout where they
    lie and issue a `CopyWarning` when they cannot. The arrays that the properties return are
    read-only views. Whoever changes the memory that was passed in changes the ratings,
    and has to keep them well-formed (codes in range and ascending): that was checked here.

    *Limits.* Fewer than 2**31 users and items; any number of ratings.
    """

    __slots__ = ()

    def __init__(self, *_arguments: object, **_named: object) -> None:
        raise TypeError(
            "Ratings are built with Ratings.from_arrays(users, items, values), from_csr, "
            "from_csr_arrays, from_frame or read"
        )

    # ---- building -------------------------------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        users: object,
        items: object,
        values: object | None = None,
        *,
        weights: object | None = None,
        timestamps: object | None = None,
        duplicates: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> Ratings:
        """Build ratings from one entry per rating, in any order.

        Parameters
        ----------
        users, items : one-dimensional arrays or sequences, length nnz
            Raw ids: integers of any dtype (negative ones are labels like any other), floats that
            are all whole numbers, or strings (NumPy, pandas, polars, Arrow, lists).
        values : one-dimensional array or sequence of finite numbers, optional
            The ratings. None makes every rating 1 (the user is known to have chosen the item).
        weights : one-dimensional array or sequence of finite numbers of at least 0, optional
            How much each rating counts; stored in the dtype of the ratings. See the class.
        timestamps : one-dimensional array or sequence, optional
            When each rating was given: numbers, dates or ISO 8601 strings.
        duplicates : {None, "error", "first", "last", "mean", "sum"}
            See the class. The time of a mean or sum is the pair's latest.
        dtype : {None, float32, float64}
            None keeps float64 values as they are (a list of Python floats counts as float64) and
            stores all others as float32.

        Raises
        ------
        ValueError
            Empty input, different lengths, ids that are missing, fractional or mixed, values that
            are NaN, infinite or too large for the dtype, weights that are that or negative. The
            message names the position.
        TypeError
            Objects that are no ids or no numbers: bool, bytes, dates, ...

        Notes
        -----
        O(nnz), and the sort of the distinct ids where they are not densely numbered integers;
        parallel. Memory beyond the arguments: 16 bytes a rating (float32), half of which stays.
        """
        check_duplicates_policy(duplicates)
        user_ids, user_codes = _ids.encode(users, "users")
        item_ids, item_codes = _ids.encode(items, "items")
        if len(user_codes) != len(item_codes):
            raise ValueError(
                f"{len(user_codes):,} users and {len(item_codes):,} items: pass one of each per "
                "rating"
            )
        n_ratings = len(user_codes)
        if n_ratings == 0:
            raise ValueError("there are no ratings: users and items are empty; pass at least one")

        def describe(at: int) -> str:
            user, item = user_ids[user_codes[at]].item(), item_ids[item_codes[at]].item()
            return f"position {at} (user {user!r}, item {item!r})"

        if values is None:
            values = np.ones(n_ratings, np.float32)
        ratings = as_values(values, dtype, describe, n_ratings)
        times = None if timestamps is None else as_times(timestamps, n_ratings)
        triplets = Triplets(user_ids, item_ids, user_codes, item_codes, ratings, times)
        if weights is not None:
            triplets.weights = as_weights(weights, ratings.dtype, describe, n_ratings)
        return cls._from_triplets(triplets, duplicates)

    @classmethod
    def _from_triplets(
        cls, triplets: Triplets, duplicates: str | None, source: ReadGuess | None = None
    ) -> Ratings:
        native, times = compress(triplets, duplicates)
        return cls._new(native, triplets.user_ids, triplets.item_ids, times, source)

    @classmethod
    def from_csr(
        cls,
        matrix: Any,
        *,
        weights: object | None = None,
        user_ids: object | None = None,
        item_ids: object | None = None,
        duplicates: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> Ratings:
        """Build ratings from a SciPy sparse matrix or array, users as rows and items as columns.

        A CSR matrix with 32-bit indices, sorted rows and float32 or float64 data is read where it
        lies (only the ``n_users + 1`` offsets become 64-bit). Anything else is copied, with a
        `CopyWarning`. The matrix itself is never changed.

        Parameters
        ----------
        matrix : scipy.sparse matrix or array, shape (n_users, n_items)
            Stored zeros are ratings, except in the BSR and DIA formats, which pad with zeros.
        weights : array or sequence, shape (nnz,), or scipy.sparse matrix, optional
            How much each rating counts: an array in the order of ``matrix.data`` (read where it
            lies in the dtype of the ratings), or a sparse matrix that has an entry where ``matrix``
            has one. See the class.
        user_ids, item_ids : array or sequence, optional
            The raw id of each row and of each column, all different; 0, 1, 2, ... when not given.
            When they are not in ascending order the ratings are reordered to be (a copy):
            `user_ids` and `item_ids` of the result say what its rows and columns are.
        duplicates, dtype
            As for `from_arrays`; the order of duplicates is that in which they are stored.

        Raises
        ------
        ValueError
            A malformed matrix (indices out of range, offsets that fall, lengths that differ), NaN
            or infinite data, no entry, ids that repeat or whose number is not that of the rows or
            columns.
        TypeError
            Not a SciPy sparse object; a dense matrix cannot tell absent from 0.
        """
        made = _compressed.from_scipy(matrix, user_ids, item_ids, duplicates, dtype, weights)
        return cls._new(made.native, made.user_ids, made.item_ids)

    @classmethod
    def from_csr_arrays(
        cls,
        offsets: NDArray[Any],
        items: NDArray[Any],
        values: NDArray[Any],
        n_items: int,
        *,
        weights: object | None = None,
        user_ids: object | None = None,
        item_ids: object | None = None,
        duplicates: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> Ratings:
        """Build ratings from the three arrays of compressed rows, without SciPy.

        Parameters
        ----------
        offsets : ndarray of integers, shape (n_users + 1,)
            Row n is ``offsets[n]:offsets[n + 1]``; int64 is read where it lies.
        items : ndarray of integers, shape (nnz,)
            The column of each rating; int32 is read where it lies.
        values : ndarray, shape (nnz,)
            The ratings; float32 and float64 are read where they lie.
        n_items : int
            The number of columns.
        weights : array or sequence, shape (nnz,), optional
            How much each rating counts; read where it lies in the dtype of the ratings.
        user_ids, item_ids, duplicates, dtype
            As for `from_csr`, and so are the errors.
        """
        if isinstance(n_items, bool) or not isinstance(n_items, int | np.integer):
            raise TypeError(f"n_items={n_items!r}: expected an integer")
        if n_items < 1:
            raise ValueError(f"n_items={n_items}: there must be at least one item")
        rows = _compressed.Rows(offsets, items, values, int(n_items), weights)
        made = _compressed.from_rows(rows, user_ids, item_ids, duplicates, dtype)
        return cls._new(made.native, made.user_ids, made.item_ids)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        user: str | int | None = None,
        item: str | int | None = None,
        rating: str | int | Literal[False] | None = None,
        timestamp: str | int | Literal[False] | None = None,
        weight: str | int | Literal[False] | None = None,
        duplicates: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> Ratings:
        """Build ratings from a data frame: pandas, polars, Arrow, or any other that narwhals takes.

        Parameters
        ----------
        frame : data frame
            One row per rating.
        user, item, rating, timestamp : str or int, optional
            The columns, by name or by position from 0. Those not given are guessed by their names
            in any spelling (``user_id``, ``userId``, ``movieId``, ``artistID``, ``rating``,
            ``weight``, ...), and else, when there are exactly three or four columns, taken in the
            order user, item, rating, timestamp. ``rating=False`` makes every rating 1;
            ``timestamp=False`` leaves times out. A guessed timestamp column that does not hold a
            time in each row is left out, with a warning.
        weight : str or int, optional
            The column of the weights. It is never guessed: a column of that name mostly holds the
            ratings themselves.
        duplicates, dtype
            As for `from_arrays`.

        Raises
        ------
        ValueError
            Columns that are absent or ambiguous, missing entries (with their row), and all that
            `from_arrays` refuses.
        TypeError
            Not a data frame, or a lazy one.
        """
        from matfac._frames import columns_of, in_columns

        columns = columns_of(
            frame,
            {
                "user": user,
                "item": item,
                "rating": rating,
                "timestamp": timestamp,
                "weight": weight,
            },
        )
        try:
            return cls.from_arrays(
                columns.users,
                columns.items,
                columns.values,
                weights=columns.weights,
                timestamps=columns.times,
                duplicates=duplicates,
                dtype=dtype,
            )
        except (ValueError, TypeError) as error:
            message = in_columns(str(error), columns.names)
            if message == str(error):
                raise
            raise type(error)(message) from None

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        separator: str | None = None,
        header: bool | None = None,
        user: str | int | None = None,
        item: str | int | None = None,
        rating: str | int | Literal[False] | None = None,
        timestamp: str | int | Literal[False] | None = None,
        weight: str | int | Literal[False] | None = None,
        encoding: str = "utf-8",
        string_ids: bool = False,
        duplicates: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> Ratings:
        """Read ratings from a text file (CSV, tabs, spaces, ``::``, ...) or from Parquet.

        What was guessed is kept in `source`. Text may be compressed (``.gz``, ``.bz2``, ``.xz``,
        ``.zip``, ``.zst``) and may quote its fields. Space around a field does not count.

        Parameters
        ----------
        path : str or path
        format : {None, "text", "csv", "tsv", "parquet"}
            None decides by the ending: ``.parquet`` and ``.pq`` are Parquet, all else is text whose
            separator is guessed. ``"csv"`` and ``"tsv"`` are text with commas and with tabs.
        separator : str, optional
            One character, ``"::"``, or ``" "`` (any run of spaces and tabs); guessed from the first
            lines.
        header : bool, optional
            Whether the first line holds names. None: it does if no field of it is a number;
            without ratings also a known name, or a column of numbers below, is needed.
        user, item, rating, timestamp, weight
            As for `from_frame`.
        encoding : str
            Of text.
        string_ids : bool
            Keep the ids of a text file as strings. Otherwise a column of ids becomes integers if
            all of it is written as plain integers of 64 bits (``17``, not ``017`` and not
            ``17.0``), and stays strings else; so distinct ids never become one. ``NA`` and ``null``
            are ids like any other.
        duplicates : {None, "error", "first", "last", "mean", "sum"}
            See the class.
        dtype : {None, float32, float64}
            None stores the ratings of text as float32, and those of Parquet as `from_arrays` does.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            An empty file, a line with too few or too many fields, a missing id, a rating or a
            weight that is missing, not a number, NaN or infinite, a negative weight, text in
            another encoding. The message names the file, the line number, the text and the remedy.
        ImportError
            Parquet without pyarrow.
        """
        from matfac._reading import ReadOptions, read_triplets

        check_duplicates_policy(duplicates)
        options = ReadOptions(
            format=format,
            separator=separator,
            header=None if header is None else flag("header", header),
            columns={
                "user": user,
                "item": item,
                "rating": rating,
                "timestamp": timestamp,
                "weight": weight,
            },
            encoding=encoding,
            string_ids=flag("string_ids", string_ids),
            dtype=None if dtype is None else float_dtype(dtype),
        )
        triplets, source = read_triplets(path, options)
        return cls._from_triplets(triplets, duplicates, source)

    # ---- parts ----------------------------------------------------------------------------------

    def select(self, mask: ArrayLike) -> Ratings:
        """Return the ratings where ``mask`` is true, in the same shape and with the same ids.

        Parameters
        ----------
        mask : array of bool, shape (nnz,)
            In CSR order; at least one must be true. ``R.select(fold == 0)`` picks a fold.
        """
        chosen = np.asarray(mask)
        if chosen.dtype != np.bool_:
            raise TypeError(
                f"mask: expected bool, got dtype {chosen.dtype}; compare or use astype(bool)"
            )
        if chosen.shape != (self.nnz,):
            raise ValueError(
                f"mask: expected shape ({self.nnz},), one per rating, got {chosen.shape}"
            )
        if not chosen.any():
            raise ValueError("mask: no rating is selected; at least one must be")
        positions = np.flatnonzero(chosen)
        return self._like(_selecting.take(self._native, positions), positions)

    def split(
        self,
        test_fraction: float = 0.2,
        *,
        random_state: int | np.random.Generator | None = None,
        by: Literal["random", "time"] = "random",
    ) -> tuple[Ratings, Ratings]:
        """Split into training and test ratings; both keep the shape and the ids of the whole.

        Parameters
        ----------
        test_fraction : float
            Strictly between 0 and 1. The test part holds exactly ``round(test_fraction * nnz)``
            ratings.
        random_state : int, numpy.random.Generator or None
            An int gives the same split every time; None a different one. NumPy's global state is
            neither used nor changed.
        by : {"random", "time"}
            ``"random"`` draws every set of ratings with equal probability; ``"time"`` puts the
            latest ratings into the test part (which needs `timestamps`).

        Returns
        -------
        train, test : Ratings

        Raises
        ------
        ValueError
            A fraction out of range or one that leaves a part empty; ``by="time"`` without times.
        """
        n_test = _selecting.n_test_ratings(self.nnz, test_fraction)
        if by == "random":
            mask = _selecting.random_mask(self.nnz, n_test, random_state)
        elif by == "time":
            if self._timestamps is None:
                raise ValueError(
                    "by='time': these ratings have no timestamps; pass them, or split by='random'"
                )
            mask = _selecting.latest_mask(self._timestamps, n_test)
        else:
            raise ValueError(f"by={by!r} is unknown; choose 'random' or 'time'")
        return self.select(~mask), self.select(mask)

    def aligned_to(
        self, *, user_ids: IdArray | None = None, item_ids: IdArray | None = None
    ) -> tuple[Ratings, int]:
        """Return the same ratings in another numbering, and how many had to be left out.

        This is how held-out ratings meet a model: with the model's ids, rows and columns become the
        model's, and ratings of users or items that it does not know are left out.

        Parameters
        ----------
        user_ids, item_ids : ndarray of int64 or str, strictly ascending, optional
            The ids that rows and columns shall have; None keeps this object's own.

        Returns
        -------
        aligned : Ratings
            Shape ``(len(user_ids), len(item_ids))``. It is this object when nothing changes.
        n_unknown : int
            The number of ratings left out.

        Raises
        ------
        ValueError
            Ids that do not ascend; none of the ratings is known.
        TypeError
            Strings for integers or the reverse.
        """
        users, user_map = _mapping(self._user_ids, user_ids, "user_ids")
        items, item_map = _mapping(self._item_ids, item_ids, "item_ids")
        if user_map is None and item_map is None:
            return self, 0
        user_map = np.arange(self.n_users, dtype=np.int32) if user_map is None else user_map
        item_map = np.arange(self.n_items, dtype=np.int32) if item_map is None else item_map
        native, positions = _selecting.recode(
            self._native, user_map, item_map, len(users), len(items)
        )
        n_unknown = self.nnz - len(positions)
        if len(positions) == 0 and self.nnz:
            raise ValueError(
                f"none of the {self.nnz:,} ratings is of a known user and a known item: "
                f"{int((user_map >= 0).sum()):,} of {self.n_users:,} users and "
                f"{int((item_map >= 0).sum()):,} of {self.n_items:,} items are known; do the ids "
                "mean the same?"
            )
        times = None if self._timestamps is None else self._timestamps[positions]
        return self._new(native, users, items, times, self._source), n_unknown

    def _like(self, native: NativeRatings, positions: NDArray[np.int64]) -> Ratings:
        times = None if self._timestamps is None else self._timestamps[positions]
        return self._new(native, self._user_ids, self._item_ids, times, self._source)


def _mapping(own: IdArray, wanted: object | None, what: str) -> tuple[IdArray, CodeArray | None]:
    """Return the ids wanted and the code among them of each own id; None when they are the same."""
    if wanted is None or wanted is own:
        return own, None
    ids, codes = _ids.given_ids(wanted, len(np.asarray(wanted)), what)
    if codes is not None:
        raise ValueError(f"{what}: must be in ascending order, as Ratings and models keep them")
    if ids.dtype.kind == own.dtype.kind and np.array_equal(ids, own):
        return own, None
    return ids, _ids.lookup(ids, own, what)
