from __future__ import annotations

from typing import Any

from benchmarks.contenders._objective import objective_over_all_pairs
from benchmarks.contenders._timing import median_step, timed
from benchmarks.contenders.ours import ALS_REGULARIZATION, TIMED_ITERATIONS
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


def sweep(work: Work, n_factors: int, user_items: Any, **settings: Any) -> Measure:
    model = estimator(work, n_factors, iterations=1, **settings)

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
    return sweep(work, n_factors, work.data.scipy(), use_cg=False)


@contender("als", "implicit CG", "implicit", environment=ONE_BLAS_THREAD)
def conjugate_gradient(work: Work, n_factors: int) -> Measure:
    return sweep(work, n_factors, work.data.scipy(), use_cg=True)


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


#: A chosen pair counts 2 and any other 1, as for ours: its values are confidences.
CONFIDENCE = 2.0


def clicks(work: Work):
    """The training ratings as choices, all alike."""
    user_items = work.data.scipy()
    user_items.data[:] = 1
    return user_items


@contender("implicit-als", "implicit Cholesky", "implicit", environment=ONE_BLAS_THREAD)
def sweep_over_all_pairs(work: Work, n_factors: int) -> Measure:
    return sweep(work, n_factors, clicks(work), use_cg=False, alpha=CONFIDENCE)


@contender("objective-curve", "implicit CG", "implicit", environment=ONE_BLAS_THREAD)
def objective_curve(work: Work, n_factors: int, max_iter: int) -> Measure:
    user_items = clicks(work)

    def measure() -> dict[str, Any]:
        model = estimator(work, n_factors, use_cg=True, iterations=max_iter, alpha=CONFIDENCE)
        points: list[tuple[float, float]] = []

        def after_sweep(_iteration: int, elapsed: float, _loss: float) -> None:
            # The time it reports is that of the sweep alone.
            before = points[-1][0] if points else 0.0
            factors = model.user_factors, model.item_factors
            objective = objective_over_all_pairs(work.data, *factors, ALS_REGULARIZATION)
            points.append((before + elapsed, objective))

        model.fit(user_items, show_progress=False, callback=after_sweep)
        return {"seconds": points[-1][0], "curve": points}

    return measure


@contender("bpr", "implicit", "implicit", environment=ONE_BLAS_THREAD)
def bpr(work: Work, n_factors: int) -> Measure:
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    user_items = clicks(work)

    def measure() -> dict[str, Any]:
        model = BayesianPersonalizedRanking(
            n_factors, iterations=TIMED_ITERATIONS, num_threads=work.n_threads, random_state=0
        )
        seconds = [0.0]
        model.fit(
            user_items,
            show_progress=False,
            callback=lambda _epoch, elapsed, *_: seconds.append(seconds[-1] + elapsed),
        )
        return {"seconds": median_step(seconds)}

    return measure


@contender("evaluate", "implicit", "implicit", environment=ONE_BLAS_THREAD)
def evaluate(work: Work, n_factors: int, n: int) -> Measure:
    from implicit.evaluation import ndcg_at_k

    model = estimator(work, n_factors)
    model.user_factors, model.item_factors = work.data.fitted_factors(n_factors)
    train, test = work.data.scipy(), work.data.scipy("test")
    settings = {"K": n, "show_progress": False, "num_threads": work.n_threads}
    return timed(lambda: ndcg_at_k(model, train, test, **settings))
