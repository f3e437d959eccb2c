"""The mathematics of R = U Vᵀ as functions, for those who bring their own optimizer.

Throughout, R is `Ratings` (N x M), U is (N, F), V is (M, F), both C-contiguous and of the same
dtype, float32 or float64. The functions run in parallel and give the same bits at any ``n_threads``
(0: all).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matfac import _core
from matfac._coerce import (
    FLOATS,
    as_ratings,
    factor_dtype,
    integer,
    native_ratings,
    number,
    output_array,
    raw_ids,
    read_factors,
    seed_from,
    threads,
    writable_factors,
)
from matfac._ratings import Ratings


def residuals(
    R: Ratings,
    U: NDArray[Any],
    V: NDArray[Any],
    *,
    out: NDArray[Any] | None = None,
    n_threads: int = 0,
) -> NDArray[Any]:
    """Return E = U Vᵀ - R on the pattern of R.

    Parameters
    ----------
    R : Ratings, shape (N, M)
    U, V : ndarray, shapes (N, F) and (M, F)
        Factors; those that are not C-contiguous are copied, with a `CopyWarning`.
    out : ndarray, shape (nnz,), optional
        Where to write E.
    n_threads : int
        0: all.

    Returns
    -------
    ndarray, shape (nnz,)
        Aligned with ``R.values`` (CSR order): ``u_n · v_m - r_nm``.

    Notes
    -----
    2F flop a rating.
    """
    R, dtype, users, items = _reading(R, U, V)
    out = output_array(out, (R.nnz,), dtype, "out")
    _core.residuals(native_ratings(R, dtype), users, items, out, threads(n_threads))
    return out


def loss(
    R: Ratings,
    U: NDArray[Any],
    V: NDArray[Any],
    *,
    loss: str = "squared",
    huber_threshold: float = 1.0,
    n_threads: int = 0,
) -> float:
    """Return L = Σ q_nm loss(r_nm, u_n · v_m), summed in float64 over the observed pairs.

    Parameters
    ----------
    R, U, V, n_threads
        As for `residuals`. q are the weights of the ratings; 1 if they have none.
    loss : str
        With e = r̂ - r, and y = 1 where r > 0, else -1:

        - ``"squared"``: ½ e²
        - ``"absolute"``: |e|
        - ``"huber"``: ½ e² where |e| ≤ t, else t (|e| - t / 2)
        - ``"kullback_leibler"``: r log(r / r̂) - r + r̂; ratings of at least 0, and estimates below
          10⁻⁶ count as 10⁻⁶
        - ``"logistic"``: log(1 + exp(-y r̂)); ratings are labels, 1 for yes and -1 or 0 for no
        - ``"hinge"``: max(0, 1 - y r̂); labels
        - ``"squared_hinge"``: ½ max(0, 1 - y r̂)²; labels
    huber_threshold : float
        t of ``"huber"``, above 0.

    Raises
    ------
    ValueError
        An unknown loss, a threshold out of range, or a rating that the loss does not allow.
    """
    R, dtype, users, items = _reading(R, U, V)
    function = _loss_function(loss, huber_threshold)
    native, count = native_ratings(R, dtype), threads(n_threads)
    with raw_ids(R):
        return float(_core.loss(native, users, items, count, *function))


def gradients(
    R: Ratings,
    U: NDArray[Any],
    V: NDArray[Any],
    *,
    loss: str = "squared",
    huber_threshold: float = 1.0,
    out: tuple[NDArray[Any], NDArray[Any]] | None = None,
    derivatives: NDArray[Any] | None = None,
    n_threads: int = 0,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the gradients of the loss, ∂L/∂U = E V and ∂L/∂V = Eᵀ U.

    E holds the derivatives of the weighted losses by the estimates: the residuals r̂ - r for
    ``"squared"``, sign(e) for ``"absolute"``, e cut to [-t, t] for ``"huber"``, 1 - r / r̂ for
    ``"kullback_leibler"``, -y / (1 + exp(y r̂)) for ``"logistic"``, and where y r̂ < 1 -y for
    ``"hinge"`` and r̂ - y for ``"squared_hinge"``, else 0.

    Parameters
    ----------
    R, U, V, loss, huber_threshold, n_threads
        As for `loss`. At the kinks of ``"absolute"`` and ``"hinge"`` the derivative is 0.
    out : pair of ndarrays, shapes (N, F) and (M, F), optional
        Where to write them; no part of U or V.
    derivatives : ndarray, shape (nnz,), optional
        Where to write E too, aligned with ``R.values`` (CSR order): without weights the `residuals`
        for ``"squared"``, for which nothing is computed twice then.

    Returns
    -------
    user_gradient, item_gradient : ndarray, shapes (N, F) and (M, F)

    Notes
    -----
    6F flop a rating, in one pass over the ratings. The second call with the same ``R`` (of the
    factors' dtype) keeps their pattern by item, some 5 bytes a rating, which makes the calls after
    it faster; the bits are the same.
    """
    R, dtype, users, items = _reading(R, U, V)
    function = _loss_function(loss, huber_threshold)
    given = (None, None) if out is None else out
    if not isinstance(given, tuple | list):
        raise TypeError(f"out: expected a pair of arrays, got {type(given).__name__}")
    if len(given) != 2:
        raise ValueError(f"out must be a pair of arrays, got {len(given)}")
    user_out = output_array(given[0], users.shape, dtype, "out[0]")
    item_out = output_array(given[1], items.shape, dtype, "out[1]")
    if derivatives is not None:
        derivatives = output_array(derivatives, (R.nnz,), dtype, "derivatives")
    native, count = native_ratings(R, dtype), threads(n_threads)
    with raw_ids(R):
        _core.gradients(native, users, items, user_out, item_out, count, *function, derivatives)
    return user_out, item_out


