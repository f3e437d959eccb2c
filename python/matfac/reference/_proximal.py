"""Proximal gradients, for the absolute penalty and constraints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from matfac.reference._batch import flat, inverse_curvature, moved, objective_gradient
from matfac.reference._operations import count_weights, counts, objective
from matfac.reference._types import Array, Model, Penalty, Rows


def proximal_fit(
    R: Rows,
    model: Model,
    penalty: Penalty,
    n_iter: int,
    loss: str = "squared",
    threshold: float = 1.0,
    *,
    nonnegative: bool = False,
) -> Model:
    """Return the model after ``n_iter`` accelerated proximal steps that lower the objective.

    From y = x + m (x - x₋), m Nesterov's momentum, to z = prox(y - s P g(y)), with s halved until
    f(z) ≤ f(y) + g · (z - y) + |z - y|² / 2s in the metric P⁻¹, f being what is smooth. A z that
    does not lower the objective is given up for one without momentum. "kullback_leibler" keeps
    biases at -μ/2 or above.
    """
    smooth = replace(penalty, l1_regularization=0.0)
    x, least = flat(model), _least(model, loss, nonnegative=nonnegative)
    weights = _l1_weights(R, model, penalty)
    x = x_before = np.maximum(x, least)

    def at(z: Array) -> Model:
        return moved(model, 1.0, z - flat(model))

    def value(z: Array) -> float:
        return objective(R, at(z), smooth, loss, threshold)

    best, rate, inertia = value(x) + weights @ np.abs(x), 1.0, 1.0
    while n_iter:
        next_inertia = (1 + np.sqrt(1 + 4 * inertia**2)) / 2
        y = np.maximum(x + (inertia - 1) / next_inertia * (x - x_before), least)
        g = flat(objective_gradient(R, at(y), smooth, loss, threshold))
        scale = flat(inverse_curvature(R, at(y), smooth, loss))
        f, first = value(y), True
        while True:
            z = y - rate * scale * g
            z = np.sign(z) * np.maximum(np.abs(z) - rate * scale * weights, 0)
            z = np.where(scale > 0, np.maximum(z, least), y)
            distance = np.sum((z - y)[scale > 0] ** 2 / scale[scale > 0]) / 2
            if value(z) <= f + g @ (z - y) + distance / rate + np.finfo(g.dtype).eps * f:
                break
            rate, first = rate / 2, False
        rate *= 1.2 if first else 1.0
        reached = value(z) + weights @ np.abs(z)
        if reached < best:
            x, x_before, best, inertia, n_iter = z, x, reached, next_inertia, n_iter - 1
        elif inertia == 1:
            break
        else:
            inertia = 1.0
    return at(x)


def _least(model: Model, loss: str, *, nonnegative: bool) -> Array:
    positive = nonnegative or loss == "kullback_leibler"
    n_factors = model.user_factors.size + model.item_factors.size
    at_mean = -model.global_mean / 2
    least = np.full(len(flat(model)), at_mean if loss == "kullback_leibler" else -np.inf)
    least[:n_factors] = 0.0 if positive else -np.inf
    return least


def _l1_weights(R: Rows, model: Model, penalty: Penalty) -> Array:
    parts = []
    for side, factors in enumerate((model.user_factors, model.item_factors)):
        weights = count_weights(counts(R)[side], penalty.regularization_exponent)
        parts.append(np.repeat(penalty.l1_of(side) * weights, factors.shape[1]))
    rest = np.zeros(len(flat(model)) - sum(map(len, parts)))
    return np.concatenate([*parts, rest])
