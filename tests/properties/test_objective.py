"""What holds for the objective, whatever the numbers: it falls, and it respects symmetries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

import matfac as mf
from conftest import (
    SOLVERS,
    TOLERANCES,
    Problem,
    assert_near,
    bits,
    make_large_problem,
    make_problem,
    model_of,
    ratings_from_mask,
)
from matfac import reference

EXACT_SOLVERS = ("als", "batch", "ccd")
each_exact_solver = pytest.mark.parametrize("exact_solver", EXACT_SOLVERS)


def fit(p: Problem, solver: str, **options: Any) -> mf.MatrixFactorization:
    options = {"init": (p.U, p.V), "dtype": p.dtype, **options}
    return mf.MatrixFactorization(p.n_factors, solver=solver, **options).fit(p.R)


def objective_of(p: Problem, model: mf.MatrixFactorization) -> float:
    penalty = reference.Penalty(
        model.regularization_, model.bias_regularization_, model.regularization_exponent
    )
    return reference.objective(p.exact().R, model_of(model), penalty)


# ---- it falls ------------------------------------------------------------------------------------


def assert_never_rises(objectives: list[float], dtype: str) -> None:
    rises = np.diff(objectives)
    assert np.all(rises <= TOLERANCES["objective"][dtype] * np.array(objectives[:-1]))


@settings(max_examples=60, deadline=None)
@given(
    n_users=st.integers(1, 40),
    n_items=st.integers(1, 40),
    density=st.floats(0, 1),
    n_factors=st.integers(1, 20),
    biases=st.booleans(),
    regularization=st.tuples(st.floats(1e-3, 10), st.floats(1e-3, 10)),
    bias_regularization=st.tuples(st.floats(1e-3, 10), st.floats(1e-3, 10)),
    exponent=st.floats(-0.5, 1.5),
    solver=st.sampled_from(EXACT_SOLVERS),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_objective_never_rises_under_exact_solvers(
    n_users,
    n_items,
    density,
    n_factors,
    biases,
    regularization,
    bias_regularization,
    exponent,
    solver,
    dtype,
    seed,
):
    p = make_problem((n_users, n_items, density), n_factors, dtype, seed)
    model = fit(
        p,
        solver,
        biases=biases,
        regularization=regularization,
        bias_regularization=bias_regularization,
        regularization_exponent=exponent,
        max_iter=12,
    )
    assert_never_rises(model.history_["objective"], dtype)
    expected = objective_of(p, model)
    assert_near(model.history_["objective"][-1], expected, "objective", dtype, max(expected, 1e-3))


@each_exact_solver
def test_objective_never_rises_on_many_ratings(exact_solver, dtype):
    model = fit(make_large_problem(16, dtype), exact_solver, max_iter=8)
    assert_never_rises(model.history_["objective"], dtype)
    assert model.history_["objective"][-1] < 0.95 * model.history_["objective"][0]


@each_exact_solver
def test_objective_never_rises_without_regularization(exact_solver):
    for seed in range(5):
        p = make_problem("general", 7, "float64", seed)
        model = fit(p, exact_solver, regularization=0, bias_regularization=0, max_iter=20)
        assert_never_rises(model.history_["objective"], "float64")


def test_objective_falls_under_sgd(dtype):
    """Not in each step, but from the beginning to the end, to near where als ends."""
    p = make_large_problem(7, dtype)
    model = fit(p, "sgd", max_iter=30)
    history = model.history_["objective"]
    assert history[0] > history[4] > history[-1]
    exact = fit(p, "als", max_iter=30)
    assert objective_of(p, model) < 1.05 * objective_of(p, exact)


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_als_and_batch_reach_the_same_objective(exponent, biases):
    # With as many factors as items the local minima are global ones.
    p = make_problem((25, 12, 0.5), 12, "float64")
    found = [
        fit(
            p,
            solver,
            biases=biases,
            regularization=(0.4, 0.6),
            bias_regularization=0.5,
            regularization_exponent=exponent,
            max_iter=5000,
            tol=1e-14,
        ).history_["objective"][-1]
        for solver in EXACT_SOLVERS
    ]
    assert found == pytest.approx([found[0]] * len(found), rel=1e-7)


def minimum_by_scipy(p: Problem, penalty: reference.Penalty, loss: str) -> float:
    """What L-BFGS makes of the public loss and gradients, the penalty added in NumPy."""
    n_users = p.R.n_users
    weights = np.concatenate(
        [
            factor * reference.count_weights(count, penalty.regularization_exponent)
            for (factor, _), count in zip(
                map(penalty.of, (0, 1)), reference.counts(p.R), strict=True
            )
        ]
    )

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        rows = x.reshape(-1, p.n_factors)
        U, V = rows[:n_users], rows[n_users:]
        gradient = np.concatenate(mf.gradients(p.R, U, V, loss=loss, huber_threshold=1.0))
        value = mf.loss(p.R, U, V, loss=loss, huber_threshold=1.0)
        value += 0.5 * float(np.sum(weights[:, None] * rows**2))
        return value, (gradient + weights[:, None] * rows).ravel()

    found = optimize.minimize(
        value_and_gradient,
        np.concatenate([p.U, p.V]).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-15, "gtol": 1e-9},
    )
    return float(found.fun)


#: Who else minimizes the loss, beside SciPy: `solver` -> options.
MINIMIZERS: dict[str, dict[str, dict[str, Any]]] = {
    "squared": {"batch": {}, "als": {}, "ccd": {}},
    "huber": {"batch": {}, "als": {}},
    "logistic": {"batch": {}, "als": {}},
    "squared_hinge": {"batch": {}, "als": {}},
}


@pytest.mark.parametrize("loss", MINIMIZERS)
@pytest.mark.parametrize("seed", range(2))
def test_scipy_and_every_descending_solver_find_the_same_objective(seed, loss):
    """With as many factors as items and this penalty the problem has one minimum."""
    p = make_problem((25, 12, 0.5), 12, "float64", seed)
    if loss in ("logistic", "squared_hinge"):
        labels = np.random.default_rng(seed).integers(0, 2, p.R.nnz).astype(float)
        p = Problem(
            mf.Ratings.from_csr_arrays(p.R.offsets, p.R.items, labels, p.R.n_items), p.U, p.V
        )
    penalty = reference.Penalty((0.3, 0.4), 0.0, 0.5)
    expected = minimum_by_scipy(p, penalty, loss)
    for solver, options in MINIMIZERS[loss].items():
        model = fit(
            p,
            solver,
            loss=loss,
            huber_threshold=1.0,
            biases=False,
            regularization=penalty.regularization,
            regularization_exponent=0.5,
            max_iter=10_000,
            tol=1e-13,
            **options,
        )
        found = reference.objective(p.R, model_of(model), penalty, loss, 1.0)
        assert found == pytest.approx(expected, rel=1e-6), solver


@each_exact_solver
@pytest.mark.parametrize(("user", "item"), [(0.5, 0.5), (0.2, 1.7), (30.0, 30.0)])
def test_penalized_minimum_is_the_soft_thresholded_svd(exact_solver, user, item):
    """Where every pair is observed, and plainly penalized, σ becomes max(σ - √(λ_U λ_V), 0)."""
    rng = np.random.default_rng(0)
    R = ratings_from_mask(np.ones((14, 10), bool), "float64", rng)
    p = Problem(R, 0.3 * rng.normal(size=(14, 4)), 0.3 * rng.normal(size=(10, 4)))
    model = fit(
        p,
        exact_solver,
        biases=False,
        regularization=(user, item),
        regularization_exponent=0,
        max_iter=5000,
        tol=1e-14,
    )
    left, sigma, right = np.linalg.svd(R.values.reshape(14, 10), full_matrices=False)
    threshold = np.sqrt(user * item)
    kept = np.maximum(sigma - threshold, 0) * (np.arange(10) < 4)
    expected = 0.5 * np.sum((sigma - kept) ** 2) + threshold * np.sum(kept)
    assert model.history_["objective"][-1] == pytest.approx(expected, rel=1e-7)
    found = model.user_factors_ @ model.item_factors_.T
    assert found == pytest.approx((left * kept) @ right, abs=1e-3 * sigma[0])


@pytest.mark.parametrize("strength", [1.05, 1.3, 5.0, 1e8])
@pytest.mark.parametrize("shape", ["one rating", "one user", "general"])
def test_a_penalty_that_leaves_nothing_gives_zeros(shape, strength, solver, dtype):
    """Factors that shrink until they underflow end as zeros, never as NaN."""
    for seed in range(5):
        for n_factors in (1, 2):
            p = make_problem(shape, n_factors, dtype, seed)
            regularization = strength * np.max(np.abs(p.R.values))
            options = {"regularization": regularization, "regularization_exponent": 1}
            model = fit(p, solver, biases=False, max_iter=150, **options)
            for factors in (model.user_factors_, model.item_factors_):
                assert np.all(np.isfinite(factors)) and np.all(np.abs(factors) < 0.3)


def test_early_stopping_returns_the_best_factors(solver, dtype):
    p = make_problem("general", 16, dtype)
    train, held_out = p.R.split(0.3, random_state=0)
    model = mf.MatrixFactorization(
        16,
        solver=solver,
        regularization=0.3,
        max_iter=60,
        early_stopping=True,
        patience=4,
        dtype=dtype,
        random_state=1,
    ).fit(train, held_out)
    errors = model.history_["eval_rmse"]
    best = int(np.argmin(errors))
    assert model.stop_reason_ == "early_stopping" and model.best_iteration_ == best + 1
    assert model.n_iter_ == len(errors) == best + 1 + 4
    found = reference.rmse(held_out.astype("float64"), model_of(model))
    assert_near(found, errors[best], "objective", dtype)


def test_tol_stops_where_the_objective_hardly_falls(solver):
    p = make_problem("general", 7, "float64")
    model = fit(p, solver, max_iter=1000, tol=1e-3)
    objectives = np.array(model.history_["objective"])
    falls = -np.diff(objectives) / objectives[:-1]
    assert model.stop_reason_ == "converged" and 2 <= model.n_iter_ < 1000
    assert falls[-1] < 1e-3 and np.all(falls[:-1] >= 1e-3)


# ---- symmetries ----------------------------------------------------------------------------------


@each_exact_solver
def test_permuting_users_and_items_permutes_their_factors(exact_solver, dtype):
    """Only the order of the sums differs. (``sgd`` goes by the codes: no such promise.)"""
    p = make_problem("general", 7, dtype)
    rng = np.random.default_rng(3)
    users, items = (rng.permutation(n) for n in p.R.shape)
    matrix = p.R.to_scipy()[users][:, items]
    matrix.sort_indices()
    permuted = Problem(
        mf.Ratings.from_csr(matrix),
        np.ascontiguousarray(p.U[users]),
        np.ascontiguousarray(p.V[items]),
    )
    options = {"max_iter": 4, "regularization": 0.5}
    plain, other = fit(p, exact_solver, **options), fit(permuted, exact_solver, **options)
    assert_near(other.user_factors_, plain.user_factors_[users], exact_solver, dtype)
    assert_near(other.item_factors_, plain.item_factors_[items], exact_solver, dtype)
    assert_near(other.user_biases_, plain.user_biases_[users], exact_solver, dtype, 1.0)
    assert_near(other.item_biases_, plain.item_biases_[items], exact_solver, dtype, 1.0)


def test_batch_treats_users_and_items_alike(dtype):
    p = make_problem("general", 7, dtype)
    matrix = p.R.to_scipy().T.tocsr()
    matrix.sort_indices()
    options: dict[str, Any] = {"max_iter": 4, "bias_regularization": (0.2, 0.4)}
    plain = fit(p, "batch", regularization=(0.5, 0.3), **options)
    options["bias_regularization"] = (0.4, 0.2)
    turned = fit(
        Problem(mf.Ratings.from_csr(matrix), p.V, p.U),
        "batch",
        regularization=(0.3, 0.5),
        **options,
    )
    assert_near(turned.user_factors_, plain.item_factors_, "batch", dtype)
    assert_near(turned.item_factors_, plain.user_factors_, "batch", dtype)
    assert_near(turned.user_biases_, plain.item_biases_, "batch", dtype, 1.0)


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "ccd"])
def test_rotating_the_start_rotates_the_factors(solver, dtype):
    """u · v, |u| and |v| stay when both sides are turned alike, and nothing else counts.

    (``ccd`` goes along the axes.)
    """
    p = make_problem("general", 7, dtype)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(7, 7)))[0].astype(dtype)
    options = {"max_iter": 3, "regularization": 0.5}
    plain = fit(p, solver, **options)
    turned = fit(Problem(p.R, p.U @ turn, p.V @ turn), solver, **options)
    assert_near(turned.user_factors_, plain.user_factors_ @ turn, solver, dtype)
    assert_near(turned.item_factors_, plain.item_factors_ @ turn, solver, dtype)


def scaled_by_16(R: mf.Ratings) -> mf.Ratings:
    return mf.Ratings.from_csr_arrays(R.offsets, R.items, 16 * R.values, R.n_items)


@pytest.mark.parametrize("biases", [True, False], ids=["biases", "bare"])
def test_scaling_the_ratings_scales_the_model_bit_for_bit(solver, biases, dtype):
    """Ratings times s, with λ times s (the default): factors times √s, biases times s.

    With s = 16 all of these are powers of two, so not a bit changes, under default settings too.
    """
    p = make_problem("general", 7, dtype)
    options: dict[str, Any] = {"max_iter": 4, "init": "random", "biases": biases}
    plain = fit(p, solver, **options)
    scaled = fit(Problem(scaled_by_16(p.R), p.U, p.V), solver, **options)
    assert bits(scaled.user_factors_, scaled.item_factors_) == bits(
        4 * plain.user_factors_, 4 * plain.item_factors_
    )
    if biases:
        assert bits(scaled.user_biases_, scaled.item_biases_) == bits(
            16 * plain.user_biases_, 16 * plain.item_biases_
        )
    assert scaled.history_["objective"] == [256 * x for x in plain.history_["objective"]]
    assert scaled.history_["train_rmse"] == [16 * x for x in plain.history_["train_rmse"]]


def test_shifting_the_ratings_shifts_the_estimates(solver, dtype):
    p = make_problem("general", 7, dtype)
    shifted = mf.Ratings.from_csr_arrays(p.R.offsets, p.R.items, p.R.values + 10, p.R.n_items)
    options = {"max_iter": 3, "regularization": 0.5, "bias_regularization": 0.5}
    plain = fit(p, solver, **options)
    other = fit(Problem(shifted, p.U, p.V), solver, **options)
    scale = 13 if dtype == "float64" else 13 * 5  # the shifted ratings were rounded to fewer places
    assert_near(other.predict(p.R) - 10, plain.predict(p.R), solver, dtype, scale)


@pytest.mark.parametrize("solver_name", SOLVERS)
def test_equal_ratings_are_estimated_exactly(solver_name, dtype):
    """Nothing is left beside the mean: no deviation, no factors, and no division by zero."""
    p = make_problem("general", 3, dtype)
    R = mf.Ratings.from_csr_arrays(
        p.R.offsets, p.R.items, np.full(p.R.nnz, 2.5, dtype), p.R.n_items
    )
    model = mf.MatrixFactorization(
        3, solver=solver_name, regularization=1.0, max_iter=60, dtype=dtype
    ).fit(R)
    assert model.global_mean_ == 2.5
    assert model.predict(R) == pytest.approx(2.5, abs=0.02)
    assert np.all(np.isfinite(model.user_factors_))


def test_folding_in_the_training_users_returns_them(dtype):
    """At the minimum each user's row is the best one for the items, as `fold_in` finds it."""
    p = make_problem("general", 4, dtype)
    model = fit(p, "als", max_iter=200, regularization=1.0, bias_regularization=1.0)
    factors, biases = model.fold_in(p.R, return_biases=True)
    assert factors == pytest.approx(model.user_factors_, abs=2e-3)
    assert biases == pytest.approx(model.user_biases_, abs=2e-3)


def test_ratings_from_a_model_are_found_again(solver):
    """Noiseless ratings of rank 2, nearly all observed: what was left out is predicted."""
    rng = np.random.default_rng(0)
    U, V = rng.normal(size=(120, 2)), rng.normal(size=(90, 2))
    mask = rng.random((120, 90)) < 0.7
    R = ratings_from_mask(mask, "float64", rng)
    values = (U @ V.T)[mask]
    R = mf.Ratings.from_csr_arrays(R.offsets, R.items, values, 90)
    model = mf.MatrixFactorization(
        2, solver=solver, biases=False, regularization=1e-4, max_iter=200, dtype="float64"
    ).fit(R)
    estimates = model.user_factors_ @ model.item_factors_.T
    assert np.sqrt(np.mean((estimates - U @ V.T)[~mask] ** 2)) < 0.05
