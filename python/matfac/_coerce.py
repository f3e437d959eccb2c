"""Arguments brought into the form that the core takes, or refused by name."""

from __future__ import annotations

import secrets
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matfac._ratings import Ratings
from matfac._warnings import CopyWarning, warn_user

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def as_ratings(data: object, what: str = "ratings") -> Ratings:
    """Return ``data`` as `Ratings`: itself, or built from a SciPy sparse matrix or a data frame."""
    if isinstance(data, Ratings):
        return data
    sparse = sys.modules.get("scipy.sparse")
    if sparse is not None and sparse.issparse(data):
        return Ratings.from_csr(data)
    if hasattr(data, "__dataframe__") or hasattr(data, "__arrow_c_stream__"):
        return Ratings.from_frame(data)
    raise TypeError(
        f"{what}: expected Ratings, a SciPy sparse matrix or a data frame, got "
        f"{type(data).__name__}; build one with Ratings.from_arrays(users, items, values)"
    )


def factor_dtype(user_factors: object, item_factors: object) -> np.dtype[Any]:
    """Return the common dtype of two factor matrices: float32 or float64, the same for both."""
    dtypes = []
    for name, array in (("user_factors", user_factors), ("item_factors", item_factors)):
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}: expected a NumPy array, got {type(array).__name__}")
        if array.dtype not in FLOATS:
            raise TypeError(f"{name}: expected float32 or float64, got dtype {array.dtype}")
        dtypes.append(array.dtype)
    if dtypes[0] != dtypes[1]:
        raise TypeError(
            f"user_factors are {dtypes[0]} and item_factors {dtypes[1]}; they must be the same"
        )
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
    """Return factors that are to be updated in place; anything that would need a copy is refused."""
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
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        found = f"dtype {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(f"{what}: expected a NumPy array of {dtype}, got {found}")
    check_shape(out, shape, what)
    if not is_plain(out) or not out.flags.writeable:
        raise ValueError(f"{what} must be C-contiguous, aligned and writeable")
    return out


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
    return ratings.astype(dtype)._native


def seed_from(random_state: object) -> int:
    """Return a seed for the core: an int is one; None is a fresh one; generators are asked."""
    if random_state is None:
        return secrets.randbits(63)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer):
        raise TypeError(
            f"random_state={random_state!r}: expected an integer, None or a NumPy generator"
        )
    if not 0 <= random_state < 2**64:
        raise ValueError(f"random_state={random_state!r} must be in [0, 2**64)")
    return int(random_state)


def threads(n_threads: object) -> int:
    """Return a number of threads after checking it; 0 stands for all."""
    if isinstance(n_threads, bool) or not isinstance(n_threads, int | np.integer):
        raise TypeError(f"n_threads={n_threads!r}: expected an integer (0: all)")
    if not 0 <= n_threads < 2**31:
        raise ValueError(f"n_threads={n_threads} must be at least 0 (0: all)")
    return int(n_threads)
