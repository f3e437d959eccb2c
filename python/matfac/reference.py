"""NumPy twins of the native core: short, obvious and slow.

Each function says in a few lines of NumPy what the function of the same name computes, in whatever
floating-point type its arguments have. The tests compare the two; the rest of the package never
imports this module. It is also the place to look up a formula.

Throughout, R (N x M) is anything with the attributes of `Rows`, such as `matfac.Ratings`; U is
(N, F), V is (M, F); users and items are codes, that is row numbers, not raw ids.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PerSide = float | tuple[float, float]

# What the streams of random numbers are for; those of the items follow those of the users.
_USER_FACTORS, _USER_ORDER, _BLOCK_ORDER = 1, 3, 5


class Rows(Protocol):
    """Compressed rows: ``items[offsets[n]:offsets[n + 1]]`` and ``values`` alike are user n's."""

    @property
    def offsets(self) -> Array:
        """(N + 1,)."""

    @property
    def items(self) -> Array:
        """(nnz,) codes."""

    @property
    def values(self) -> Array:
        """(nnz,) ratings."""

    @property
    def shape(self) -> tuple[int, int]:
        """(N, M)."""


@dataclass(frozen=True)
class Model:
    """The parameters of r̂_nm = mu + b_n + c_m + u_n · v_m; the biases are None without biases."""

    user_factors: Array
    item_factors: Array
    user_biases: Array | None = None
    item_biases: Array | None = None
    global_mean: float = 0.0


@dataclass(frozen=True)
class Penalty:
    """λ, β and the exponent of the count weights; a number stands for both sides, (user, item)."""

    regularization: PerSide = 0.0
    bias_regularization: PerSide = 0.0
    regularization_exponent: float = 1.0

    def of(self, side: int) -> tuple[float, float]:
        """Return (λ, β) of a side: 0 users, 1 items."""
        pairs = (self.regularization, self.bias_regularization)
        factor, bias = (pair[side] if isinstance(pair, tuple) else pair for pair in pairs)
        return factor, bias

    def turned(self) -> Penalty:
        """Return the same with users and items exchanged."""
        (a, b), (c, d) = self.of(1), self.of(0)
        return Penalty((a, c), (b, d), self.regularization_exponent)


# ---- the operations --------------------------------------------------------------------------


def user_codes(R: Rows) -> Array:
    """Return the user of each rating, (nnz,), in CSR order."""
    return np.repeat(np.arange(R.shape[0]), np.diff(R.offsets))


def residuals(R: Rows, U: Array, V: Array) -> Array:
    """Return e_nm = u_n · v_m - r_nm on the pattern of R, (nnz,)."""
    e: Array = np.sum(U[user_codes(R)] * V[R.items], axis=1) - R.values
    return e


def loss(R: Rows, U: Array, V: Array) -> float:
    """Return L = ½ Σ e_nm²."""
    return 0.5 * float(np.sum(residuals(R, U, V) ** 2))


def gradients(R: Rows, U: Array, V: Array) -> tuple[Array, Array]:
    """Return ∂L/∂U = E V, (N, F), and ∂L/∂V = Eᵀ U, (M, F)."""
    users, e = user_codes(R), residuals(R, U, V)[:, None]
    dU, dV = np.zeros_like(U), np.zeros_like(V)
    np.add.at(dU, users, e * V[R.items])
    np.add.at(dV, R.items, e * U[users])
    return dU, dV


def pair_gradients(rating: float, u: Array, v: Array) -> tuple[Array, Array]:
    """Return the gradients of ½ (r - u · v)²: -(r - u · v) v and -(r - u · v) u, both (F,)."""
    e = u @ v - rating
    return e * v, e * u


def batch_step(R: Rows, U: Array, V: Array, *, learning_rate: float) -> float:
    """Step in place against both gradients, taken before the step; return the loss before it."""
    before, (dU, dV) = loss(R, U, V), gradients(R, U, V)
    U -= learning_rate * dU
    V -= learning_rate * dV
    return before


def sgd_epoch(R: Rows, U: Array, V: Array, *, learning_rate: float, order: Array) -> float:
    """Step in place against the pair gradients of each rating, one after the other, in ``order``.

    ``order`` holds positions in CSR order, (nnz,), as `matfac.sgd_order` returns them. Returns the
    sum of the pair losses, each taken before its step.
    """
    users, losses = user_codes(R), np.zeros(len(order))
    for i in order:
        n, m = users[i], R.items[i]
        losses[i] = 0.5 * (U[n] @ V[m] - R.values[i]) ** 2
        du, dv = pair_gradients(R.values[i], U[n], V[m])
        U[n] -= learning_rate * du
        V[m] -= learning_rate * dv
    return float(np.sum(losses))


