"""The losses of single ratings: r the rating, x the estimate, y = 1 where r > 0 and else -1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from matfac.reference._types import Array

#: What the Kullback-Leibler loss takes the place of a smaller estimate.
LEAST = 1e-6


def loss_values(loss: str, r: Array, x: Array, threshold: float = 1.0) -> Array:
    """Return the cost of each estimate; ``threshold`` is that of "huber"."""
    r, x = np.asarray(r, float), np.asarray(x, float)
    e, margin, positive = x - r, np.where(r > 0, x, -x), np.maximum(x, LEAST)
    size = np.abs(e)
    values: dict[str, Callable[[], Array]] = {
        "squared": lambda: 0.5 * e**2,
        "absolute": lambda: size,
        "huber": lambda: np.where(
            size <= threshold, 0.5 * e**2, threshold * (size - threshold / 2)
        ),
        "kullback_leibler": lambda: r * np.log(np.where(r > 0, r, 1) / positive) - r + positive,
        "logistic": lambda: np.logaddexp(0, -margin),
        "hinge": lambda: np.maximum(0, 1 - margin),
        "squared_hinge": lambda: 0.5 * np.maximum(0, 1 - margin) ** 2,
    }
    return np.asarray(values[loss]())


def loss_derivatives(loss: str, r: Array, x: Array, threshold: float = 1.0) -> Array:
    """Return d loss / d x."""
    r, x = np.asarray(r, float), np.asarray(x, float)
    e, y = x - r, np.where(r > 0, 1.0, -1.0)
    derivatives: dict[str, Callable[[], Array]] = {
        "squared": lambda: e,
        "absolute": lambda: np.sign(e),
        "huber": lambda: np.clip(e, -threshold, threshold),
        "kullback_leibler": lambda: 1 - r / np.maximum(x, LEAST),
        "logistic": lambda: -y * np.exp(-np.logaddexp(0, y * x)),
        "hinge": lambda: np.where(y * x < 1, -y, 0.0),
        "squared_hinge": lambda: np.where(y * x < 1, e - (y - r), 0.0),
    }
    return np.asarray(derivatives[loss]())


def loss_majorizer(
    loss: str, r: Array, x: Array, threshold: float = 1.0, least: float = 1e-3
) -> tuple[Array, Array]:
    """Return w and t of the parabola ½ w (t - x')² + const that touches the loss at x' = x.

    It is nowhere below the loss; near r that of "absolute" is bounded: |x - r| counts as at least
    ``least``.
    """
    r, x = np.asarray(r, float), np.asarray(x, float)
    y, size = np.where(r > 0, 1.0, -1.0), np.abs(x - r)
    if loss == "absolute":
        return 1 / np.maximum(size, least), r
    if loss == "huber":
        return np.where(size <= threshold, 1.0, threshold / np.maximum(size, threshold)), r
    if loss == "logistic":
        far = np.maximum(np.abs(x), 1e-9)
        w = np.where(np.abs(x) < 1e-4, 0.25, np.tanh(far / 2) / (2 * far))
        return w, y / (2 * w)
    if loss == "squared_hinge":
        return np.ones_like(x), np.where(y * x > 1, x, y)
    if loss == "hinge":
        far = np.maximum(np.abs(1 - y * x), least)
        return 1 / (2 * far), y * (1 + far)
    if loss == "squared":
        return np.ones_like(x), r
    raise ValueError(f"no parabola lies above {loss!r}")
