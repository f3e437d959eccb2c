"""Rating values and time stamps: from whatever the caller holds to arrays that the core reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from matfac._ids import shorten

#: Rating values: dtype float32 or float64.
ValueArray: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
#: Time stamps: dtype int64, float64 or datetime64.
TimeArray: TypeAlias = NDArray[Any]


_REMEDY = "pass numbers (of text astype('float32') makes them, if decimals have a point)"


def as_values(
    values: object,
    dtype: DTypeLike | None,
    describe: Callable[[int], str],
    length: int | None = None,
    what: str = "values",
) -> ValueArray:
    """Return ratings as contiguous, finite float32 or float64; the same array if it is that.

    Parameters
    ----------
    values : one-dimensional array or sequence of numbers
    dtype : float32, float64 or None
        None keeps float64 (and wider) as float64 and makes everything else float32.
    describe : callable
        Turns a position into words for messages (to name the user and the item).
    length : int, optional
        How many there must be.
    what : str
        What the messages call them.

    Raises
    ------
    ValueError
        For a value that is NaN, infinite, missing, or too large for the dtype; for a wrong shape.
    TypeError
        For values that are no real numbers.
    """
    array = _one_dimensional(values, what, length)
    array = _numbers(array, describe, what)
    target = _float_dtype(array.dtype, dtype)
    if array.dtype.kind == "f":
        _refuse_non_finite(array, array, describe, what)
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(array, dtype=target)
    if result is not array:
        _refuse_non_finite(result, array, describe, what)
    return result


def as_weights(
    weights: object,
    dtype: DTypeLike,
    describe: Callable[[int], str],
    length: int | None = None,
) -> ValueArray:
    """Return the weights of ratings as `as_values` would, in the ratings' dtype and not negative.

    Raises ValueError for a negative one too.
    """
    result = as_values(weights, dtype, describe, length, "weights")
    negative = result < 0
    if negative.any():
        at = int(negative.argmax())
        raise ValueError(
            f"weights: {result[at].item()!r} at {describe(at)} is negative; a weight is how much a "
            "rating counts, at least 0"
        )
    return result


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return ``dtype`` as a dtype if it is float32 or float64; refuse any other."""
    try:
        result = np.dtype(dtype)
    except (TypeError, ValueError):
        result = np.dtype(object)
    if result not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype={dtype!r}: ratings are stored as 'float32' or 'float64'")
    return result


def _float_dtype(given: np.dtype[Any], wanted: DTypeLike | None) -> np.dtype[Any]:
    if wanted is not None:
        return float_dtype(wanted)
    wide = given.kind == "f" and given.itemsize >= 8
    return np.dtype(np.float64 if wide else np.float32)