# ---- the objective ---------------------------------------------------------------------------


def counts(R: Rows) -> tuple[Array, Array]:
    """Return the number of ratings of each user, (N,), and of each item, (M,)."""
    return np.diff(R.offsets), np.bincount(R.items, minlength=R.shape[1])


def count_weights(count: Array, exponent: float) -> Array:
    """Return w = count ** exponent, and 0 for a row without ratings."""
    return np.where(count > 0, np.maximum(count, 1.0) ** exponent, 0.0)


def estimates(R: Rows, model: Model) -> Array:
    """Return r̂_nm on the pattern of R, (nnz,)."""
    return predict(model, user_codes(R), R.items)


def penalty_of(R: Rows, model: Model, penalty: Penalty) -> float:
    """Return ½ Σ_n w_n (λ_U |u_n|² + β_U b_n²) + ½ Σ_m w_m (λ_V |v_m|² + β_V c_m²)."""
    total = 0.0
    sides = (model.user_factors, model.user_biases), (model.item_factors, model.item_biases)
    for side, (factors, biases) in enumerate(sides):
        weights = count_weights(counts(R)[side], penalty.regularization_exponent)
        factor, bias = penalty.of(side)
        total += 0.5 * factor * float(np.sum(weights[:, None] * factors**2))
        if biases is not None:
            total += 0.5 * bias * float(np.sum(weights * biases**2))
    return total


def objective(R: Rows, model: Model, penalty: Penalty) -> float:
    """Return ½ Σ (r_nm - r̂_nm)² + the penalty."""
    return 0.5 * float(np.sum((R.values - estimates(R, model)) ** 2)) + penalty_of(
        R, model, penalty
    )


# ---- alternating least squares ---------------------------------------------------------------


def transpose(R: Rows) -> Rows:
    """Return the ratings by item: row m lists the users who rated item m, ascending."""
    by_item = np.argsort(R.items, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(counts(R)[1])])
    return _Rows(offsets, user_codes(R)[by_item], R.values[by_item], (R.shape[1], R.shape[0]))


def fold_in(R: Rows, model: Model, penalty: Penalty) -> tuple[Array, Array | None]:
    """Return the factors (and biases) of users that are best for the items' held fixed.

    For each row n of R, a user with ratings r_nm, minimizes over (u, b) ::

        ½ Σ_m (r_nm - mu - c_m - b - v_m · u)² + ½ w_n (λ |u|² + β b²)

    and takes the minimizer of least norm where it is not unique. A user without ratings is zero.
    """
    fixed, with_bias = model.item_factors, model.item_biases is not None
    n_factors, (factor, bias) = fixed.shape[1], penalty.of(0)
    diagonal = np.array([factor] * n_factors + [bias] * with_bias)
    weights = count_weights(np.diff(R.offsets), penalty.regularization_exponent)
    solution = np.zeros((R.shape[0], len(diagonal)), fixed.dtype)
    for n in np.flatnonzero(np.diff(R.offsets)):
        rated = slice(R.offsets[n], R.offsets[n + 1])
        codes, target = R.items[rated], R.values[rated] - model.global_mean
        columns = fixed[codes]
        if model.item_biases is not None:
            target = target - model.item_biases[codes]
            columns = np.column_stack([columns, np.ones(len(codes))])
        system = columns.T @ columns + np.diag(weights[n] * diagonal)
        if np.all(diagonal > 0):
            solution[n] = np.linalg.solve(system, columns.T @ target)
        else:
            solution[n] = np.linalg.pinv(system, rcond=1e-13, hermitian=True) @ columns.T @ target
    return solution[:, :n_factors], solution[:, n_factors] if with_bias else None


def als_sweep(R: Rows, model: Model, penalty: Penalty) -> Model:
    """Return the model after a sweep: all users given the items, then all items given the users."""
    U, b = fold_in(R, model, penalty)
    turned = Model(model.item_factors, U, model.item_biases, b, model.global_mean)
    V, c = fold_in(transpose(R), turned, penalty.turned())
    return Model(U, V, b, c, model.global_mean)


# ---- conjugate gradients ---------------------------------------------------------------------


