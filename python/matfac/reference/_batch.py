"""Conjugate gradients on the full gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from matfac.reference._losses import loss_derivatives
from matfac.reference._operations import (
    count_weights,
    counts,
    estimates,
    objective,
    penalty_of,
    user_codes,
)
from matfac.reference._types import Array, Model, Penalty, Rows, weights_of

#: The largest second derivatives of losses by the estimate, where it is not 1.
CURVATURE = {"logistic": 0.25}


def objective_gradient(
    R: Rows, model: Model, penalty: Penalty, loss: str = "squared", threshold: float = 1.0
) -> Model:
    """Return the gradient of `objective` by each parameter but mu, which is not fitted.

    Without the absolute penalty, which has none where a factor is 0.
    """
    users = user_codes(R)
    e = weights_of(R) * loss_derivatives(loss, R.values, estimates(R, model), threshold)
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


def batch_fit(
    R: Rows,
    model: Model,
    penalty: Penalty,
    n_iter: int,
    loss: str = "squared",
    threshold: float = 1.0,
) -> Model:
    """Return the model after ``n_iter`` steps of preconditioned conjugate gradients.

    The direction is d = -P g + max(0, g · P (g - g₋) / g₋ · P₋ g₋) d₋ (Polak and Ribière), with
    P the inverse of each row's mean diagonal curvature. The step is the first minimum of the
    quartic that the objective is along d; for other losses than "squared" that of `search`.
    """
    direction = before = np.zeros_like(flat(model))
    slope_before = np.inf
    for _ in range(n_iter):
        gradient = flat(objective_gradient(R, model, penalty, loss, threshold))
        scale = flat(inverse_curvature(R, model, penalty, loss))
        slope, overlap = gradient @ (scale * gradient), gradient @ (scale * before)
        direction = max(0.0, (slope - overlap) / slope_before) * direction - scale * gradient
        before, slope_before = gradient, slope
        if loss == "squared":
            step = _first_minimum(_along(R, model, direction, penalty))
        else:
            step = _searched(R, model, direction, penalty, loss, threshold)
        model = moved(model, step, direction)
    return model


def _along(R: Rows, model: Model, direction: Array, penalty: Penalty) -> np.polynomial.Polynomial:
    """Return the objective at ``model + t direction`` as a polynomial in t, of degree 4."""
    points = [moved(model, t, direction) for t in (-1, 0, 1)]
    # The residuals and the penalty are quadratic in t: three points give them exactly.
    q = weights_of(R)
    constant, linear, square = _parabola([estimates(R, p) - R.values for p in points])
    penalties = np.polynomial.Polynomial(_parabola([penalty_of(R, p, penalty) for p in points]))
    squares = [
        constant @ (q * constant),
        2 * constant @ (q * linear),
        linear @ (q * linear) + 2 * constant @ (q * square),
        2 * linear @ (q * square),
        square @ (q * square),
    ]
    return 0.5 * np.polynomial.Polynomial(squares) + penalties


def _searched(
    R: Rows, model: Model, direction: Array, penalty: Penalty, loss: str, threshold: float
) -> float:
    points = [moved(model, t, direction) for t in (-1, 0, 1)]
    slopes = _parabola([estimates(R, p) for p in points])[1]
    square = _parabola([penalty_of(R, p, penalty) for p in points])[2]

    def phi(t: float) -> tuple[float, float]:
        point = moved(model, t, direction)
        gradient = flat(objective_gradient(R, point, penalty, loss, threshold))
        return objective(R, point, penalty, loss, threshold), float(gradient @ direction)

    bound = CURVATURE.get(loss, 1.0) * float(np.sum(weights_of(R) * slopes**2)) + 2 * square
    return search(phi, -phi(0.0)[1] / bound)


def search(phi: Callable[[float], tuple[float, float]], first: float, n_points: int = 30) -> float:
    """Return a step near a minimum of phi, which returns its value and slope; phi'(0) < 0.

    From ``first`` steps grow by secants until phi rises, and then close in by secants, until
    |phi'(t)| is at most |phi'(0)| / 20.
    """
    start, start_slope = phi(0.0)
    (low, at_low), high, t = (0.0, (start, start_slope)), None, first
    best, best_value = 0.0, start
    for _ in range(n_points):
        value, slope = phi(t)
        if value < best_value:
            best, best_value = t, value
        lower = value <= at_low[0]
        if lower and value < start and abs(slope) <= -0.05 * start_slope:
            return t
        if lower and slope < 0:
            low, at_low = t, (value, slope)
        else:
            high, slope_high = t, slope
        if high is None:
            curvature = (slope - start_slope) / t
            wanted = -start_slope / curvature if curvature > 0 else 10 * t
            t = min(max(wanted, 2 * t), 10 * t)
            continue
        width = high - low
        if not width > 1e-10 * high:
            break
        middle = low + width / 2
        if slope_high > 0 > at_low[1]:
            middle = low - at_low[1] * width / (slope_high - at_low[1])
        t = min(max(middle, low + 0.05 * width), high - 0.05 * width)
    return best


def _parabola(values: list[Any]) -> list[Any]:
    low, middle, high = values
    return [middle, (high - low) / 2, (high + low) / 2 - middle]


def _first_minimum(polynomial: np.polynomial.Polynomial) -> float:
    roots = polynomial.deriv().roots()
    real = roots[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].real
    return float(np.min(real[real > 0]))


def masses(R: Rows, loss: str = "squared") -> tuple[Array, Array]:
    """Return the sums of the ratings' curvatures by user, (N,), and by item, (M,)."""
    q = weights_of(R)
    found = []
    for own, n in zip((user_codes(R), R.items), R.shape, strict=True):
        mass = CURVATURE.get(loss, 1.0) * np.bincount(own, q, n)
        if loss == "kullback_leibler":  # 1 / r̂ at the mean of the row
            total, mean = np.bincount(own, q * R.values, n), np.average(R.values, weights=q)
            mass = mass * np.where(total > 0, mass / np.where(total > 0, total, 1), 1 / mean)
        found.append(mass)
    return found[0], found[1]


def inverse_curvature(R: Rows, model: Model, penalty: Penalty, loss: str = "squared") -> Model:
    """Return 1 / (mass * mean square of the factors met + w λ) and, of biases, 1 / (mass + w β)."""
    scales: list[Array | None] = []
    parts = (model.user_factors, model.user_biases), (model.item_factors, model.item_biases)
    of_sides = masses(R, loss)
    for side, (factors, biases) in enumerate(parts):
        mass, other = of_sides[side], of_sides[1 - side]
        weights = count_weights(counts(R)[side], penalty.regularization_exponent)
        factor, bias = penalty.of(side)
        seen = parts[1 - side][0]
        mean_square = np.sum(other[:, None] * seen**2) / (np.sum(of_sides[0]) * seen.shape[1])
        curvature = _inverse(mass * mean_square + weights * factor)
        scales.append(np.repeat(curvature[:, None], factors.shape[1], axis=1))
        scales.append(None if biases is None else _inverse(mass + weights * bias))
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
