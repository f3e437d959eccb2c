"""Alternating least squares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from matfac.reference._operations import count_weights, counts, user_codes
from matfac.reference._types import Array, Model, Penalty, PerSide, Rows, StoredRows, weights_of

#: Of a loss: the weights and targets of the parabolas ½ w (target - r̂)² that touch it at r̂ = x.
Majorizer = Callable[[Array, Array], tuple[Array, Array]]
#: Passes of coordinate descent over a row.
MAX_PASSES = 32


@dataclass(frozen=True)
class AlsMethod:
    """What a row's problem is made of beside squared errors, and how it is solved.

    ``majorizer`` stands for a loss that is not squared. ``implicit`` holds (w_0, c) of the loss of
    all pairs. ``row_solver`` is "cholesky" (exact), "conjugate_gradient" or "subspace"; with
    ``l1_regularization`` or ``nonnegative`` each row is solved by coordinate descent, until no
    coordinate moves by more than ``least_change`` of the largest.
    """

    majorizer: Majorizer | None = None
    implicit: tuple[float, float] | None = None
    l1_regularization: PerSide = 0.0
    nonnegative: bool = False
    row_solver: str = "cholesky"
    cg_steps: int = 3
    subspace_size: int = 64
    least_change: float = 1e-10

    def l1_of(self, side: int) -> float:
        """Return κ of a side: 0 users, 1 items."""
        pair = self.l1_regularization
        return pair[side] if isinstance(pair, tuple) else pair

    def turned(self) -> AlsMethod:
        """Return the same with users and items exchanged."""
        return replace(self, l1_regularization=(self.l1_of(1), self.l1_of(0)))


def transpose(R: Rows) -> Rows:
    """Return the ratings by item: row m lists the users who rated item m, ascending."""
    by_item = np.argsort(R.items, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(counts(R)[1])])
    users, shape = user_codes(R)[by_item], (R.shape[1], R.shape[0])
    return StoredRows(offsets, users, R.values[by_item], shape, weights_of(R)[by_item])


@dataclass(frozen=True)
class _System:
    """A row's problem ½ x'Ax - h'x + κ |x|₁, x being its factors and then its bias, if any."""

    matrix: Array
    side: Array
    kappa: float
    n_factors: int


def fold_in(
    R: Rows, model: Model, penalty: Penalty, method: AlsMethod | None = None
) -> tuple[Array, Array | None]:
    """Return the factors (and biases) of users that are best for the items' held fixed.

    For each row n of R, a user with ratings r_nm of weight q_nm, minimizes over (u, b) ::

        ½ Σ_m q_nm (r_nm - mu - c_m - b - v_m · u)² + w_n (½ λ |u|² + κ |u|₁ + ½ β b²)

    and takes the minimizer of least norm where it is not unique. A user without ratings is zero.
    Another loss is replaced by its majorizer at the estimates of ``model``; the implicit loss has
    ½ w₀ Σ_m (v_m · u)² over all items, and ½ q (w₀ + c r) (1 - v_m · u)² - ½ w₀ (v_m · u)² for the
    rated ones. Inexact methods start from the users of ``model``.
    """
    method = method or AlsMethod()
    fixed, with_bias = model.item_factors, model.item_biases is not None
    n_factors = fixed.shape[1]
    solution = np.zeros((R.shape[0], n_factors + with_bias), fixed.dtype)
    gram = fixed.T @ fixed if method.implicit is not None else np.zeros((n_factors, n_factors))
    for n in np.flatnonzero(np.diff(R.offsets)).tolist():
        start = model.user_factors[n] if len(model.user_factors) > n else solution[n, :n_factors]
        if model.user_biases is not None:
            start = np.append(start, model.user_biases[n])
        elif with_bias:
            start = np.append(start, 0.0)
        system = _system(R, n, model, penalty, method, gram, start)
        solution[n] = _solved(system, start, method)
    return solution[:, :n_factors], solution[:, n_factors] if with_bias else None


def _system(
    R: Rows, n: int, model: Model, penalty: Penalty, method: AlsMethod, gram: Array, start: Array
) -> _System:
    rated = slice(R.offsets[n], R.offsets[n + 1])
    codes, values, weights = R.items[rated], R.values[rated], weights_of(R)[rated]
    offsets, columns = np.full(len(codes), model.global_mean), model.item_factors[codes]
    n_factors = columns.shape[1]
    if model.item_biases is not None:
        offsets = offsets + model.item_biases[codes]
        columns = np.column_stack([columns, np.ones(len(codes))])
    if method.implicit is not None:
        unobserved, scale = method.implicit
        sides = weights * (unobserved + scale * values)
        weights = sides - unobserved
    else:
        if method.majorizer is not None:
            curvature, values = method.majorizer(values, columns @ start + offsets)
            weights = weights * curvature
        sides = weights * (values - offsets)
    (factor, bias), count = (
        penalty.of(0),
        count_weights(np.array([len(codes)]), penalty.regularization_exponent)[0],
    )
    diagonal = count * np.array([factor] * n_factors + [bias] * (columns.shape[1] - n_factors))
    matrix = columns.T @ (weights[:, None] * columns) + np.diag(diagonal)
    if method.implicit is not None:
        matrix = matrix + method.implicit[0] * gram
    return _System(matrix, columns.T @ sides, count * method.l1_of(0), n_factors)


