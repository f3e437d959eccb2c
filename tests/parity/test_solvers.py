"""The native fits against their NumPy twins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import (
    SHAPES,
    SHAPES_AND_SIZES,
    Problem,
    assert_near,
    make_hollow_problem,
    make_large_problem,
    make_problem,
    model_of,
    ratings_from_mask,
)
from matfac import _core, reference

#: What the penalty may look like: plain, between and weighted by counts; one number and pairs.
PENALTIES = (
    reference.Penalty(0.3, 0.2, 0.0),
    reference.Penalty((0.1, 0.2), (0.3, 0.05), 0.5),
    reference.Penalty(0.05, 0.05, 1.0),
)
EXACT_SOLVERS = ("als", "batch", "ccd")
each_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=["plain", "between", "weighted"])
each_size_or_shape = pytest.mark.parametrize(("shape", "n_factors"), SHAPES_AND_SIZES)
with_and_without_biases = pytest.mark.parametrize("biases", [True, False], ids=["biases", "bare"])


def fit(p: Problem, penalty: reference.Penalty, **settings: Any) -> mf.MatrixFactorization:
    """Fit from the problem's factors (and from small biases, if any)."""
    init: tuple[np.ndarray, ...] = (p.U, p.V)
    if settings.get("biases", True):
        init += tuple(biases_of(p))
    return mf.MatrixFactorization(
        p.n_factors,
        regularization=penalty.regularization,
        bias_regularization=penalty.bias_regularization,
        regularization_exponent=penalty.regularization_exponent,
        dtype=p.dtype,
        **{"init": init, **settings},
    ).fit(p.R)


def biases_of(p: Problem) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [0.1 * rng.normal(size=n).astype(p.dtype) for n in p.R.shape]


def start_of(p: Problem, biases: bool) -> reference.Model:
    """Where the twin starts: empty rows are zero, mu is the mean as the dtype holds it."""
    x = p.exact()
    parts = [x.U, x.V, *(b.astype(float) for b in biases_of(p))]
    for side, part in enumerate(parts):
        part[reference.counts(p.R)[side % 2] == 0] = 0
    if not biases:
        return reference.Model(parts[0], parts[1])
    mean = float(p.R.values.dtype.type(np.mean(x.R.values)))
    return reference.Model(*parts, mean)


def assert_model_near(
    fitted: mf.MatrixFactorization, twin: reference.Model, operation: str, dtype: str
) -> None:
    assert_near(fitted.user_factors_, twin.user_factors, operation, dtype)
    assert_near(fitted.item_factors_, twin.item_factors, operation, dtype)
    assert fitted.global_mean_ == pytest.approx(twin.global_mean, rel=1e-14)
    if twin.user_biases is None:
        assert fitted.user_biases_ is None and fitted.item_biases_ is None
        return
    largest = max(1.0, np.max(np.abs(twin.user_biases)))
    assert_near(fitted.user_biases_, twin.user_biases, operation, dtype, largest)
    assert_near(fitted.item_biases_, twin.item_biases, operation, dtype, largest)


# ---- als -----------------------------------------------------------------------------------------


@with_and_without_biases
@each_size_or_shape
def test_als_equals_twin(shape, n_factors, biases, dtype):
    p, penalty = make_problem(shape, n_factors, dtype), PENALTIES[2]
    fitted = fit(p, penalty, solver="als", max_iter=1, biases=biases)
    twin = reference.als_sweep(p.exact().R, start_of(p, biases), penalty)
    assert_model_near(fitted, twin, "als", dtype)


@each_penalty
@with_and_without_biases
def test_als_equals_twin_over_sweeps_and_penalties(penalty, biases, dtype):
    for seed in range(4):
        p = make_problem("general", 7, dtype, seed)
        fitted = fit(p, penalty, solver="als", max_iter=3, biases=biases)
        twin = start_of(p, biases)
        for objective in fitted.history_["objective"]:
            twin = reference.als_sweep(p.exact().R, twin, penalty)
            expected = reference.objective(p.exact().R, twin, penalty)
            assert_near(objective, expected, "objective", dtype)
        assert_model_near(fitted, twin, "als", dtype)


