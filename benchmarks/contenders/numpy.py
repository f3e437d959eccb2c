"""The machine's limits, by NumPy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from benchmarks.contenders._timing import timed
from benchmarks.registry import Measure, Work, contender


@contender("sgemm", "NumPy")
def sgemm(_work: Work, size: int) -> Measure:
    import numpy as np

    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    c = np.empty_like(a)
    np.matmul(a, b, out=c)  # its threads are started
    return timed(lambda: np.matmul(a, b, out=c))


@contender("copy", "NumPy")
def copy(work: Work, megabytes: int) -> Measure:
    """Each thread copies its part; NumPy lets go of the interpreter's lock meanwhile."""
    import numpy as np

    source = np.ones(megabytes << 18, np.float32)
    target = np.ones_like(source)
    pool = ThreadPoolExecutor(work.n_threads)
    parts = list(
        zip(
            np.array_split(target, work.n_threads),
            np.array_split(source, work.n_threads),
            strict=True,
        )
    )
    return timed(lambda: list(pool.map(lambda pair: np.copyto(*pair), parts)))
