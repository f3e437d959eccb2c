"""Conjugate gradients on the full gradient."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from matfac.reference._operations import count_weights, counts, estimates, penalty_of, user_codes
from matfac.reference._types import Array, Model, Penalty, Rows


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
    direction = before = np.zeros_like(flat(model))
    slope_before = np.inf
    for _ in range(n_iter):
        gradient = flat(objective_gradient(R, model, penalty))
        scale = flat(_inverse_curvature(R, model, penalty))
        slope, overlap = gradient @ (scale * gradient), gradient @ (scale * before)
        direction = max(0.0, (slope - overlap) / slope_before) * direction - scale * gradient
        before, slope_before = gradient, slope
        step = _first_minimum(_along(R, model, direction, penalty))
        model = moved(model, step, direction)
    return model


def _along(R: Rows, model: Model, direction: Array, penalty: Penalty) -> np.polynomial.Polynomial:
    """Return the objective at ``model + t direction`` as a polynomial in t, of degree 4."""
    points = [moved(model, t, direction) for t in (-1, 0, 1)]
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


def _model_of(parts: list[Array | None]) -> Model:
    U, b, V, c = parts
    assert U is not None and V is not None
    return Model(U, V, b, c)


def flat(model: Model) -> Array:
    """Return all parameters as one vector: U, V, then the biases if there are any."""
    parts = (model.user_factors, model.item_factors, model.user_biases, model.item_biases)
    return np.concatenate([part.ravel() for part in parts if part is not None])


def moved(model: Model, step: float, direction: Array) -> Model:
    """Return the model whose parameters, laid out as in `flat`, are x + step * direction."""
    parts: dict[str, Any] = {}
    for name in ("user_factors", "item_factors", "user_biases", "item_biases"):
        part = getattr(model, name)
        if part is not None:
            own, direction = direction[: part.size], direction[part.size :]
            parts[name] = part + step * own.reshape(part.shape)
    return replace(model, **parts)