def objective_gradient(R: Rows, model: Model, penalty: Penalty) -> Model:
    """Return the gradient of `objective` by each parameter but mu, which is not fitted."""
    users, e = user_codes(R), estimates(R, model) - R.values
    slopes: list[Array | None] = []
    parts = (model.user_factors, model.user_biases), (model.item_factors, model.item_biases)
    for side, (factors, biases) in enumerate(parts):
        own, other = ((users, R.items), (R.items, users))[side]
        weights = count_weights(counts(R)[side], penalty.regularization_exponent)
        factor, bias = penalty.of(side)
        slope = weights[:, None] * factor * factors
        np.add.at(slope, own, e[:, None] * parts[1 - side][0][other])
        slopes.append(slope)
        sums = np.bincount(own, e, len(weights))
        slopes.append(None if biases is None else weights * bias * biases + sums)
    return _model_of(slopes)


def batch_fit(R: Rows, model: Model, penalty: Penalty, n_iter: int) -> Model:
    """Return the model after ``n_iter`` steps of preconditioned conjugate gradients.

    The direction is d = -P g + max(0, g · P (g - g₋) / g₋ · P₋ g₋) d₋ (Polak and Ribière), with
    P the inverse of each row's mean diagonal curvature, and the step is the first minimum of the
    quartic that the objective is along d.
    """
    direction = before = np.zeros_like(_flat(model))
    slope_before = np.inf
    for _ in range(n_iter):
        gradient = _flat(objective_gradient(R, model, penalty))
        scale = _flat(_inverse_curvature(R, model, penalty))
        slope, overlap = gradient @ (scale * gradient), gradient @ (scale * before)
        direction = max(0.0, (slope - overlap) / slope_before) * direction - scale * gradient
        before, slope_before = gradient, slope
        step = _first_minimum(_along(R, model, direction, penalty))
        model = _moved(model, step, direction)
    return model


def _along(R: Rows, model: Model, direction: Array, penalty: Penalty) -> np.polynomial.Polynomial:
    """Return the objective at ``model + t direction`` as a polynomial in t, of degree 4."""
    points = [_moved(model, t, direction) for t in (-1, 0, 1)]
    # The residuals and the penalty are quadratic in t: three points give them exactly.
    constant, linear, square = _parabola([estimates(R, p) - R.values for p in points])
    penalties = np.polynomial.Polynomial(_parabola([penalty_of(R, p, penalty) for p in points]))
    squares = [
        constant @ constant,
        2 * constant @ linear,
        linear @ linear + 2 * constant @ square,
        2 * linear @ square,
        square @ square,
    ]
    return 0.5 * np.polynomial.Polynomial(squares) + penalties


def _parabola(values: list[Any]) -> list[Any]:
    low, middle, high = values
    return [middle, (high - low) / 2, (high + low) / 2 - middle]


def _first_minimum(polynomial: np.polynomial.Polynomial) -> float:
    roots = polynomial.deriv().roots()
    real = roots[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].real
    return float(np.min(real[real > 0]))


def _inverse_curvature(R: Rows, model: Model, penalty: Penalty) -> Model:
    # Per row: count * (mean square of the factors it meets) + w λ; for a bias: count + w β.
    scales: list[Array | None] = []
    parts = (model.user_factors, model.user_biases), (model.item_factors, model.item_biases)
    for side, (factors, biases) in enumerate(parts):
        count, other = counts(R)[side], counts(R)[1 - side]
        weights = count_weights(count, penalty.regularization_exponent)
        factor, bias = penalty.of(side)
        seen = parts[1 - side][0]
        mean_square = np.sum(other[:, None] * seen**2) / (len(R.values) * seen.shape[1])
        curvature = _inverse(count * mean_square + weights * factor)
        scales.append(np.repeat(curvature[:, None], factors.shape[1], axis=1))
        scales.append(None if biases is None else _inverse(count + weights * bias))
    return _model_of(scales)


def _inverse(x: Array) -> Array:
    return np.divide(1.0, x, out=np.zeros(len(x)), where=x > 0)


# ---- stochastic descent ----------------------------------------------------------------------


def sgd_order(
    R: Rows, n_factors: int, *, seed: int = 0, epoch: int = 0, dtype: str = "float32"
) -> Array:
    """Return the order in which an epoch takes the ratings: positions in CSR order, (nnz,).

    The grid of `sgd_blocks` is taken block by block, as `sgd_block_order` says.
    """
    blocks = sgd_blocks(R, n_factors, seed=seed, dtype=dtype)
    order = sgd_block_order(len(blocks), len(blocks[0]), seed=seed, epoch=epoch)
    return np.concatenate([blocks[row][column] for row, column in order])


