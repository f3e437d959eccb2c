"""What sweeps over all pairs lower, computed in the same way for everybody."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.data import Data

CHUNK = 1 << 18


def objective_over_all_pairs(data: Data, U: Any, V: Any, regularization: float) -> float:
    """Chosen pairs should be 1 and count 2, the others 0 and count 1; plain penalty.

    ½ Σ_chosen 2 (1 - r̂)² + ½ Σ_others r̂² + ½ λ (|U|² + |V|²), in float64; r̂ in float32.
    """
    users, items, _ = data.triplets()
    chosen = 0.0
    for start in range(0, len(users), CHUNK):
        part = slice(start, start + CHUNK)
        estimates = np.einsum("if,if->i", U[users[part]], V[items[part]]).astype(np.float64)
        chosen += float(np.sum(2 * (1 - estimates) ** 2 - estimates**2))
    has_chosen = np.bincount(users, minlength=len(U)) > 0  # rows of the others are no part of it
    U64, V64 = U[has_chosen].astype(np.float64), V.astype(np.float64)
    everything = float(np.sum((U64.T @ U64) * (V64.T @ V64)))
    squares = float(np.sum(U64**2) + np.sum(V64**2))
    return 0.5 * (chosen + everything + regularization * squares)
