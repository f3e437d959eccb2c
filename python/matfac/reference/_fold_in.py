"""Rows of new users under losses that are not made of squares: by long descents, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matfac.reference._operations import count_weights
from matfac.reference._random import random_words
from matfac.reference._types import Array, Model, Penalty, Rows, weights_of

#: Of a user who has chosen something, how many others stand for all that was not.
SAMPLE = 512
OTHERS = 9


@dataclass(frozen=True)
class RowPenalty:
    """λ, β and w of `Penalty`, κ of the L1 penalty, and whether factors are at least 0."""

    penalty: Penalty
    l1_regularization: float = 0.0
    nonnegative: bool = False


def sample_of(n: int) -> Array:
    """Return 512 of n codes, or all of them: the first different ones that are drawn."""
    if n <= SAMPLE:
        return np.arange(n)
    draws = np.arange(16 * n, dtype=np.uint64)
    codes = (random_words(0, OTHERS, draws * 0, draws)[0] * np.uint64(n)) >> np.uint64(32)
    _, first = np.unique(codes, return_index=True)
    return np.sort(codes[np.sort(first)[:SAMPLE]]).astype(np.int64)


def fold_in_pairs(R: Rows, model: Model, own: RowPenalty, compare_users: bool) -> Array:
    """Return a row (factors, and the bias with ``compare_users``) for each user of R.

    It minimizes, over the chosen items P of weight q and the others Q of the sample, the objective
    of "bpr" that the user is part of, d being the differences of the estimates::

        Σ_{i in P} q_i 1/|Q| Σ_{j in Q} log(1 + exp(-d_ij)) + w (½ λ |u|² + κ |u|₁ + ½ β b²)

    With ``compare_users`` Q are users, and the item is the same on both sides. By proximal steps of
    the length that the largest curvature allows.
    """
    V, c = model.item_factors, model.item_biases
    c = np.zeros(len(V)) if c is None else c
    width = V.shape[1] + (compare_users and model.item_biases is not None)
    rows = np.zeros((R.shape[0], width))
    for n in np.flatnonzero(np.diff(R.offsets)).tolist():
        part = slice(R.offsets[n], R.offsets[n + 1])
        chosen, q = R.items[part], weights_of(R)[part].astype(np.float64)
        if compare_users:
            users = sample_of(len(model.user_factors))
            b = np.zeros(len(users)) if model.user_biases is None else model.user_biases[users]
            design = np.ones((len(chosen), len(users), width))
            design[:, :, : V.shape[1]] = V[chosen][:, None]
            offsets = -(V[chosen] @ model.user_factors[users].T + b)
        else:
            others = np.setdiff1d(sample_of(len(V)), chosen)
            design = V[chosen][:, None] - V[others]
            offsets = c[chosen][:, None] - c[others]
        if design.shape[1]:
            flat, weights = (
                design.reshape(-1, width),
                np.repeat(q / design.shape[1], design.shape[1]),
            )
            rows[n] = _descend(flat, offsets.ravel(), weights, len(chosen), V.shape[1], own)
    return rows


def _descend(
    A: Array, offsets: Array, weights: Array, count: int, n_factors: int, own: RowPenalty
) -> Array:
    (factor, bias), w = own.penalty.of(0), _weight(count, own)
    ridge = w * np.where(np.arange(A.shape[1]) < n_factors, factor, bias)
    kappa = w * np.where(np.arange(A.shape[1]) < n_factors, own.l1_regularization, 0.0)
    rate = 1 / np.linalg.eigvalsh(0.25 * (A.T * weights) @ A + np.diag(ridge))[-1]
    x = np.zeros(A.shape[1])
    for _ in range(20000):
        pulls = weights * np.exp(-np.logaddexp(0, A @ x + offsets))
        moved = x + rate * (pulls @ A - ridge * x)
        moved = np.sign(moved) * np.maximum(np.abs(moved) - rate * kappa, 0)
        if own.nonnegative:
            moved[:n_factors] = np.maximum(moved[:n_factors], 0)
        done = np.linalg.norm(moved - x) <= 1e-10 * np.linalg.norm(moved)
        x = moved
        if done:
            break
    return x


def fold_in_divergence(R: Rows, model: Model, own: RowPenalty) -> Array:
    """Return a row (factors, and the bias, if any) for each user of R under "kullback_leibler".

    It minimizes Σ q (r log(r / r̂) - r + r̂) + w (½ λ |u|² + κ |u|₁ + ½ β b²) with u at least 0 and b
    at least -μ/2, by steps along the gradient that are halved until the objective falls enough.
    """
    V, mu = model.item_factors, model.global_mean
    has_biases = model.item_biases is not None
    rows = np.zeros((R.shape[0], V.shape[1] + has_biases))
    for n in np.flatnonzero(np.diff(R.offsets)).tolist():
        part = slice(R.offsets[n], R.offsets[n + 1])
        items, r = R.items[part], R.values[part].astype(np.float64)
        q, w = weights_of(R)[part].astype(np.float64), _weight(len(items), own)
        A, fixed = V[items], np.full(len(items), mu)
        (factor, bias), least = own.penalty.of(0), np.zeros(rows.shape[1])
        ridge, kappa = (
            np.full(rows.shape[1], w * factor),
            np.full(rows.shape[1], w * own.l1_regularization),
        )
        if has_biases and model.item_biases is not None:
            A, fixed = np.column_stack([A, np.ones(len(items))]), fixed + model.item_biases[items]
            least[-1], ridge[-1], kappa[-1] = -mu / 2, w * bias, 0.0
        rows[n] = _divergence_row(A, fixed, r, q, ridge, kappa, least)
    return rows


def _divergence_row(
    A: Array, fixed: Array, r: Array, q: Array, ridge: Array, kappa: Array, least: Array
) -> Array:
    def objective(x: Array) -> float:
        z = np.maximum(A @ x + fixed, 1e-6)
        return float(q @ (z - r * np.log(z)) + 0.5 * ridge @ x**2 + kappa @ x)

    x = np.where(least == 0, 1.0, 0.0)
    value, rate = objective(x), 1.0
    for _ in range(20000):
        slope = (q * (1 - r / np.maximum(A @ x + fixed, 1e-6))) @ A + ridge * x + kappa
        rate *= 2
        while True:
            moved = np.maximum(x - rate * slope, least)
            step = moved - x
            if objective(moved) <= value + slope @ step + step @ step / (2 * rate):
                break
            rate /= 2
            if rate < 1e-12:
                return x
        done = np.linalg.norm(step) <= 1e-10 * np.linalg.norm(moved)
        x, value = moved, objective(moved)
        if done:
            break
    return x


def _weight(count: int, own: RowPenalty) -> float:
    return float(count_weights(np.array([count]), own.penalty.regularization_exponent)[0])
