"""The least that each piece of work takes: flop, and bytes moved (each array once, float32)."""

from __future__ import annotations

from benchmarks.data import Shape

BYTES_A_RATING = 8  # a code and a value


def _factors(shape: Shape, n_factors: int) -> float:
    return 4.0 * (shape.n_users + shape.n_items) * n_factors


def sgd_epoch(shape: Shape, n_factors: int) -> tuple[float, float]:
    flop = 8.0 * n_factors * shape.n_train
    return flop, BYTES_A_RATING * shape.n_train + 2 * _factors(shape, n_factors)


def gradients(shape: Shape, n_factors: int) -> tuple[float, float]:
    flop = 6.0 * n_factors * shape.n_train
    return flop, BYTES_A_RATING * shape.n_train + 2 * _factors(shape, n_factors)


def als_sweep(shape: Shape, n_factors: int) -> tuple[float, float]:
    """The upper half of each Gram matrix, and a Cholesky solution for each row."""
    F, rows = n_factors, shape.n_users + shape.n_items
    flop = 2.0 * shape.n_train * (F**2 + 3 * F) + rows * (F**3 / 3 + 2 * F**2)
    return flop, 2 * BYTES_A_RATING * shape.n_train + 2 * _factors(shape, n_factors)


def top_n(shape: Shape, n_factors: int) -> tuple[float, float]:
    return 2.0 * n_factors * shape.n_users * shape.n_items, _factors(shape, n_factors)
