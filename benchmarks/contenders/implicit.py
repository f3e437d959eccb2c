from __future__ import annotations

from typing import Any

from benchmarks.contenders._timing import timed
from benchmarks.contenders.ours import ALS_REGULARIZATION
from benchmarks.registry import ONE_BLAS_THREAD, Measure, Work, contender


def estimator(work: Work, n_factors: int, **settings: Any):
    from implicit.cpu.als import AlternatingLeastSquares

    return AlternatingLeastSquares(
        n_factors,
        regularization=ALS_REGULARIZATION,
        num_threads=work.n_threads,
        random_state=0,
        **settings,
    )


def sweep(work: Work, n_factors: int, use_cg: bool) -> Measure:
    user_items = work.data.scipy()
    model = estimator(work, n_factors, use_cg=use_cg, iterations=1)

    def measure() -> dict[str, Any]:
        seconds: list[float] = []
        # It goes on from its factors; the time it reports is that of the sweep alone.
        model.fit(
            user_items,
            show_progress=False,
            callback=lambda _iteration, elapsed, _loss: seconds.append(elapsed),
        )
        return {"seconds": seconds[0]}

    return measure


@contender("als", "implicit Cholesky", "implicit", environment=ONE_BLAS_THREAD)
def cholesky(work: Work, n_factors: int) -> Measure:
    return sweep(work, n_factors, use_cg=False)


@contender("als", "implicit CG", "implicit", environment=ONE_BLAS_THREAD)
def conjugate_gradient(work: Work, n_factors: int) -> Measure:
    return sweep(work, n_factors, use_cg=True)


@contender("top-n", "implicit", "implicit", environment=ONE_BLAS_THREAD)
def top_n(work: Work, n_factors: int, n: int, exclude_seen: bool) -> Measure:
    import numpy as np

    user_items = work.data.scipy()
    model = estimator(work, n_factors)
    model.user_factors, model.item_factors = work.data.fitted_factors(n_factors)
    users = np.arange(user_items.shape[0])
    return timed(
        lambda: model.recommend(users, user_items, N=n, filter_already_liked_items=exclude_seen)
    )