@with_and_without_biases
@pytest.mark.parametrize("short_by", [1, 2, 5])
@pytest.mark.parametrize("n_factors", [7, 16, 33])
def test_rows_with_fewer_ratings_than_factors_have_the_least_norm(
    n_factors, short_by, biases, dtype
):
    """Without regularization infinitely many solutions fit; rounding must not choose among them."""
    rng = np.random.default_rng(n_factors + short_by)
    mask = np.argsort(rng.random((100, 40)), axis=1) < n_factors - short_by
    R = ratings_from_mask(mask, dtype, rng)
    V = rng.normal(size=(40, n_factors)).astype(dtype)
    c = rng.normal(size=40).astype(dtype) if biases else None
    settings = _core.Settings()
    settings.biases = biases
    settings.regularization = settings.bias_regularization = (0, 0)
    rows, b = np.zeros((100, n_factors), dtype), np.zeros(100, dtype) if biases else None
    _core.fold_in(V, c, 3.0, settings, R._native, rows, b, 0)
    x = reference.Model(
        rows.astype(float), V.astype(float), None, c.astype(float) if biases else None, 3.0
    )
    expected, expected_biases = reference.fold_in(R.astype("float64"), x, reference.Penalty())
    assert_near(rows, expected, "least_norm", dtype)
    if biases:
        assert_near(b, expected_biases, "least_norm", dtype, np.max(np.abs(expected)))


@with_and_without_biases
@pytest.mark.parametrize("n_factors", [1, 7, 33])
@pytest.mark.parametrize("shape", SHAPES)
def test_sweeps_without_regularization_reach_the_least_squares(shape, n_factors, biases, dtype):
    """The rows of almost singular systems are ill-determined; how well they fit is not."""
    p, penalty = make_problem(shape, n_factors, dtype, seed=3), reference.Penalty()
    fitted = fit(p, penalty, solver="als", max_iter=1, biases=biases)
    R, model = p.exact().R, model_of(fitted)
    assert np.all(np.isfinite(model.user_factors)) and np.all(np.isfinite(model.item_factors))
    # The second half of the sweep, given the first as it came out.
    turned = reference.Model(
        model.item_factors,
        model.user_factors,
        model.item_biases,
        model.user_biases,
        model.global_mean,
    )
    V, c = reference.fold_in(reference.transpose(R), turned, penalty)
    best = replace(model, item_factors=V, item_biases=c)
    expected = reference.objective(R, best, penalty)
    assert_near(
        reference.objective(R, model, penalty), expected, "least_norm", dtype, np.sum(R.values**2)
    )


def test_singular_rows_of_exact_numbers(dtype):
    """One rating, F = 3, fixed item row (2, 1, 2): the least norm is r v / |v|²."""
    R = mf.Ratings.from_arrays([0], [0], np.array([9.0], dtype))
    V = np.array([[2, 1, 2]], dtype)
    model = mf.MatrixFactorization(
        3, biases=False, regularization=0, max_iter=1, init=(np.zeros((1, 3)), V), dtype=dtype
    ).fit(R)
    assert_near(model.user_factors_, V, "least_norm", dtype)
    assert_near(model.item_factors_, V, "least_norm", dtype)


# ---- batch ---------------------------------------------------------------------------------------


@with_and_without_biases
@each_size_or_shape
def test_batch_equals_twin(shape, n_factors, biases, dtype):
    p, penalty = make_problem(shape, n_factors, dtype), PENALTIES[2]
    fitted = fit(p, penalty, solver="batch", max_iter=2, biases=biases)
    twin = reference.batch_fit(p.exact().R, start_of(p, biases), penalty, fitted.n_iter_)
    assert_model_near(fitted, twin, "batch", dtype)


@each_penalty
@with_and_without_biases
def test_batch_equals_twin_over_steps_and_penalties(penalty, biases, dtype):
    for seed in range(4):
        p = make_problem("general", 7, dtype, seed)
        fitted = fit(p, penalty, solver="batch", max_iter=4, biases=biases)
        twin = reference.batch_fit(p.exact().R, start_of(p, biases), penalty, 4)
        assert_model_near(fitted, twin, "batch", dtype)


# ---- sgd -----------------------------------------------------------------------------------------


def check_sgd(p: Problem, penalty: reference.Penalty, biases: bool, **options: Any) -> None:
    options = {"learning_rate": 0.2, "max_iter": 3, **options}
    seed = 2**33 + 4
    fitted = fit(p, penalty, solver="sgd", biases=biases, random_state=seed, **options)
    twin, objectives = reference.sgd_fit(
        p.exact().R,
        start_of(p, biases),
        penalty,
        options["max_iter"],
        learning_rate=options["learning_rate"],
        seed=seed,
    )
    assert_model_near(fitted, twin, "sgd", p.dtype)
    assert_near(fitted.history_["objective"], objectives, "objective", p.dtype)


