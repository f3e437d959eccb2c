from __future__ import annotations

import time
from typing import Any

from benchmarks.contenders._objective import objective_over_all_pairs
from benchmarks.contenders._timing import median_step, timed, timed_again
from benchmarks.registry import OURS, Measure, Work, contender

#: The penalty that every ALS is given, not weighted by counts: it has no part in the time.
ALS_REGULARIZATION = 10.0
TIMED_ITERATIONS = 4
#: All pairs count 1, chosen ones as much again.
ALL_PAIRS = {"unobserved_weight": 1.0, "confidence_scale": 1.0}
#: How far our objective may be from that of our factors, computed as it is for the others.
OBJECTIVE_TOLERANCE = 1e-3


def estimator(work: Work, n_factors: int, **settings: Any):
    import matfac as mf

    return mf.MatrixFactorization(
        n_factors, n_threads=work.n_threads, random_state=0, verbose=False, **settings
    )


def epochs(work: Work, n_factors: int, biases: bool) -> Measure:
    train = work.data.ratings()

    def measure() -> dict[str, Any]:
        model = estimator(
            work, n_factors, solver="sgd", biases=biases, max_iter=TIMED_ITERATIONS
        ).fit(train)
        return {"seconds": median_step(model.history_["seconds"])}

    return measure


@contender("sgd", OURS)
def sgd(work: Work, n_factors: int) -> Measure:
    return epochs(work, n_factors, biases=False)


@contender("sgd", "matfac with biases")
def sgd_with_biases(work: Work, n_factors: int) -> Measure:
    return epochs(work, n_factors, biases=True)


def curve(work: Work, solver: str, n_factors: int, max_iter: int, **settings: Any) -> Measure:
    """A fit from triplets of codes. The same seed gives the same bits, so errors are found once."""
    import matfac as mf

    settings = {"solver": solver, "max_iter": max_iter, **settings}
    evaluated = estimator(work, n_factors, **settings).fit(
        work.data.ratings(), eval_set=work.data.ratings("test")
    )
    errors = evaluated.history_["eval_rmse"]
    users, items, values = work.data.triplets()

    def measure() -> dict[str, Any]:
        start = time.perf_counter()
        ratings = mf.Ratings.from_arrays(users, items, values)
        prepared = time.perf_counter() - start
        model = estimator(work, n_factors, **settings).fit(ratings)
        seconds = [prepared + after for after in model.history_["seconds"]]
        points = list(zip(seconds, errors, strict=True))
        return {"seconds": seconds[-1], "prepared": prepared, "curve": points}

    return measure


@contender("curve", OURS + " sgd")
def sgd_curve(work: Work, n_factors: int, max_iter: int) -> Measure:
    return curve(work, "sgd", n_factors, max_iter)


