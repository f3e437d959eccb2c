from __future__ import annotations

import time
from typing import Any

from benchmarks.contenders.ours import ALS_REGULARIZATION
from benchmarks.registry import ONE_BLAS_THREAD, Measure, Work, contender

#: It tells no times of its own, so a sweep is the difference of two fits.
FEW, MANY = 1, 3


def sweep(work: Work, n_factors: int, use_cg: bool, implicit: bool = False) -> Measure:
    import cmfrec

    ratings = work.data.scipy().tocoo()
    settings: dict[str, Any] = {
        "k": n_factors,
        "lambda_": ALS_REGULARIZATION,
        "use_cg": use_cg,
        "finalize_chol": False,
        "use_float": True,
        "precompute_for_predictions": False,
        "nthreads": work.n_threads,
        "verbose": False,
        "random_state": 0,
    }
    if not implicit:
        settings |= {"method": "als", "user_bias": False, "item_bias": False}
    kind = cmfrec.CMF_implicit if implicit else cmfrec.CMF

    def fit(n_sweeps: int) -> float:
        model = kind(niter=n_sweeps, **settings)
        start = time.perf_counter()
        model.fit(ratings)
        return time.perf_counter() - start

    def measure() -> dict[str, Any]:
        few = fit(FEW)
        return {"seconds": (fit(MANY) - few) / (MANY - FEW)}

    return measure


@contender("als", "cmfrec Cholesky", "cmfrec", environment=ONE_BLAS_THREAD)
def cholesky(work: Work, n_factors: int) -> Measure:
    return sweep(work, n_factors, use_cg=False)


@contender("als", "cmfrec CG", "cmfrec", environment=ONE_BLAS_THREAD)
def conjugate_gradient(work: Work, n_factors: int) -> Measure:
    return sweep(work, n_factors, use_cg=True)


@contender("als", "cmfrec implicit CG", "cmfrec", environment=ONE_BLAS_THREAD)
def implicit_conjugate_gradient(work: Work, n_factors: int) -> Measure:
    return sweep(work, n_factors, use_cg=True, implicit=True)
