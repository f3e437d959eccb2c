"""What all twins share: rows, models, penalties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PerSide = float | tuple[float, float]


class Rows(Protocol):
    """Compressed rows: ``items[offsets[n]:offsets[n + 1]]`` and ``values`` alike are user n's."""

    @property
    def offsets(self) -> Array:
        """(N + 1,)."""

    @property
    def items(self) -> Array:
        """(nnz,) codes."""

    @property
    def values(self) -> Array:
        """(nnz,) ratings."""

    @property
    def shape(self) -> tuple[int, int]:
        """(N, M)."""


@dataclass(frozen=True)
class Model:
    """The parameters of r̂_nm = mu + b_n + c_m + u_n · v_m; the biases are None without biases."""

    user_factors: Array
    item_factors: Array
    user_biases: Array | None = None
    item_biases: Array | None = None
    global_mean: float = 0.0


@dataclass(frozen=True)
class Penalty:
    """λ, β, the exponent of the count weights, and κ; one number stands for both sides."""

    regularization: PerSide = 0.0
    bias_regularization: PerSide = 0.0
    regularization_exponent: float = 1.0
    l1_regularization: PerSide = 0.0

    def of(self, side: int) -> tuple[float, float]:
        """Return (λ, β) of a side: 0 users, 1 items."""
        pairs = (self.regularization, self.bias_regularization)
        factor, bias = (pair[side] if isinstance(pair, tuple) else pair for pair in pairs)
        return factor, bias

    def l1_of(self, side: int) -> float:
        """Return κ of a side."""
        pair = self.l1_regularization
        return pair[side] if isinstance(pair, tuple) else pair

    def turned(self) -> Penalty:
        """Return the same with users and items exchanged."""
        (a, b), (c, d) = self.of(1), self.of(0)
        return Penalty((a, c), (b, d), self.regularization_exponent, (self.l1_of(1), self.l1_of(0)))


@dataclass(frozen=True)
class StoredRows:
    offsets: Array
    items: Array
    values: Array
    shape: tuple[int, int]
    weights: Array | None = None


def weights_of(R: Rows) -> Array:
    """Return the weight of each rating, (nnz,): 1 where the rows have none."""
    weights = getattr(R, "weights", None)
    return np.ones(len(R.values)) if weights is None else np.asarray(weights, float)
