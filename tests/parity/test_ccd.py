"""Cyclic coordinate descent: against its twin, against als, and at the minima it is made for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import (
    SHAPES_AND_SIZES,
    THREADS,
    TOLERANCES,
    Problem,
    assert_near,
    make_large_problem,
    make_problem,
)
from matfac import _core, reference

PENALTIES = (
    reference.Penalty(0.3, 0.2, 0.0),
    reference.Penalty((0.1, 0.2), (0.3, 0.05), 0.5),
    reference.Penalty(0.05, 0.05, 1.0),
)
each_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=["plain", "between", "weighted"])
with_and_without_biases = pytest.mark.parametrize("biases", [True, False], ids=["biases", "bare"])
#: l1_regularization (user, item), nonnegative, weights
TERMS = ((0.0, 0.0), False, False), ((0.2, 0.4), False, True), ((0.1, 0.0), True, False)
each_terms = pytest.mark.parametrize("terms", TERMS, ids=["plain", "l1 weighted", "nonnegative"])


def problem_of(shape: Any, n_factors: int, dtype: str, seed: int = 0) -> Problem:
    """A random problem whose ratings a nonnegative model takes."""
    p = make_problem(shape, n_factors, dtype, seed)
    values = np.abs(p.R.values)
    return replace(p, R=mf.Ratings.from_csr_arrays(p.R.offsets, p.R.items, values, p.R.n_items))


def weights_of(p: Problem, some: bool) -> np.ndarray | None:
    """Weights of very different sizes, some of them 0."""
    if not some:
        return None
    rng = np.random.default_rng(5)
    return (rng.exponential(size=p.R.nnz) * (rng.random(p.R.nnz) < 0.9)).astype(p.dtype)


def fit(
    p: Problem, penalty: reference.Penalty, terms: Any = TERMS[0], **options: Any
) -> tuple[reference.Model, dict[str, Any]]:
    """Fit from the problem's factors; return the parameters in float64 and the core's report."""
    l1, nonnegative, some_weights = terms
    native = {"float32": _core.RatingsF32, "float64": _core.RatingsF64}[p.dtype](
        p.R.n_items, p.R.offsets, p.R.items, p.R.values, weights_of(p, some_weights)
    )
    settings = _core.Settings()
    settings.solver, settings.init = "ccd", "given"
    settings.n_factors = p.n_factors
    settings.regularization = penalty.of(0)[0], penalty.of(1)[0]
    settings.bias_regularization = penalty.of(0)[1], penalty.of(1)[1]
    settings.regularization_exponent = penalty.regularization_exponent
    settings.l1_regularization, settings.nonnegative = l1, nonnegative
    for name, value in options.items():
        setattr(settings, name, value)
    b, c = (np.zeros(n, p.dtype) if settings.biases else None for n in p.R.shape)
    U, V = p.U.copy(), p.V.copy()
    report = _core.fit(native, settings, U, V, b, c, None, None)
    exact = [None if x is None else x.astype(float) for x in (U, V, b, c)]
    return reference.Model(*exact, report["global_mean"]), report


def start_of(p: Problem, model: reference.Model) -> reference.Model:
    """Where a fit that ended in ``model`` started: empty rows are zero."""
    U, V = p.U.astype(float), p.V.astype(float)
    for factors, count in zip((U, V), reference.counts(p.R), strict=True):
        factors[count == 0] = 0
    if model.user_biases is None or model.item_biases is None:
        return reference.Model(U, V)
    b, c = np.zeros_like(model.user_biases), np.zeros_like(model.item_biases)
    return reference.Model(U, V, b, c, model.global_mean)


def objective(
    p: Problem, model: reference.Model, penalty: reference.Penalty, terms: Any = TERMS[0]
) -> float:
    l1, _, some_weights = terms
    R = p.exact().R
    q = weights_of(p.exact(), some_weights)
    squares = (R.values - reference.estimates(R, model)) ** 2
    total = 0.5 * float(np.sum(squares if q is None else q * squares))
    for kappa, factors, count in zip(
        l1, (model.user_factors, model.item_factors), reference.counts(R), strict=True
    ):
        w = reference.count_weights(count, penalty.regularization_exponent)
        total += kappa * float(np.sum(w[:, None] * np.abs(factors)))
    return total + reference.penalty_of(R, model, penalty)


# ---- the twin ------------------------------------------------------------------------------------


def check_twin(
    p: Problem, penalty: reference.Penalty, terms: Any, biases: bool, n_sweeps: int
) -> None:
    l1, nonnegative, some_weights = terms
    model, report = fit(p, penalty, terms, biases=biases, max_iter=n_sweeps)
    twin, x = start_of(p, model), p.exact()
    for now in report["history"]:
        twin = reference.ccd_sweep(
            x.R,
            twin,
            penalty,
            l1_regularization=l1,
            nonnegative=nonnegative,
            weights=weights_of(p, some_weights),
        )
        assert_near(now["objective"], objective(p, twin, penalty, terms), "objective", p.dtype)
    for name in ("user_factors", "item_factors", "user_biases", "item_biases"):
        if getattr(twin, name) is not None:
            expected = getattr(twin, name)
            scale = max(0.1, np.max(np.abs(expected)))
            assert_near(getattr(model, name), expected, "ccd", p.dtype, scale)


@with_and_without_biases
@each_terms
@pytest.mark.parametrize(("shape", "n_factors"), SHAPES_AND_SIZES)
def test_ccd_equals_twin(shape, n_factors, terms, biases, dtype):
    check_twin(problem_of(shape, n_factors, dtype), PENALTIES[1], terms, biases, 1)


@each_penalty
@each_terms
@with_and_without_biases
def test_ccd_equals_twin_over_sweeps_and_penalties(penalty, terms, biases, dtype):
    check_twin(problem_of("general", 7, dtype), penalty, terms, biases, 4)


# ---- what it promises ----------------------------------------------------------------------------


@each_terms
@each_penalty
def test_the_objective_never_rises_and_is_that_of_the_factors(penalty, terms, dtype):
    """Over more sweeps than the residuals are carried along before they are computed anew."""
    p = problem_of("general", 16, dtype)
    model, report = fit(p, penalty, terms, max_iter=40)
    history = np.array([now["objective"] for now in report["history"]])
    assert len(history) == 40
    assert np.all(np.diff(history) <= TOLERANCES["objective"][dtype] * history[:-1])
    assert history[-1] < 0.95 * history[0]
    assert_near(history[-1], objective(p, model, penalty, terms), "objective", dtype)


def long_problem(dtype: str) -> Problem:
    """One item that 70 000 users have rated, and another one each."""
    n_users, n_items = 70_000, 40
    rng = np.random.default_rng(0)
    items = np.column_stack(
        [np.zeros(n_users, np.int32), rng.integers(1, n_items, n_users, np.int32)]
    )
    values = np.abs(rng.normal(3, 1, items.size)).astype(dtype)
    offsets = 2 * np.arange(n_users + 1)
    R = mf.Ratings.from_csr_arrays(offsets, items.ravel(), values, n_items)
    factors = rng.normal(size=(n_users + n_items, 5)).astype(dtype) / 2
    return Problem(R, factors[:n_users], factors[n_users:])


@each_terms
def test_long_rows_equal_the_twin(terms, dtype):
    check_twin(long_problem(dtype), PENALTIES[1], terms, True, 1)


@each_terms
@pytest.mark.parametrize("make", [long_problem, lambda dtype: make_large_problem(7, dtype)])
def test_the_same_bits_at_any_number_of_threads(make, terms, dtype):
    p = make(dtype)
    found = []
    for n_threads in THREADS[:3]:
        model, report = fit(p, PENALTIES[1], terms, max_iter=2, n_threads=n_threads)
        assert model.user_biases is not None and model.item_biases is not None
        arrays = (model.user_factors, model.item_factors, model.user_biases, model.item_biases)
        history = [now["objective"] for now in report["history"]]
        found.append(([array.tobytes() for array in arrays], history))
    assert found[1:] == [found[0]] * 2


# ---- minima --------------------------------------------------------------------------------------


@with_and_without_biases
def test_ccd_and_als_find_the_same_minimum(biases):
    # With as many factors as items the local minima are global ones.
    p, penalty = problem_of((25, 12, 0.5), 12, "float64"), reference.Penalty((0.4, 0.6), 0.5, 0.5)
    _, report = fit(p, penalty, biases=biases, max_iter=3000, tol=1e-13, n_threads=1)
    als = mf.MatrixFactorization(
        12,
        solver="als",
        biases=biases,
        regularization=penalty.regularization,
        bias_regularization=penalty.bias_regularization,
        dtype="float64",
        max_iter=3000,
        tol=1e-13,
        n_threads=1,
    ).fit(p.R)
    found = report["history"][-1]["objective"]
    assert found == pytest.approx(als.history_["objective"][-1], rel=1e-7)


@each_penalty
@each_terms
def test_minima_meet_the_conditions_of_karush_kuhn_and_tucker(penalty, terms):
    """At a minimum the slope of the smooth part is 0, or a kink or a bound holds it."""
    l1, nonnegative, some_weights = terms
    p = problem_of("small", 5, "float64", seed=2)
    model, report = fit(p, penalty, terms, max_iter=20_000, tol=1e-14, n_threads=1)
    assert report["stop_reason"] == "converged"
    R, q = p.R, weights_of(p, some_weights)
    users = reference.user_codes(R)
    e = (reference.estimates(R, model) - R.values) * (1 if q is None else q)
    assert model.user_biases is not None and model.item_biases is not None
    sides = (
        (users, R.items, model.user_factors, model.item_factors, model.user_biases),
        (R.items, users, model.item_factors, model.user_factors, model.item_biases),
    )
    n_zeros = 0
    for side, (own, other, x, y, b) in enumerate(sides):
        w = reference.count_weights(reference.counts(R)[side], penalty.regularization_exponent)
        factor, bias = penalty.of(side)
        slope = w[:, None] * factor * x
        np.add.at(slope, own, e[:, None] * y[other])
        kink = np.broadcast_to((l1[side] * w)[:, None], x.shape)
        assert np.max(np.abs(np.bincount(own, e, len(b)) + w * bias * b)) < 1e-5
        if nonnegative:
            assert np.all(x >= 0)
            assert np.all((slope + kink)[x == 0] >= -1e-5)
        else:
            assert np.all(np.abs(slope[x == 0]) <= kink[x == 0] + 1e-5)
        assert np.max(np.abs((slope + np.sign(x) * kink)[x != 0]), initial=0) < 1e-5
        n_zeros += int(np.sum(x[reference.counts(R)[side] > 0] == 0))
    assert (n_zeros > 0) == (nonnegative or max(l1) > 0)


def test_biases_may_be_negative_where_factors_may_not():
    p = problem_of("general", 7, "float32")
    model, _ = fit(p, PENALTIES[1], TERMS[2], max_iter=3)
    assert model.user_biases is not None and model.item_biases is not None
    assert model.user_biases.min() < 0 and model.item_biases.min() < 0
    assert min(model.user_factors.min(), model.item_factors.min()) == 0


def test_a_rating_of_weight_0_is_as_good_as_none(dtype):
    """But for the count weights of the penalty, which are off here."""
    p, penalty = problem_of("small", 7, dtype), PENALTIES[0]
    terms = ((0.0, 0.0), False, True)
    kept = weights_of(p, True) > 0
    offsets = np.concatenate([[0], np.cumsum(kept)])[p.R.offsets]
    R = mf.Ratings.from_csr_arrays(offsets, p.R.items[kept], p.R.values[kept], p.R.n_items)
    assert kept.sum() < p.R.nnz
    model, _ = fit(p, penalty, terms, biases=False, max_iter=3)
    twin = start_of(replace(p, R=R), model)
    for _ in range(3):
        twin = reference.ccd_sweep(
            R.astype("float64"), twin, penalty, weights=weights_of(p, True)[kept]
        )
    assert_near(model.user_factors, twin.user_factors, "ccd", dtype)
    assert_near(model.item_factors, twin.item_factors, "ccd", dtype)