@with_and_without_biases
@each_size_or_shape
def test_sgd_equals_twin(shape, n_factors, biases, dtype):
    check_sgd(make_problem(shape, n_factors, dtype), PENALTIES[1], biases)


@each_penalty
@with_and_without_biases
def test_sgd_equals_twin_over_many_blocks(penalty, biases, dtype):
    p = make_large_problem(8, dtype, n_draws=9000)
    assert len(reference.sgd_blocks(p.R)) > 3
    check_sgd(p, penalty, biases, max_iter=2)


def test_sgd_equals_twin_where_steps_are_damped(dtype):
    """Outliers beyond three standard deviations, and a high rate."""
    p = make_problem("general", 7, dtype)
    values = p.R.values.copy()
    values[::40] += 30
    assert np.sum(np.abs(values - values.mean()) > 3.5 * values.std()) >= 4
    R = mf.Ratings.from_csr_arrays(p.R.offsets, p.R.items, values, p.R.n_items)
    check_sgd(Problem(R, p.U, p.V), PENALTIES[1], True, learning_rate=0.5)


# ---- what every solver shares --------------------------------------------------------------------


@each_penalty
@with_and_without_biases
@pytest.mark.parametrize("exact_solver", EXACT_SOLVERS)
def test_history_holds_the_objective_and_the_error(exact_solver, penalty, biases, dtype):
    p = make_problem("general", 16, dtype)
    fitted = fit(p, penalty, solver=exact_solver, max_iter=5, biases=biases)
    R, model = p.exact().R, model_of(fitted)
    assert fitted.n_iter_ == len(fitted.history_["objective"]) == 5
    expected = reference.objective(R, model, penalty)
    assert_near(fitted.history_["objective"][-1], expected, "objective", dtype)
    assert_near(fitted.history_["train_rmse"][-1], reference.rmse(R, model), "objective", dtype)


@pytest.mark.parametrize("seed", [0, 7, 2**40 + 1])
@pytest.mark.parametrize("n_factors", [1, 7, 16, 33])
def test_random_start_is_that_of_the_twin(n_factors, seed, dtype):
    """A sweep of als depends on the items' start alone; a small step of batch on both."""
    p, penalty = make_problem("general", n_factors, dtype), PENALTIES[1]
    p.U[:] = reference.initial_factors(p.R.n_users, n_factors, 0.3, seed, 0)
    p.V[:] = reference.initial_factors(p.R.n_items, n_factors, 0.3, seed, 1)
    random = {"init": "random", "init_std": 0.3, "random_state": seed}
    for solver in EXACT_SOLVERS:
        options = {"solver": solver, "max_iter": 1, "biases": False}
        given, drawn = fit(p, penalty, **options), fit(p, penalty, **options, **random)
        # NumPy's logarithm and cosine may differ from the core's in the last bit.
        assert_near(drawn.user_factors_, given.user_factors_, solver, dtype)
        assert_near(drawn.item_factors_, given.item_factors_, solver, dtype)


def test_random_start_is_normal():
    """The twin's numbers have the moments of the normal distribution, and do not repeat."""
    x = reference.initial_factors(5000, 10, 1.0, 3, 0)
    y = reference.initial_factors(5000, 10, 1.0, 3, 1)
    moments = [float(np.mean(x**k)) for k in (1, 2, 3, 4)]
    assert np.all(np.abs(np.subtract(moments, [0, 1, 0, 3])) < [0.02, 0.03, 0.06, 0.25])
    assert abs(np.mean(x * y)) < 0.02 and abs(np.mean(x[1:] * x[:-1])) < 0.02
    assert len(np.unique(x)) == x.size


def test_rows_without_ratings_are_zero(solver, dtype):
    p = make_problem("general", 7, dtype)
    fitted = fit(p, PENALTIES[2], solver=solver, max_iter=2)
    for count, factors, biases in zip(
        reference.counts(p.R),
        (fitted.user_factors_, fitted.item_factors_),
        (fitted.user_biases_, fitted.item_biases_),
        strict=True,
    ):
        assert not factors[count == 0].any() and not biases[count == 0].any()
        assert factors[count > 0].any(axis=1).all()


def test_more_users_and_items_than_16_bits_count(solver, dtype):
    p = make_hollow_problem(3, dtype)
    fitted = fit(p, PENALTIES[0], solver=solver, max_iter=3)
    x = p.exact()
    start = reference.rmse(x.R, start_of(p, True))
    assert reference.rmse(x.R, model_of(fitted)) < start
    assert np.all(np.isfinite(fitted.user_factors_))
