from __future__ import annotations

from benchmarks.contenders._timing import timed_again
from benchmarks.registry import Measure, Work, contender

#: Ratings whose rows are gathered at a time, so that they stay in the cache.
CHUNK = 1 << 14


@contender("gradients", "NumPy + SciPy", "scipy")
def gradients(work: Work, n_factors: int) -> Measure:
    import numpy as np

    R = work.data.scipy()
    users = np.repeat(np.arange(R.shape[0], dtype=np.int32), np.diff(R.indptr))
    U, V = work.data.random_factors(n_factors)
    E = R.copy()

    def residuals_and_gradients() -> tuple[np.ndarray, np.ndarray]:
        for start in range(0, R.nnz, CHUNK):
            part = slice(start, start + CHUNK)
            np.einsum("ij,ij->i", U[users[part]], V[R.indices[part]], out=E.data[part])
        E.data -= R.data
        return E @ V, E.T @ U

    return timed_again(residuals_and_gradients)
