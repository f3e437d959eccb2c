from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.contenders._timing import timed_again
from benchmarks.registry import Measure, Work, contender


@contender("gradients", "PyTorch sparse CSR", "torch", "scipy")
def gradients(work: Work, n_factors: int) -> Measure:
    """E by a sampled product, then a sparse product with it and one with its transpose."""
    return products_with_residuals(work, n_factors, lambda _: lambda E, U: E.t() @ U)


@contender("gradients", "PyTorch, transposed beforehand", "torch", "scipy")
def gradients_transposed_beforehand(work: Work, n_factors: int) -> Measure:
    """The same with what its users can do by hand: the transposed pattern and order are kept."""
    return products_with_residuals(work, n_factors, with_transposed_pattern)


def products_with_residuals(
    work: Work, n_factors: int, with_transpose: Callable[[Any], Callable[[Any, Any], Any]]
) -> Measure:
    import warnings

    import torch

    torch.set_num_threads(work.n_threads)
    warnings.filterwarnings("ignore", message="Sparse CS[RC] tensor support is in beta state")
    matrix = work.data.scipy()
    U, V = (torch.from_numpy(f) for f in work.data.random_factors(n_factors))
    R = csr_tensor(matrix)
    multiply_transpose = with_transpose(matrix)

    def residuals_and_gradients() -> None:
        E = torch.sparse.sampled_addmm(R, U, V.T, beta=-1.0)
        E @ V, multiply_transpose(E, U)

    return timed_again(residuals_and_gradients)


def with_transposed_pattern(matrix: Any) -> Callable[[Any, Any], Any]:
    import numpy as np
    import torch

    # The transposed rows of the entries' numbers: where each entry of the transpose comes from.
    numbered = matrix.copy()
    numbered.data = np.arange(matrix.nnz, dtype=np.int32)
    transposed = numbered.T.tocsr()
    source = torch.from_numpy(transposed.data.astype(np.int64))
    pattern = csr_tensor(transposed)

    def multiply(E: Any, U: Any) -> Any:
        E_t = torch.sparse_csr_tensor(
            pattern.crow_indices(), pattern.col_indices(), E.values()[source], pattern.shape
        )
        return E_t @ U

    return multiply


def csr_tensor(matrix: Any) -> Any:
    import torch

    arrays = (torch.from_numpy(a) for a in (matrix.indptr, matrix.indices, matrix.data))
    return torch.sparse_csr_tensor(*arrays, size=matrix.shape)