def _one_dimensional(entries: object, what: str, length: int | None) -> NDArray[Any]:
    if isinstance(entries, str | bytes) or not isinstance(entries, Iterable):
        raise TypeError(f"{what}: expected a one-dimensional array, got {type(entries).__name__}")
    if isinstance(entries, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(entries)
        if mask.any():
            at = int(mask.argmax())
            raise ValueError(f"{what}: the entry at position {at} is masked; drop that rating")
        entries = entries.data
    array = np.asarray(entries if hasattr(entries, "__array__") else list(entries))
    if array.dtype.kind not in "fiuMO" and not hasattr(entries, "__array__") and array.ndim == 1:
        # NumPy made strings of everything; the objects themselves tell which entry is at fault.
        array = np.fromiter(entries, dtype=object, count=len(array))
    if array.ndim != 1:
        raise ValueError(f"{what}: expected one dimension, got shape {array.shape}")
    if length is not None and len(array) != length:
        raise ValueError(
            f"{what}: {len(array):,} were given for {length:,} users and items; pass one per rating"
        )
    return array


def _numbers(array: NDArray[Any], describe: Callable[[int], str], what: str) -> NDArray[Any]:
    if array.dtype.kind == "O":
        return _numbers_from_objects(array.tolist(), describe, what)
    if array.dtype.kind not in "fiu":
        shown = f"{array[0].item()!r} at position 0" if len(array) else "the array"
        remedy = (
            "say what True and False are worth (astype('float32') makes them ratings of 1 and 0, "
            "and a rating of 0 is not the same as no rating)"
            if array.dtype.kind == "b"
            else _REMEDY
        )
        noun = what.removesuffix("s").replace("value", "rating")
        raise TypeError(f"{what}: {shown} is of dtype {array.dtype}, which is no {noun}; {remedy}")
    return array


def _numbers_from_objects(
    values: list[Any], describe: Callable[[int], str], what: str
) -> NDArray[Any]:
    numbers = np.empty(len(values), np.float64)
    for position, value in enumerate(values):
        try:
            numbers[position] = _number(value)
        except (TypeError, ValueError) as error:
            where = f"{what}: {shorten(value)} at {describe(position)}"
            raise type(error)(f"{where} {error}") from None
    return numbers


def _number(value: Any) -> float:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        raise ValueError("is missing; drop that rating")
    is_number = isinstance(value, Real | Decimal | np.integer | np.floating)
    if isinstance(value, bool) or not is_number:  # to Python a bool is an integer
        raise TypeError(f"is of type {type(value).__name__}, not a number; {_REMEDY}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("is too large for float64") from None


def _refuse_non_finite(
    array: NDArray[Any], given: NDArray[Any], describe: Callable[[int], str], what: str
) -> None:
    finite = np.isfinite(array)
    if finite.all():
        return
    at = int(finite.argmin())
    value = given[at].item()
    if array is given:
        raise ValueError(
            f"{what}: {value!r} at {describe(at)} is not finite; drop that rating or correct it"
        )
    raise ValueError(
        f"{what}: {value!r} at {describe(at)} is too large for {array.dtype}; pass "
        "dtype='float64' or scale the ratings"
    )


def as_times(times: object, length: int | None = None, what: str = "timestamps") -> TimeArray:
    """Return time stamps as int64, float64 or datetime64, the same array if it is one of these.

    Whole numbers become int64, other numbers stay float64, dates become datetime64; strings are
    read as ISO 8601 (``2009-07-14 12:30:00``) without a time zone.

    Raises
    ------
    ValueError
        For a missing, infinite or unreadable time, or a wrong shape.
    TypeError
        For objects that are no times.
    """
    array = _one_dimensional(times, what, length)
    if array.dtype.kind in "OTU":
        array = _from_time_objects(array.tolist(), what)
    if array.dtype.kind in "fM":
        missing = np.isnat(array) if array.dtype.kind == "M" else ~np.isfinite(array)
        if missing.any():
            at = int(missing.argmax())
            raise ValueError(
                f"{what}: {array[at]} at position {at} is no time; drop that rating or correct it"
            )
    if array.dtype.kind == "M":
        return array
    if array.dtype.kind == "f" and (array != np.rint(array)).any():
        return array.astype(np.float64, copy=False)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{what}: dtype {array.dtype} holds no times; pass numbers or dates")
    if len(array) and not -(2**63) <= int(array.min()) <= int(array.max()) < 2**63:
        raise ValueError(f"{what}: some do not fit into 64-bit integers; pass smaller numbers")
    return array.astype(np.int64, copy=False)


def _from_time_objects(values: list[Any], what: str) -> NDArray[Any]:
    if all(
        isinstance(value, int | float | np.number) and not isinstance(value, bool)
        for value in values
    ):
        return np.array(values)
    for position, value in enumerate(values):
        if isinstance(value, bool | np.bool_):
            raise TypeError(f"{what}: {value!r} at position {position} is no time")
        if getattr(value, "tzinfo", None) is not None:
            raise ValueError(
                f"{what}: {value!r} at position {position} has a time zone; convert the times to "
                "UTC and drop the zone"
            )
    try:
        return np.array(values, dtype="datetime64[us]")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{what}: not all are numbers, dates or ISO 8601 strings ({error}); convert them first"
        ) from None
