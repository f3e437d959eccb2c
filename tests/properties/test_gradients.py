"""Loss and gradients as an optimizer of one's own needs them: against differences, and in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

import matfac as mf
from conftest import SIZES, Problem, make_problem, model_of, ratings_from_mask
from matfac import reference


def split(x: np.ndarray, p: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The flat vector of an optimizer as U and V, without a copy."""
    n_users, n_items = p.R.shape
    rows = x.reshape(n_users + n_items, p.n_factors)
    return rows[:n_users], rows[n_users:]


def flat_loss(p: Problem) -> Callable[[np.ndarray], float]:
    return lambda x: mf.loss(p.R, *split(x, p))


def flat_gradient(p: Problem) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.concatenate([g.ravel() for g in mf.gradients(p.R, *split(x, p))])


def flat(p: Problem) -> np.ndarray:
    return np.concatenate([p.U.ravel(), p.V.ravel()])


def central_differences(f: Callable[[np.ndarray], float], x: np.ndarray, h: float) -> np.ndarray:
    steps = h * np.eye(len(x))
    return np.array([(f(x + step) - f(x - step)) / (2 * h) for step in steps])


@settings(max_examples=30, deadline=None)
@given(
    n_users=st.integers(1, 9),
    n_items=st.integers(1, 9),
    density=st.floats(0, 1),
    n_factors=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_gradients_are_central_differences(n_users, n_items, density, n_factors, seed):
    """L is quadratic in each single parameter, so central differences of any width are exact."""
    p = make_problem((n_users, n_items, density), n_factors, "float64", seed)
    differences = central_differences(flat_loss(p), flat(p), 0.1)
    largest = max(1.0, np.max(np.abs(differences)))
    assert flat_gradient(p)(flat(p)) == pytest.approx(differences, rel=0, abs=1e-11 * largest)


@pytest.mark.parametrize("n_factors", SIZES)
def test_scipy_check_grad(n_factors):
    p = make_problem((6, 5, 0.6), n_factors, "float64")
    gradient = flat_gradient(p)
    error = optimize.check_grad(flat_loss(p), gradient, flat(p))
    assert error <= 1e-6 * np.linalg.norm(gradient(flat(p)))


@pytest.mark.parametrize(
    "loss", ["squared", "huber", "kullback_leibler", "logistic", "squared_hinge"]
)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("n_factors", [1, 7, 16])
def test_gradients_of_smooth_losses_are_central_differences(n_factors, weighted, loss):
    p = make_problem((9, 8, 0.6), n_factors, "float64")
    rng = np.random.default_rng(1)
    labels = loss in ("logistic", "squared_hinge")
    values = rng.integers(0, 2 if labels else 6, p.R.nnz).astype(float)
    weights = rng.random(p.R.nnz) if weighted else None
    pattern = p.R.offsets, p.R.items
    R = mf.Ratings.from_csr_arrays(*pattern, values, p.R.n_items, weights=weights)
    if loss == "kullback_leibler":  # within its domain
        p = Problem(R, np.abs(p.U) + 0.2, np.abs(p.V) + 0.2)
    p = Problem(R, p.U, p.V)
    options: dict[str, Any] = {"loss": loss, "huber_threshold": 0.9}

    def objective(x: np.ndarray) -> float:
        return mf.loss(R, *split(x, p), **options)

    found = np.concatenate([g.ravel() for g in mf.gradients(R, p.U, p.V, **options)])
    differences = central_differences(objective, flat(p), 1e-5)
    assert found == pytest.approx(differences, rel=0, abs=1e-5 * np.max(np.abs(differences)))


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("biases", [True, False])
def test_gradient_of_the_twin_objective_is_its_central_differences(exponent, biases):
    """The twin of ``batch`` stands on this gradient."""
    p = make_problem((8, 7, 0.5), 3, "float64")
    penalty = reference.Penalty((0.3, 0.2), (0.1, 0.4), exponent)
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=n) if biases else None for n in p.R.shape]
    model = reference.Model(p.U, p.V, parts[0], parts[1], 2.5 if biases else 0.0)
    start = reference.flat(model)

    def objective(x: np.ndarray) -> float:
        return reference.objective(p.R, reference.moved(model, 1, x - start), penalty)

    gradient = reference.flat(reference.objective_gradient(p.R, model, penalty))
    differences = central_differences(objective, start, 0.01)
    assert gradient == pytest.approx(differences, rel=0, abs=1e-9 * np.max(np.abs(differences)))


