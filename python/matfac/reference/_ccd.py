"""Cyclic coordinate descent over blocks of factors."""

from __future__ import annotations

import numpy as np

from matfac.reference._operations import count_weights, counts, user_codes
from matfac.reference._types import Array, Model, Penalty, PerSide, Rows

#: Factors that a pass over the ratings updates, and how often it goes over them.
BLOCK_FACTORS, BLOCK_CYCLES = 4, 2


def ccd_sweep(
    R: Rows,
    model: Model,
    penalty: Penalty,
    *,
    l1_regularization: PerSide = 0.0,
    nonnegative: bool = False,
    weights: Array | None = None,
    block_factors: int = BLOCK_FACTORS,
    n_cycles: int = BLOCK_CYCLES,
) -> Model:
    """Return the model after one pass over all factors; ``weights`` (nnz,) count the ratings.

    Biases are factors whose other side is 1: user row [b, 1, u], item row [1, c, v]. For each block
    of columns all users' entries are updated, given the items', then the items'. An entry x of a
    row with the partners y, their estimates' residuals e and the rating weights q becomes ::

        soft(Σ q (e + x y) y, w κ) / (Σ q y² + w λ)        soft(z, t) = sign(z) max(|z| - t, 0)

    or 0 if that is negative and must not be; a row's entries in turn, ``n_cycles`` times.
    """
    sides = _columns_of(model)
    codes, size = (user_codes(R), R.items), counts(R)
    q = np.ones(len(R.values)) if weights is None else weights
    e = R.values - model.global_mean - np.sum(sides[0][codes[0]] * sides[1][codes[1]], axis=1)
    with_bias = model.user_biases is not None
    for first in range(0, sides[0].shape[1], block_factors):
        block = slice(first, first + block_factors)
        for side, x in enumerate(sides):
            y = sides[1 - side][codes[1 - side], block]
            l1 = (
                l1_regularization[side]
                if isinstance(l1_regularization, tuple)
                else l1_regularization
            )
            factor, bias = penalty.of(side)
            w = count_weights(size[side], penalty.regularization_exponent)
            squares, slopes = _sums(codes[side], q, y, e, len(x))
            before = x[:, block].copy()
            for _ in range(n_cycles):
                for j in range(y.shape[1]):
                    if with_bias and first + j == 1 - side:
                        continue  # the column of ones
                    is_bias = with_bias and first + j == side
                    z = slopes[:, j] + squares[:, j, j] * x[:, first + j]
                    z = np.sign(z) * np.maximum(np.abs(z) - (0 if is_bias else l1) * w, 0)
                    if nonnegative and not is_bias:
                        z = np.maximum(z, 0)
                    scale = squares[:, j, j] + (bias if is_bias else factor) * w
                    new = np.divide(z, scale, out=np.zeros_like(z), where=scale > 0)
                    slopes -= squares[:, j] * (new - x[:, first + j])[:, None]
                    x[:, first + j] = new
            e -= np.sum((x[:, block] - before)[codes[side]] * y, axis=1)
    return _model_of(sides, model)


def _sums(rows: Array, q: Array, y: Array, e: Array, n_rows: int) -> tuple[Array, Array]:
    # Per row Σ q y yᵀ, (n_rows, J, J), and Σ q e y, (n_rows, J).
    squares = np.zeros((n_rows, y.shape[1], y.shape[1]))
    slopes = np.zeros((n_rows, y.shape[1]))
    for j in range(y.shape[1]):
        slopes[:, j] = np.bincount(rows, q * e * y[:, j], n_rows)
        for i in range(y.shape[1]):
            squares[:, i, j] = np.bincount(rows, q * y[:, i] * y[:, j], n_rows)
    return squares, slopes


def _columns_of(model: Model) -> tuple[Array, Array]:
    U, V, b, c = model.user_factors, model.item_factors, model.user_biases, model.item_biases
    if b is None or c is None:
        return U.copy(), V.copy()
    return (
        np.column_stack([b, np.ones(len(b)), U]),
        np.column_stack([np.ones(len(c)), c, V]),
    )


def _model_of(sides: tuple[Array, Array], model: Model) -> Model:
    U, V = sides
    if model.user_biases is None:
        return Model(U, V, None, None, model.global_mean)
    return Model(U[:, 2:], V[:, 2:], U[:, 0], V[:, 1], model.global_mean)
