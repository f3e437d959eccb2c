from __future__ import annotations

from benchmarks.contenders._timing import timed
from benchmarks.registry import Measure, Work, contender


@contender("gradients", "PyTorch sparse CSR", "torch", "scipy")
def gradients(work: Work, n_factors: int) -> Measure:
    """E by a sampled product, then two sparse ones; the transposed pattern is made beforehand."""
    import warnings

    import numpy as np
    import torch

    torch.set_num_threads(work.n_threads)
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
    matrix = work.data.scipy()
    U, V = (torch.from_numpy(f) for f in work.data.random_factors(n_factors))
    R = csr_tensor(torch, matrix)
    # The transposed rows of the entries' numbers: where each entry of the transpose comes from.
    numbered = matrix.copy()
    numbered.data = np.arange(matrix.nnz, dtype=np.int32)
    transposed = numbered.T.tocsr()
    source = torch.from_numpy(transposed.data.astype(np.int64))
    pattern = csr_tensor(torch, transposed)

    def residuals_and_gradients() -> None:
        E = torch.sparse.sampled_addmm(R, U, V.T, beta=-1.0)
        E_t = torch.sparse_csr_tensor(
            pattern.crow_indices(), pattern.col_indices(), E.values()[source], pattern.shape
        )
        E @ V, E_t @ U

    return timed(residuals_and_gradients)


def csr_tensor(torch, matrix):
    arrays = (torch.from_numpy(a) for a in (matrix.indptr, matrix.indices, matrix.data))
    return torch.sparse_csr_tensor(*arrays, size=matrix.shape)