# ---- in use --------------------------------------------------------------------------------------


def minimized(p: Problem) -> tuple[np.ndarray, np.ndarray]:
    """What SciPy makes of loss and gradients."""
    found = optimize.minimize(
        flat_loss(p),
        flat(p),
        jac=flat_gradient(p),
        method="L-BFGS-B",
        options={"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-15, "gtol": 1e-10},
    )
    return split(found.x, p)


@pytest.mark.parametrize("seed", range(3))
def test_scipy_batch_and_als_reach_the_truncated_svd(seed):
    """Where every pair is observed the minimum is known (Eckart and Young): ½ Σ_{k>F} σ_k²."""
    rng = np.random.default_rng(seed)
    R = ratings_from_mask(np.ones((12, 9), bool), "float64", rng)
    p = Problem(R, *(0.5 * rng.normal(size=(n, 3)) for n in (12, 9)))
    expected = 0.5 * np.sum(np.linalg.svd(R.values.reshape(12, 9))[1][3:] ** 2)
    assert mf.loss(R, *minimized(p)) == pytest.approx(expected, rel=1e-6)
    for solver in ("batch", "als"):
        model = mf.MatrixFactorization(
            3,
            solver=solver,
            biases=False,
            regularization=0,
            init=(p.U, p.V),
            max_iter=2000,
            tol=1e-13,
            dtype="float64",
        ).fit(R)
        found = mf.loss(R, model.user_factors_, model.item_factors_)
        assert found == pytest.approx(expected, rel=1e-6), solver


def test_scipy_reaches_what_batch_reaches_on_sparse_ratings():
    # More ratings than parameters, fewer factors than would fit them all: one minimum.
    p = make_problem((40, 30, 0.7), 2, "float64")
    model = mf.MatrixFactorization(
        2,
        solver="batch",
        biases=False,
        regularization=0,
        init=(p.U, p.V),
        max_iter=3000,
        tol=1e-13,
        dtype="float64",
    ).fit(p.R)
    expected = mf.loss(p.R, *minimized(p))
    assert mf.loss(p.R, model.user_factors_, model.item_factors_) == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("biases", [True, False])
def test_gradient_vanishes_where_batch_and_als_end(biases):
    p = make_problem("general", 5, "float64")
    penalty = reference.Penalty(0.5, 0.3, 0.5)
    for solver in ("batch", "als"):
        model = mf.MatrixFactorization(
            5,
            solver=solver,
            biases=biases,
            regularization=0.5,
            bias_regularization=0.3,
            regularization_exponent=0.5,
            init=(p.U, p.V),
            max_iter=3000,
            tol=1e-15,
            dtype="float64",
        ).fit(p.R)
        gradient = reference.flat(reference.objective_gradient(p.R, model_of(model), penalty))
        assert np.max(np.abs(gradient)) < 1e-4 * np.sum(p.terms()) / p.R.nnz, solver


def test_batch_step_of_a_small_rate_lowers_the_loss_by_the_slope(dtype):
    p = make_problem("general", 7, dtype)
    rate = 1e-4
    slope = sum(float(np.sum(g.astype(float) ** 2)) for g in mf.gradients(p.R, p.U, p.V))
    before = mf.batch_step(p.R, p.U, p.V, learning_rate=rate)
    assert before - mf.loss(p.R, p.U, p.V) == pytest.approx(rate * slope, rel=0.02)


def test_epochs_and_steps_lower_the_loss(dtype):
    for step, rate in ((mf.sgd_epoch, 0.02), (mf.batch_step, 0.005)):
        p = make_problem("general", 7, dtype)
        losses = [step(p.R, p.U, p.V, learning_rate=rate) for _ in range(30)]
        assert mf.loss(p.R, p.U, p.V) < 0.5 * losses[0]