def sgd_blocks(
    R: Rows, n_factors: int, *, seed: int = 0, dtype: str = "float32"
) -> list[list[Array]]:
    """Return the ratings of each block of the grid, as positions in CSR order.

    Users and items are put in a random order and cut into segments of about equally many ratings; a
    block is what a segment of users and one of items have in common, by user and then in CSR order;
    its four quarters are taken in turn, an entry of each, so that neighbours can run side by side.
    There are about √(nnz / 512) segments, or more if the rows of the items would not fit a cache.
    """
    positions, segments = [], []
    row_bytes = 64 * (-(-n_factors * np.dtype(dtype).itemsize // 64))
    for_threads = min(max(int(np.sqrt(len(R.values) / 512)), 1), 32)
    for_cache = min(R.shape[1] * row_bytes // (256 * 1024), 256)
    for side, count in enumerate(counts(R)):
        order = _random_order(len(count), seed, _USER_ORDER + side, 0)
        position = np.empty(len(order), int)
        position[order] = np.arange(len(order))
        positions.append(position)
        bounds = _segments(count[order], max(for_threads, for_cache))
        segments.append(np.searchsorted(bounds, position, side="right") - 1)
    users = user_codes(R)
    by_user = np.argsort(positions[0][users], kind="stable")
    rows, columns = segments[0][users][by_user], segments[1][R.items][by_user]
    n_rows, n_columns = (int(segment.max()) + 1 for segment in segments)
    by_row = [(by_user[rows == r], columns[rows == r]) for r in range(n_rows)]
    return [[_in_strips(entries[at == c]) for c in range(n_columns)] for entries, at in by_row]


def _in_strips(entries: Array) -> Array:
    whole = len(entries) // 4 * 4
    return np.concatenate([entries[:whole].reshape(4, -1).T.ravel(), entries[whole:]])


def sgd_block_order(
    n_rows: int, n_columns: int, *, seed: int = 0, epoch: int = 0
) -> list[tuple[int, int]]:
    """Return the blocks (row, column) of the grid in the order of an epoch.

    Rounds of a Latin square in a random order: round t pairs row i with column i + t, so that the
    blocks of a round have no user and no item in common.
    """
    side = max(n_rows, n_columns)
    rounds = _random_order(side, seed, _BLOCK_ORDER, 2 * epoch)
    rows = _random_order(side, seed, _BLOCK_ORDER, 2 * epoch + 1)
    pairs = [(int(rows[i]), int(i + t) % side) for t in rounds for i in range(side)]
    return [(row, column) for row, column in pairs if row < n_rows and column < n_columns]


def sgd_fit(
    R: Rows,
    model: Model,
    penalty: Penalty,
    n_iter: int,
    *,
    learning_rate: float,
    seed: int = 0,
    dtype: str = "float32",
) -> tuple[Model, list[float]]:
    """Return the model after ``n_iter`` epochs, and the objective of each as it is measured.

    With g = r̂ - r, in units in which the ratings' deviation s is 1, and n the ratings of a row::

        u := (u - η g v) / (1 + η λ w / n),    b := (b - ν g) / (1 + ν β w / n),    v, c alike
        η = learning_rate / √(1 + n T / 50),   ν = learning_rate / √(1 + n T)

    T is the time in epochs: the middle of the current block in the first epoch, the middle of the
    epoch later. Where |g| > 3 it is divided by 1 + η_u |v|² + η_v |u|² + ν_b + ν_c (the rates with
    their denominators). ``dtype`` is that of the native run, on which the order depends.
    """
    s = float(np.sqrt(np.mean((R.values - model.global_mean) ** 2))) or 1.0
    x = _scaled(model, 1 / s)
    in_units = replace(penalty, regularization=(penalty.of(0)[0] / s, penalty.of(1)[0] / s))
    ratings = _Rows(R.offsets, R.items, (R.values - model.global_mean) / s, R.shape)
    n_factors = model.user_factors.shape[1]
    blocks = sgd_blocks(R, n_factors, seed=seed, dtype=dtype)
    objectives = []
    for epoch in range(n_iter):
        order = sgd_block_order(len(blocks), len(blocks[0]), seed=seed, epoch=epoch)
        total = 0.0
        for i, (row, column) in enumerate(order):
            time = epoch + 0.5 if epoch else (i + 0.5) / len(order)
            total += _sgd_block(ratings, x, in_units, blocks[row][column], time, learning_rate)
        objectives.append(s * s * (total + penalty_of(R, x, in_units)))
    return _scaled(x, s), objectives


def _sgd_block(
    R: Rows, x: Model, penalty: Penalty, block: Array, time: float, learning_rate: float
) -> float:
    """Take the steps of a block in place, and return the sum of the losses before each."""
    rates = []
    for side, count in enumerate(counts(R)):
        per_rating = count_weights(count, penalty.regularization_exponent) / np.maximum(count, 1)
        factor, bias = penalty.of(side)
        eta = learning_rate / np.sqrt(1 + count * time / 50)
        nu = learning_rate / np.sqrt(1 + count * time) * (x.user_biases is not None)
        shrink, bias_shrink = 1 / (1 + eta * factor * per_rating), 1 / (1 + nu * bias * per_rating)
        rates.append((eta * shrink, shrink, nu * bias_shrink, bias_shrink))
    users, total = user_codes(R), 0.0
    for i in block:
        n, m = users[i], R.items[i]
        u, v = x.user_factors[n].copy(), x.item_factors[m].copy()
        g = u @ v - R.values[i]
        if x.user_biases is not None and x.item_biases is not None:
            g += x.user_biases[n] + x.item_biases[m]
        total += 0.5 * g * g
        (eta_u, shrink_u, nu_b, shrink_b), (eta_v, shrink_v, nu_c, shrink_c) = (
            [rate[code] for rate in side] for side, code in zip(rates, (n, m), strict=True)
        )
        if abs(g) > 3:
            g /= 1 + eta_u * (v @ v) + eta_v * (u @ u) + nu_b + nu_c
        x.user_factors[n] = shrink_u * u - eta_u * g * v
        x.item_factors[m] = shrink_v * v - eta_v * g * u
        if x.user_biases is not None and x.item_biases is not None:
            x.user_biases[n] = shrink_b * x.user_biases[n] - nu_b * g
            x.item_biases[m] = shrink_c * x.item_biases[m] - nu_c * g
    return total


def _scaled(model: Model, scale: float) -> Model:
    """Return copies of the parameters for estimates times ``scale``; mu stays."""
    b, c = (None if x is None else x * scale for x in (model.user_biases, model.item_biases))
    root = np.sqrt(scale)
    return Model(model.user_factors * root, model.item_factors * root, b, c, model.global_mean)


def _random_order(n: int, seed: int, stream: int, part: int) -> Array:
    """Return a permutation of 0..n-1: the shuffle of Fisher and Yates with counted numbers."""
    index = np.arange(n, dtype=np.uint64)
    words = _random_words(seed, stream, np.full_like(index, part), index)[0]
    order = np.arange(n)
    for i in range(n - 1, 0, -1):
        j = (int(words[i]) * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]
    return order


def _segments(count: Array, n_segments: int) -> Array:
    """Return where segments of about equal count begin, none of them longer than 2**16."""
    n_segments = max(1, min(n_segments, len(count)))
    sums = np.concatenate([[0], np.cumsum(count)])
    targets = [int(float(sums[-1]) * p / n_segments) for p in range(1, n_segments)]
    cuts = np.unique([0, *np.searchsorted(sums[:-1], targets), len(count)])
    return np.concatenate([np.arange(a, b, 2**16) for a, b in pairwise(cuts)])


# ---- the model -------------------------------------------------------------------------------


def initial_factors(n_rows: int, n_factors: int, init_std: float, seed: int, side: int) -> Array:
    """Return the random start of a side (0 users, 1 items), (n_rows, F), in float64.

    Entry (i, f) is number f % 4 of the four standard normal numbers that Box and Muller make, two
    words at a time, of the random words number f // 4 of row i; times ``init_std``.
    """
    groups = -(-n_factors // 4)
    rows, columns = np.meshgrid(np.arange(n_rows), np.arange(groups), indexing="ij")
    words = _random_words(seed, _USER_FACTORS + side, rows, columns)
    a, b, c, d = ((word.astype(np.float64) + 0.5) / 2**32 for word in words)
    normals = [
        np.sqrt(-2 * np.log(radius)) * turn(2 * np.pi * angle)
        for radius, angle in ((a, b), (c, d))
        for turn in (np.cos, np.sin)
    ]
    return init_std * np.stack(normals, axis=2).reshape(n_rows, 4 * groups)[:, :n_factors]


def predict(model: Model, users: Array, items: Array) -> Array:
    """Return r̂ of each pair of codes, (n,); a code of -1 is unknown and adds nothing."""
    users, items = np.asarray(users), np.asarray(items)
    known = (users >= 0) & (items >= 0)
    products = np.sum(model.user_factors[users] * model.item_factors[items], axis=1)
    total = model.global_mean + np.where(known, products, 0)
    if model.user_biases is not None:
        total = total + np.where(users >= 0, model.user_biases[users], 0)
    if model.item_biases is not None:
        total = total + np.where(items >= 0, model.item_biases[items], 0)
    return total


def rmse(R: Rows, model: Model) -> float:
    """Return √(mean (r̂ - r)²) over the ratings."""
    return float(np.sqrt(np.mean((estimates(R, model) - R.values) ** 2)))


def recommend(
    model: Model, users: Array, n: int, seen: tuple[Array, Array] | None = None
) -> tuple[Array, Array]:
    """Return the n best items of each user and their estimates, both (len(users), n).

    Best first, ties by the lower code. ``seen`` is (offsets, items), one row per entry of
    ``users``, and left out. Where fewer than n items remain the rest is -1 and -inf.
    """
    all_items = np.arange(len(model.item_factors))
    scores = np.stack([predict(model, np.full(len(all_items), u), all_items) for u in users])
    if seen is not None:
        for row, start, end in zip(scores, seen[0][:-1], seen[0][1:], strict=True):
            row[seen[1][start:end]] = -np.inf
    return _best(scores, n)


def similar_items(item_factors: Array, items: Array, n: int) -> tuple[Array, Array]:
    """Return the n items of highest cosine with each given one, and the cosines, (len(items), n).

    The item itself is left out; the cosine with a row of zeros is 0. Order and filling are those of
    `recommend`.
    """
    norms = np.linalg.norm(item_factors, axis=1)
    unit = item_factors / np.where(norms > 0, norms, 1)[:, None]
    cosines = unit[items] @ unit.T
    cosines[np.arange(len(items)), items] = -np.inf
    return _best(cosines, n)


def _best(scores: Array, n: int) -> tuple[Array, Array]:
    items = np.full((len(scores), n), -1)
    best = np.full((len(scores), n), -np.inf)
    for row, (item_row, score_row) in zip(scores, zip(items, best, strict=True), strict=True):
        order = np.argsort(-row, kind="stable")[:n]
        order = order[row[order] > -np.inf]
        item_row[: len(order)] = order
        score_row[: len(order)] = row[order]
    return items, best


# ---- inside ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    offsets: Array
    items: Array
    values: Array
    shape: tuple[int, int]


def _random_words(seed: int, stream: int, part: Array, index: Array) -> list[Array]:
    """Return the four 32-bit words of each counter: Philox4x32-10 (Salmon et al., SC 2011)."""
    low, shift = np.uint64(2**32 - 1), np.uint64(32)
    part = part.astype(np.uint64)
    x = [index.astype(np.uint64), np.full_like(part, stream), part & low, part >> shift]
    key = [seed % 2**32, seed // 2**32]
    for _ in range(10):
        product0, product1 = np.uint64(0xD2511F53) * x[0], np.uint64(0xCD9E8D57) * x[2]
        x = [
            (product1 >> shift) ^ x[1] ^ np.uint64(key[0]),
            product1 & low,
            (product0 >> shift) ^ x[3] ^ np.uint64(key[1]),
            product0 & low,
        ]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return x


def _model_of(parts: list[Array | None]) -> Model:
    U, b, V, c = parts
    assert U is not None and V is not None
    return Model(U, V, b, c)


def _flat(model: Model) -> Array:
    parts = (model.user_factors, model.item_factors, model.user_biases, model.item_biases)
    return np.concatenate([part.ravel() for part in parts if part is not None])


def _moved(model: Model, step: float, direction: Array) -> Model:
    """Return the model whose parameters, laid out as in `_flat`, are x + step * direction."""
    moved: dict[str, Any] = {}
    for name in ("user_factors", "item_factors", "user_biases", "item_biases"):
        part = getattr(model, name)
        if part is not None:
            own, direction = direction[: part.size], direction[part.size :]
            moved[name] = part + step * own.reshape(part.shape)
    return replace(model, **moved)
