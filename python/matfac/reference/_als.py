"""Alternating least squares."""

from __future__ import annotations

import numpy as np

from matfac.reference._operations import count_weights, counts, user_codes
from matfac.reference._types import Array, Model, Penalty, Rows, StoredRows


def transpose(R: Rows) -> Rows:
    """Return the ratings by item: row m lists the users who rated item m, ascending."""
    by_item = np.argsort(R.items, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(counts(R)[1])])
    return StoredRows(offsets, user_codes(R)[by_item], R.values[by_item], (R.shape[1], R.shape[0]))


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
