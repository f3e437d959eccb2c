"""Arguments brought into the form that the core takes, or refused by name."""

from __future__ import annotations

import math
import operator
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

import numpy as np
from numpy.typing import NDArray

from matfac._warnings import CopyWarning, warn_user

if TYPE_CHECKING:
    from matfac._ratings import Ratings

CACHE_LINE = 64  # bytes
_CODES = re.compile(r"\(user code (\d+), item code (\d+)\)")
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def as_ratings(data: object, what: str = "ratings") -> Ratings:
    """Return ``data`` as `Ratings`: itself, or built from a SciPy sparse matrix or a data frame."""
    from matfac._ratings import Ratings  # which needs this module

    if isinstance(data, Ratings):
        return data
    sparse = sys.modules.get("scipy.sparse")
    if sparse is not None and sparse.issparse(data):
        return Ratings.from_csr(data)
    if hasattr(data, "__dataframe__") or hasattr(data, "__arrow_c_stream__"):
        return Ratings.from_frame(data)
    remedy = "build one with Ratings.from_arrays(users, items, values)"
    if isinstance(data, str | os.PathLike):
        remedy = "read a file with Ratings.read(path)"
    raise TypeError(
        f"{what}: expected Ratings, a SciPy sparse matrix or a data frame, got "
        f"{type(data).__name__}; {remedy}"
    )


def factor_dtype(U: object, V: object) -> np.dtype[Any]:
    """Return the common dtype of two factor matrices: float32 or float64, the same for both."""
    dtypes: list[np.dtype[Any]] = []
    for name, array in (("U", U), ("V", V)):
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}: expected a NumPy array, got {type(array).__name__}")
        if array.dtype not in FLOATS:
            raise TypeError(f"{name}: expected float32 or float64, got dtype {array.dtype}")
        dtypes.append(array.dtype)
    if dtypes[0] != dtypes[1]:
        raise TypeError(f"U is {dtypes[0]} and V is {dtypes[1]}; they must be the same")
    return dtypes[0]


def read_factors(array: NDArray[Any], shape: tuple[int, int], what: str) -> NDArray[Any]:
    """Return factors for reading: as they lie when C-contiguous, else a copy with a warning."""
    check_shape(array, shape, what)
    if is_plain(array):
        return array
    warn_user(
        f"{what} is not C-contiguous and was copied ({array.nbytes:,} bytes); pass "
        "np.ascontiguousarray(...) to copy it once",
        CopyWarning,
    )
    return np.array(array, order="C")


def writable_factors(array: NDArray[Any], shape: tuple[int, int], what: str) -> NDArray[Any]:
    """Return factors that are to be updated in place; what would need a copy is refused."""
    check_shape(array, shape, what)
    if not is_plain(array):
        raise ValueError(f"{what} is updated in place, so it must be C-contiguous and aligned")
    if not array.flags.writeable:
        raise ValueError(f"{what} is updated in place, but it is read-only; pass a copy")
    return array


def output_array(
    out: NDArray[Any] | None, shape: tuple[int, ...], dtype: np.dtype[Any], what: str
) -> NDArray[Any]:
    """Return ``out`` after checking it, or a new array when it is None."""
    if out is None:
        return aligned_empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        found = f"dtype {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(f"{what}: expected a NumPy array of {dtype}, got {found}")
    check_shape(out, shape, what)
    if not is_plain(out) or not out.flags.writeable:
        raise ValueError(f"{what} must be C-contiguous, aligned and writeable")
    return out


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array like `numpy.empty` that begins at a line of the processor's cache.

    NumPy's own large arrays begin 16 bytes after one, so that each row lies on one line more.
    """
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(n_bytes + CACHE_LINE, np.uint8)
    begin = -memory.ctypes.data % CACHE_LINE
    return memory[begin : begin + n_bytes].view(dtype).reshape(shape)


def is_plain(array: NDArray[Any]) -> bool:
    """Whether the core can take the array where it lies."""
    return array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative


def check_shape(array: NDArray[Any], shape: tuple[int, ...], what: str) -> None:
    """Refuse an array of another shape."""
    if array.shape != shape:
        raise ValueError(f"{what} has shape {array.shape}, expected {shape}")


def native_ratings(ratings: Ratings, dtype: np.dtype[Any]) -> Any:
    """Return the core's ratings in the given dtype; converting the values is worth a warning."""
    if ratings.dtype != dtype:
        warn_user(
            f"the ratings are {ratings.dtype} and the factors {dtype}: {ratings.nnz:,} values were "
            f"converted for this call; keep R.astype('{dtype}') and pass that",
            CopyWarning,
        )
    return as_native(ratings, dtype)


def as_native(ratings: Ratings, dtype: np.dtype[Any]) -> Any:
    """Return the core's ratings in the given dtype.

    The dtype, known only when the program runs, decides which of the core's two classes it is, and
    which overload of the core's functions is meant; hence ``Any``.
    """
    return ratings.astype(dtype)._native


@contextmanager
def raw_ids(ratings: Ratings) -> Iterator[None]:
    """Make the core's complaints about a rating name its raw ids: the core knows codes only."""
    try:
        yield
    except ValueError as error:
        found = _CODES.search(str(error))
        if found is None:
            raise
        user, item = ratings.user_ids[int(found[1])], ratings.item_ids[int(found[2])]
        ids = f"(user {user.item()!r}, item {item.item()!r})"
        raise type(error)(_CODES.sub(lambda _: ids, str(error))) from None


def seed_from(random_state: object, what: str = "random_state") -> int:
    """Return a seed for the core: an int is one; None is a fresh one; generators are asked."""
    if random_state is None:
        return secrets.randbits(63)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    return integer(
        what, random_state, least=0, below=2**64, expected="an integer, None or a NumPy generator"
    )


def generator_from(random_state: object) -> np.random.Generator:
    """Return a generator: a given one itself, else one of its own from an int or from None."""
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    return np.random.default_rng(seed_from(random_state))


def threads(n_threads: object) -> int:
    """Return a number of threads after checking it; 0 stands for all."""
    count = integer("n_threads", n_threads, expected="an integer (0: all)")
    if count < 0:
        raise ValueError(f"n_threads={count} must be at least 0 (0: all)")
    return count


def integer(
    name: str,
    value: object,
    *,
    least: int | None = None,
    below: int = 2**31,
    expected: str = "an integer",
) -> int:
    """Return an integer after checking its type and range; a bool is none."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        found = operator.index(cast("SupportsIndex", value))  # asks no protocol: that takes long
    except TypeError:
        raise TypeError(f"{name}={value!r}: expected {expected}") from None
    if least is not None and found < least:
        raise ValueError(f"{name}={found} must be at least {least}")
    if not -below <= found < below:
        raise ValueError(f"{name}={found} is out of range: it must be less than {below}")
    return found


def number(name: str, value: object, expected: str = "a number") -> float:
    """Return a float after checking that ``value`` is a number; its range is the core's matter."""
    if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer):
        raise TypeError(f"{name}={value!r}: expected {expected}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}={value!r} is too large for a float") from None


def flag(name: str, value: object) -> bool:
    """Return a bool; a string such as "no" is not taken for true."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}={value!r}: expected True or False")
    return bool(value)


def per_side(name: str, value: object) -> tuple[float, float] | None:
    """Return (user, item) for a number or a pair; None stays None."""
    if value is None:
        return None
    expected = "a number, a (user, item) pair of numbers or None"
    pair = tuple(value) if isinstance(value, tuple | list | np.ndarray) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"{name}={value!r}: expected {expected}")
    return number(name, pair[0], expected), number(name, pair[1], expected)