def _solved(system: _System, start: Array, method: AlsMethod) -> Array:
    if method.nonnegative or method.l1_of(0) > 0:
        return _descended(system, start, method)
    if method.row_solver == "conjugate_gradient":
        return _conjugate_gradient(system, start, method.cg_steps)
    if method.row_solver == "subspace":
        return _by_blocks(system, start, method.subspace_size)
    if np.min(np.linalg.eigvalsh(system.matrix)) > 1e-9 * np.max(np.diag(system.matrix)):
        exact: Array = np.linalg.solve(system.matrix, system.side)
    else:
        exact = np.linalg.pinv(system.matrix, rcond=1e-13, hermitian=True) @ system.side
    return exact


def _descended(system: _System, start: Array, method: AlsMethod) -> Array:
    """Cyclic coordinate descent, the bias first."""
    A, x, n_factors = system.matrix, start.astype(float), system.n_factors
    order = [*range(n_factors, len(x)), *range(n_factors)]
    for _ in range(MAX_PASSES):
        before = x.copy()
        for j in order:
            pull = system.side[j] - A[j] @ x + A[j, j] * x[j]
            kappa = 0.0 if j == n_factors else system.kappa
            now = np.sign(pull) * max(abs(pull) - kappa, 0.0) / A[j, j] if A[j, j] > 0 else 0.0
            x[j] = max(now, 0.0) if method.nonnegative and j < n_factors else now
        moved = np.max(np.abs(x - before)[:n_factors])
        if moved <= method.least_change * np.max(np.abs(x[:n_factors])):
            break
    return x


def _conjugate_gradient(system: _System, start: Array, steps: int) -> Array:
    """Conjugate gradients, preconditioned by the diagonal."""
    A, x = system.matrix, start.astype(float)
    scale = np.divide(1.0, np.diag(A), out=np.zeros(len(x)), where=np.diag(A) > 0)
    r = system.side - A @ x
    direction, slope = scale * r, r @ (scale * r)
    for _ in range(steps):
        curved = direction @ A @ direction
        if not slope > 0 or not curved > 0:
            break
        x = x + slope / curved * direction
        r = r - slope / curved * (A @ direction)
        slope, before = r @ (scale * r), slope
        direction = scale * r + slope / before * direction
    return x


def _by_blocks(system: _System, start: Array, size: int) -> Array:
    """Each block of factors, with the bias, to its minimizer given the others."""
    A, x = system.matrix, start.astype(float)
    for first in range(0, system.n_factors, size):
        factors = range(first, min(first + size, system.n_factors))
        block = np.array([*factors, *range(system.n_factors, len(x))])
        x[block] += np.linalg.solve(A[np.ix_(block, block)], (system.side - A @ x)[block])
    return x


def als_sweep(R: Rows, model: Model, penalty: Penalty, method: AlsMethod | None = None) -> Model:
    """Return the model after a sweep: all users given the items, then all items given the users."""
    method = method or AlsMethod()
    U, b = fold_in(R, model, penalty, method)
    turned = Model(model.item_factors, U, model.item_biases, b, model.global_mean)
    V, c = fold_in(transpose(R), turned, penalty.turned(), method.turned())
    return Model(U, V, b, c, model.global_mean)


def implicit_loss(
    R: Rows, model: Model, unobserved_weight: float, confidence_scale: float
) -> float:
    """Return ½ Σ q (w₀ + c r) (1 - r̂)² over the rated pairs and ½ w₀ Σ r̂² over the others."""
    estimates = model.user_factors @ model.item_factors.T
    users, weights = user_codes(R), weights_of(R)
    rated = estimates[users, R.items]
    others = np.sum(estimates**2) - np.sum(rated**2)
    confidence = weights * (unobserved_weight + confidence_scale * R.values)
    return 0.5 * float(np.sum(confidence * (1 - rated) ** 2) + unobserved_weight * others)


def held_out_implicit_loss(
    R: Rows, held_out: Rows, model: Model, unobserved_weight: float, confidence_scale: float
) -> float:
    """Return the loss of the held-out pairs among all that are not of the training, by weight."""
    total = implicit_loss(held_out, model, unobserved_weight, confidence_scale)
    of_training = np.sum(model.user_factors[user_codes(R)] * model.item_factors[R.items], axis=1)
    total -= 0.5 * unobserved_weight * float(np.sum(of_training**2))
    return total / float(np.sum(weights_of(held_out)))