def pair_gradients(
    rating: float, user_row: ArrayLike, item_row: ArrayLike
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the gradients of one pair's loss ½ (r - u · v)²: -(r - u · v) v and -(r - u · v) u.

    Parameters
    ----------
    rating : float
        r, finite.
    user_row, item_row : array, shape (F,)
        u and v. Computed in float32 if both are float32, else in float64.

    Returns
    -------
    user_gradient, item_gradient : ndarray, shape (F,)
    """
    u, v = np.asarray(user_row), np.asarray(item_row)
    dtype = FLOATS[0] if u.dtype == v.dtype == FLOATS[0] else FLOATS[1]
    if u.ndim != 1 or u.shape != v.shape:
        raise ValueError(
            f"user_row and item_row must be vectors of one length, got {u.shape} and {v.shape}"
        )
    rating = number("rating", rating)
    if not np.isfinite(rating):
        raise ValueError(f"rating={rating!r} must be finite")
    u, v = np.ascontiguousarray(u, dtype), np.ascontiguousarray(v, dtype)
    user_gradient, item_gradient = np.empty_like(u), np.empty_like(v)
    _core.pair_gradients(rating, u, v, user_gradient, item_gradient)
    return user_gradient, item_gradient


def batch_step(
    R: Ratings, U: NDArray[Any], V: NDArray[Any], *, learning_rate: float, n_threads: int = 0
) -> float:
    """Take one step of gradient descent in place: U -= learning_rate E V, V -= learning_rate Eᵀ U.

    Both gradients are taken at the factors before the step. U and V must be C-contiguous and
    writeable; nothing is copied, but see `gradients`. Returns the loss before the step. A rate that
    is too large leaves factors that are not finite, and then a loss that is not: nobody looks at
    it here.
    """
    R, dtype, users, items = _writing(R, U, V)
    rate, count = number("learning_rate", learning_rate), threads(n_threads)
    return float(_core.batch_step(native_ratings(R, dtype), users, items, rate, count))


def sgd_epoch(
    R: Ratings,
    U: NDArray[Any],
    V: NDArray[Any],
    *,
    learning_rate: float,
    seed: int = 0,
    epoch: int = 0,
    n_threads: int = 0,
) -> float:
    """Take one stochastic step for each rating, in place.

    For each rating once, both rows of the pair move by -learning_rate times their
    `pair_gradients`, taken before the move. The order is pseudo-random, a function of the ratings,
    ``seed`` and ``epoch`` (see `sgd_order`); ratings that share no user and no item are worked on
    in parallel, and the result is that of the serial order, bit for bit.

    Returns the sum of the pairs' losses, each measured just before its step; it is not finite when
    a rate that is too large has left factors that are not.
    """
    R, dtype, users, items = _writing(R, U, V)
    rate = number("learning_rate", learning_rate)
    run = seed_from(seed, "seed"), integer("epoch", epoch, below=2**63), threads(n_threads)
    return float(_core.sgd_epoch(native_ratings(R, dtype), users, items, rate, *run))


def sgd_order(
    R: Ratings, *, seed: int = 0, epoch: int = 0, n_threads: int = 0
) -> NDArray[np.int64]:
    """Return the order in which `sgd_epoch` takes the ratings: positions in CSR order, (nnz,).

    Users are in a random order, items by popularity; both are cut into segments, and the blocks of
    ratings of a segment of users and one of items follow each other in a random order.
    """
    R = as_ratings(R, "R")
    run = seed_from(seed, "seed"), integer("epoch", epoch, below=2**63), threads(n_threads)
    order: NDArray[np.int64] = _core.sgd_order(native_ratings(R, R.dtype), *run)
    return order


def _loss_function(loss: object, huber_threshold: object) -> tuple[str, float]:
    if not isinstance(loss, str):
        raise TypeError(f"loss={loss!r}: expected a name, a string")
    return loss, number("huber_threshold", huber_threshold)


def _reading(
    R: Ratings, U: NDArray[Any], V: NDArray[Any]
) -> tuple[Ratings, np.dtype[Any], NDArray[Any], NDArray[Any]]:
    R = as_ratings(R, "R")
    dtype = factor_dtype(U, V)
    n_factors = _n_factors(U)
    users = read_factors(U, (R.n_users, n_factors), "U")
    return R, dtype, users, read_factors(V, (R.n_items, n_factors), "V")


def _writing(
    R: Ratings, U: NDArray[Any], V: NDArray[Any]
) -> tuple[Ratings, np.dtype[Any], NDArray[Any], NDArray[Any]]:
    R = as_ratings(R, "R")
    dtype = factor_dtype(U, V)
    n_factors = _n_factors(U)
    users = writable_factors(U, (R.n_users, n_factors), "U")
    items = writable_factors(V, (R.n_items, n_factors), "V")
    return R, dtype, users, items


def _n_factors(U: NDArray[Any]) -> int:
    if U.ndim != 2:
        raise ValueError(f"U must have two dimensions, (n_users, n_factors), got shape {U.shape}")
    return int(U.shape[1])