@contender("curve", OURS + " als")
def als_curve(work: Work, n_factors: int, max_iter: int) -> Measure:
    return curve(work, "als", n_factors, max(1, max_iter // 3))


@contender("curve", OURS + " batch")
def batch_curve(work: Work, n_factors: int, max_iter: int) -> Measure:
    return curve(work, "batch", n_factors, 2 * max_iter)


@contender("gradients", OURS)
def gradients(work: Work, n_factors: int) -> Measure:
    import numpy as np

    import matfac as mf

    R = work.data.ratings()
    U, V = work.data.random_factors(n_factors)
    out = np.empty_like(U), np.empty_like(V)
    return timed_again(lambda: mf.gradients(R, U, V, out=out, n_threads=work.n_threads))


@contender("gradients", OURS + " with the residuals")
def residuals_and_gradients(work: Work, n_factors: int) -> Measure:
    import numpy as np

    import matfac as mf

    R = work.data.ratings()
    U, V = work.data.random_factors(n_factors)
    E, out = np.empty_like(R.values), (np.empty_like(U), np.empty_like(V))

    return timed_again(
        lambda: mf.gradients(R, U, V, out=out, derivatives=E, n_threads=work.n_threads)
    )


def sweeps(work: Work, n_factors: int, biases: bool) -> Measure:
    train = work.data.ratings()
    settings = {"regularization": ALS_REGULARIZATION, "regularization_exponent": 0.0}

    def measure() -> dict[str, Any]:
        model = estimator(
            work, n_factors, solver="als", biases=biases, max_iter=TIMED_ITERATIONS, **settings
        ).fit(train)
        return {"seconds": median_step(model.history_["seconds"])}

    return measure


@contender("als", OURS)
def als(work: Work, n_factors: int) -> Measure:
    return sweeps(work, n_factors, biases=False)


@contender("als", "matfac with biases")
def als_with_biases(work: Work, n_factors: int) -> Measure:
    return sweeps(work, n_factors, biases=True)


@contender("top-n", OURS)
def top_n(work: Work, n_factors: int, n: int, exclude_seen: bool) -> Measure:
    from benchmarks.data import FACTOR_SWEEPS

    # The settings of the factors that the others get: the same bits.
    settings = {"solver": "als", "biases": False, "max_iter": FACTOR_SWEEPS}
    model = estimator(work, n_factors, **settings).fit(work.data.ratings())
    return timed(lambda: model.recommend(n=n, exclude_seen=exclude_seen))


@contender("prepare", OURS)
def prepare(work: Work, kind: str, order: str) -> Measure:
    import matfac as mf

    users, items, values = work.data.raw_ids(kind, order)
    return timed(lambda: mf.Ratings.from_arrays(users, items, values))


def implicit_estimator(work: Work, n_factors: int, **settings: Any):
    import matfac as mf

    return mf.ImplicitFactorization(
        n_factors, n_threads=work.n_threads, random_state=0, verbose=False, **settings
    )


def implicit_squared(work: Work, n_factors: int, max_iter: int, **settings: Any):
    settings = {"regularization": ALS_REGULARIZATION, "regularization_exponent": 0.0, **settings}
    return implicit_estimator(work, n_factors, max_iter=max_iter, **ALL_PAIRS, **settings)


@contender("implicit-als", OURS)
def implicit_als(work: Work, n_factors: int) -> Measure:
    train = work.data.choices()

    def measure() -> dict[str, Any]:
        model = implicit_squared(work, n_factors, TIMED_ITERATIONS).fit(train)
        return {"seconds": median_step(model.history_["seconds"])}

    return measure


def objective_curve(work: Work, n_factors: int, max_iter: int, **settings: Any) -> Measure:
    train = work.data.choices()

    def measure() -> dict[str, Any]:
        model = implicit_squared(work, n_factors, max_iter, **settings).fit(train)
        objectives, seconds = model.history_["objective"], model.history_["seconds"]
        expected = objective_over_all_pairs(
            work.data, model.user_factors_, model.item_factors_, ALS_REGULARIZATION
        )
        assert abs(objectives[-1] / expected - 1) < OBJECTIVE_TOLERANCE, (objectives[-1], expected)
        points = list(zip(seconds, objectives, strict=True))
        return {"seconds": seconds[-1], "curve": points}

    return measure


@contender("objective-curve", OURS + " cholesky")
def cholesky_curve(work: Work, n_factors: int, max_iter: int) -> Measure:
    return objective_curve(work, n_factors, max_iter)


@contender("objective-curve", OURS + " conjugate_gradient")
def conjugate_gradient_curve(work: Work, n_factors: int, max_iter: int) -> Measure:
    settings = {"row_solver": "conjugate_gradient"}
    return objective_curve(work, n_factors, 2 * max_iter, **settings)


@contender("objective-curve", OURS + " subspace")
def subspace_curve(work: Work, n_factors: int, max_iter: int) -> Measure:
    settings = {"row_solver": "subspace", "subspace_size": max(1, n_factors // 2)}
    return objective_curve(work, n_factors, max_iter, **settings)


@contender("bpr", OURS)
def bpr(work: Work, n_factors: int) -> Measure:
    train = work.data.choices()

    def measure() -> dict[str, Any]:
        model = implicit_estimator(work, n_factors, loss="bpr", max_iter=TIMED_ITERATIONS)
        return {"seconds": median_step(model.fit(train).history_["seconds"])}

    return measure


@contender("evaluate", OURS)
def evaluate(work: Work, n_factors: int, n: int) -> Measure:
    import matfac as mf
    from benchmarks.data import FACTOR_SWEEPS

    settings = {"solver": "als", "biases": False, "max_iter": FACTOR_SWEEPS}
    model = estimator(work, n_factors, **settings).fit(work.data.ratings())
    test = work.data.ratings("test")
    return timed(lambda: mf.metrics.evaluate_ranking(model, test, n, measures="ndcg"))
