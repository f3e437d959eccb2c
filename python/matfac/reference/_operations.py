"""The operations, and the objective that the solvers lower."""

from __future__ import annotations

import numpy as np

from matfac.reference._losses import loss_derivatives, loss_values
from matfac.reference._model import predict
from matfac.reference._types import Array, Model, Penalty, Rows, weights_of


def user_codes(R: Rows) -> Array:
    """Return the user of each rating, (nnz,), in CSR order."""
    return np.repeat(np.arange(R.shape[0]), np.diff(R.offsets))


def products(R: Rows, U: Array, V: Array) -> Array:
    """Return u_n · v_m on the pattern of R, (nnz,)."""
    x: Array = np.sum(U[user_codes(R)] * V[R.items], axis=1)
    return x


def residuals(R: Rows, U: Array, V: Array) -> Array:
    """Return e_nm = u_n · v_m - r_nm on the pattern of R, (nnz,)."""
    e: Array = products(R, U, V) - R.values
    return e


def loss(R: Rows, U: Array, V: Array, loss: str = "squared", threshold: float = 1.0) -> float:
    """Return L = Σ q_nm loss(r_nm, u_n · v_m): ½ Σ e_nm² for "squared" without weights."""
    x = products(R, U, V)
    return float(np.sum(weights_of(R) * loss_values(loss, R.values, x, threshold)))


def derivatives(
    R: Rows, U: Array, V: Array, loss: str = "squared", threshold: float = 1.0
) -> Array:
    """Return E, the derivatives of the weighted losses by the estimates, (nnz,)."""
    e: Array = weights_of(R) * loss_derivatives(loss, R.values, products(R, U, V), threshold)
    return e


def gradients(
    R: Rows, U: Array, V: Array, loss: str = "squared", threshold: float = 1.0
) -> tuple[Array, Array]:
    """Return ∂L/∂U = E V, (N, F), and ∂L/∂V = Eᵀ U, (M, F); E holds the derivatives."""
    users, e = user_codes(R), derivatives(R, U, V, loss, threshold)[:, None]
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
    """Return Σ_n w_n (½ λ_U |u_n|² + κ_U |u_n|₁ + ½ β_U b_n²) and the same of the items."""
    total = 0.0
    sides = (model.user_factors, model.user_biases), (model.item_factors, model.item_biases)
    for side, (factors, biases) in enumerate(sides):
        weights = count_weights(counts(R)[side], penalty.regularization_exponent)
        factor, bias = penalty.of(side)
        total += 0.5 * factor * float(np.sum(weights[:, None] * factors**2))
        total += penalty.l1_of(side) * float(np.sum(weights[:, None] * np.abs(factors)))
        if biases is not None:
            total += 0.5 * bias * float(np.sum(weights * biases**2))
    return total


def objective(
    R: Rows, model: Model, penalty: Penalty, loss: str = "squared", threshold: float = 1.0
) -> float:
    """Return Σ q_nm loss(r_nm, r̂_nm) + the penalty; q are the weights of the ratings."""
    losses = weights_of(R) * loss_values(loss, R.values, estimates(R, model), threshold)
    return float(np.sum(losses)) + penalty_of(R, model, penalty)


def rmse(R: Rows, model: Model) -> float:
    """Return √(mean (r̂ - r)²) over the ratings."""
    return float(np.sqrt(np.mean((estimates(R, model) - R.values) ** 2)))
