"""The losses of single ratings: values, derivatives and majorizers, native and twins."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import (
    SHAPES_AND_SIZES,
    Problem,
    assert_near,
    bits,
    make_large_problem,
    make_problem,
    same_at_any_n_threads,
)
from matfac import reference

LABELS = ("logistic", "hinge", "squared_hinge")
LOSSES = ("squared", "absolute", "huber", "kullback_leibler", *LABELS)
SMOOTH = ("squared", "huber", "kullback_leibler", "logistic", "squared_hinge")
each_loss = pytest.mark.parametrize("loss", LOSSES)
weighted_or_not = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])


def rated(p: Problem, loss: str, *, weighted: bool) -> Problem:
    """The problem with ratings that the loss allows, and with weights."""
    rng = np.random.default_rng([len(p.R.values), p.n_factors])
    values = rng.choice([0, 1], p.R.nnz) if loss in LABELS else rng.integers(0, 11, p.R.nnz) / 2
    weights = rng.choice([0, 0.5, 1, 2.5], p.R.nnz).astype(p.dtype) if weighted else None
    U, V = (np.abs(part) if loss == "kullback_leibler" else part for part in (p.U, p.V))
    offsets, items, n_items = p.R.offsets, p.R.items, p.R.n_items
    R = mf.Ratings.from_csr_arrays(offsets, items, values.astype(p.dtype), n_items, weights=weights)
    return Problem(R, U, V)


def check(p: Problem, loss: str, *, weighted: bool) -> None:
    """Loss and gradients against the twins at the estimates as the dtype has them."""
    p = rated(p, loss, weighted=weighted)
    x, options = p.exact(), {"loss": loss, "huber_threshold": 0.75}
    twin = (x.R, x.U, x.V, loss, 0.75)
    users, weights = reference.user_codes(x.R), reference.weights_of(x.R)
    # How far a change of an estimate by its rounding changes loss and derivative.
    estimates = reference.products(x.R, x.U, x.V)
    steep = np.maximum(1.0, np.abs(reference.loss_derivatives(loss, x.R.values, estimates, 0.75)))
    if loss == "kullback_leibler":
        steep = steep + (1 + x.R.values) / np.maximum(estimates, 1e-6) ** 2
    terms = weights * steep * (1 + p.terms())
    scale = np.sum(terms * (1 + np.abs(reference.loss_values(loss, x.R.values, estimates, 0.75))))
    assert_near(mf.loss(p.R, p.U, p.V, **options), reference.loss(*twin), "sum", p.dtype, scale)
    scales = np.zeros_like(x.U), np.zeros_like(x.V)
    np.add.at(scales[0], users, terms[:, None] * (np.abs(x.V[x.R.items]) + 1e-9))
    np.add.at(scales[1], x.R.items, terms[:, None] * (np.abs(x.U[users]) + 1e-9))
    e = np.empty(p.R.nnz, p.dtype)
    found = mf.gradients(p.R, p.U, p.V, derivatives=e, **options)
    assert_near(e, reference.derivatives(*twin), "sum", p.dtype, terms)
    expected = reference.gradients(*twin)
    for side, side_scale in enumerate(scales):
        assert_near(found[side], expected[side], "sum", p.dtype, side_scale)


@each_loss
@weighted_or_not
@pytest.mark.parametrize(("shape", "n_factors"), SHAPES_AND_SIZES)
def test_equals_twin(shape, n_factors, weighted, loss, dtype):
    check(make_problem(shape, n_factors, dtype), loss, weighted=weighted)


@pytest.mark.parametrize("loss", ["squared", "logistic", "kullback_leibler"])
@weighted_or_not
def test_equals_twin_where_items_are_taken_by_popularity(weighted, loss, dtype):
    """More rows than fit a cache, and many ratings of each item."""
    check(make_large_problem(100, dtype, n_draws=60_000), loss, weighted=weighted)


@each_loss
def test_same_bits_at_any_number_of_threads(loss, dtype):
    for n_factors in (16, 100):
        p = rated(make_large_problem(n_factors, dtype, n_draws=60_000), loss, weighted=True)

        def compute(n_threads: int, p: Problem = p) -> list[bytes]:
            options = {"loss": loss, "n_threads": n_threads}
            return bits(mf.loss(p.R, p.U, p.V, **options), *mf.gradients(p.R, p.U, p.V, **options))

        same_at_any_n_threads(compute)


# ---- single estimates ----------------------------------------------------------------------------


def at_single_estimates(
    loss: str, ratings: Any, estimates: Any, dtype: str, weights: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Native values and derivatives: one user of factor 1, items whose factor is the estimate."""
    values, derivatives = [], []
    for i, (rating, estimate) in enumerate(zip(ratings, estimates, strict=True)):
        weight = None if weights is None else np.array([weights[i]], dtype)
        pattern = np.array([0, 1]), np.array([0], np.int32)
        R = mf.Ratings.from_csr_arrays(*pattern, np.array([rating], dtype), 1, weights=weight)
        U, V = np.ones((1, 1), dtype), np.full((1, 1), estimate, dtype)
        values.append(mf.loss(R, U, V, loss=loss))
        derivatives.append(float(mf.gradients(R, U, V, loss=loss)[1][0, 0]))
    return np.array(values), np.array(derivatives)


@pytest.mark.parametrize("loss", LABELS)
def test_labels_at_the_edges(loss, dtype):
    estimates = np.array([0, 1, -1, 1e-30, 30, -30, 1e4, -1e4, 1e30, -1e30])
    for rating in (1, 0, -1):
        r = np.full(len(estimates), rating)
        found = at_single_estimates(loss, r, estimates, dtype)
        if loss != "squared_hinge" or dtype == "float64":
            assert np.all(np.isfinite(found[0]))
        assert np.all(np.isfinite(found[1]))
        moderate = np.abs(estimates) <= 1e4
        x = estimates.astype(dtype).astype(float)
        expected = reference.loss_values(loss, r, x), reference.loss_derivatives(loss, r, x)
        for got, twin in zip(found, expected, strict=True):
            assert got[moderate] == pytest.approx(twin[moderate], rel=2e-6, abs=1e-30)


def test_ratings_at_the_edges(dtype):
    r, x = np.array([2.0, 2, 2, 0, 0]), np.array([2.0, 3, 2.5, 0, -7])
    for loss in ("squared", "absolute", "huber"):
        found = at_single_estimates(loss, r, x, dtype)
        assert found[0].tolist() == reference.loss_values(loss, r, x).tolist()
        assert found[1].tolist() == reference.loss_derivatives(loss, r, x).tolist()


def test_kullback_leibler_at_the_edges(dtype):
    """A rating of 0 costs its estimate; estimates below the least count as the least."""
    r, x = np.array([0, 0, 0, 3, 3, 3, 1e6]), np.array([2, 0, -5, 3, 0, -5, 1e-3])
    found = at_single_estimates("kullback_leibler", r, x, dtype)
    exact = x.astype(dtype).astype(float)
    expected = (
        reference.loss_values("kullback_leibler", r, exact),
        reference.loss_derivatives("kullback_leibler", r, exact),
    )
    for got, twin in zip(found, expected, strict=True):
        assert got == pytest.approx(twin, rel=1e-6, abs=1e-12)
    assert found[0][0] == 2 and found[1][:3].tolist() == [1, 1, 1] and found[0][3] == 0


@each_loss
def test_weights_multiply(loss, dtype):
    r, x = [1, 0, 1, 0, 1], [0.3, 0.4, 2.0, 3.0, 0.5]
    weights = np.array([0, 0.5, 1, 2, 3.25])
    plain = at_single_estimates(loss, r, x, dtype)
    found = at_single_estimates(loss, r, x, dtype, weights)
    for got, one in zip(found, plain, strict=True):
        assert got == pytest.approx(weights * one, rel=1e-6, abs=0)


def test_a_rating_of_weight_2_counts_like_two_problems(dtype):
    p = rated(make_problem("general", 7, dtype), "huber", weighted=True)
    R = p.R
    doubled = mf.Ratings.from_csr_arrays(
        R.offsets, R.items, R.values, R.n_items, weights=2 * R.weights
    )
    options = {"loss": "huber", "huber_threshold": 0.5}
    assert mf.loss(doubled, p.U, p.V, **options) == 2 * mf.loss(R, p.U, p.V, **options)
    plain, twice = (mf.gradients(x, p.U, p.V, **options) for x in (R, doubled))
    assert bits(*twice) == bits(2 * plain[0], 2 * plain[1])


# ---- the twins themselves ------------------------------------------------------------------------


@each_loss
def test_twin_derivatives_are_central_differences(loss):
    r = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    x = np.array([0.4, 0.7, 1.9, 2.3, 5.0, 0.1])  # no kink within h
    h = 1e-5
    high, low = (reference.loss_values(loss, r, x + s * h, 0.75) for s in (1, -1))
    found = reference.loss_derivatives(loss, r, x, 0.75)
    assert found == pytest.approx((high - low) / (2 * h), abs=1e-8)


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber", "logistic", "squared_hinge"])
def test_majorizers_touch_and_lie_above(loss):
    others = np.linspace(-9, 9, 721)
    for rating in (0.0, 1.0):
        for x in (-6.0, -1.0, -0.3, 0.0, 0.2, 0.9, 1.7, 7.0):
            if loss == "absolute" and abs(x - rating) < 0.01:
                continue
            r, at = np.array([rating]), np.array([x])
            w, target = reference.loss_majorizer(loss, r, at, 0.75)
            touching = reference.loss_values(loss, r, at, 0.75)
            constant = touching - 0.5 * w * (target - at) ** 2
            parabola = 0.5 * w * (target - others) ** 2 + constant
            losses = reference.loss_values(loss, np.full(len(others), rating), others, 0.75)
            assert np.all(parabola >= losses - 1e-10)
            slope = reference.loss_derivatives(loss, r, at, 0.75)
            assert w * (at - target) == pytest.approx(slope, abs=1e-9)


@pytest.mark.parametrize("loss", [*SMOOTH[1:3], "logistic"])
def test_losses_of_estimates_are_convex(loss):
    x = np.linspace(0.05, 6, 100)
    for rating in (0.0, 1.0):
        slopes = reference.loss_derivatives(loss, np.full(100, rating), x)
        assert all(b >= a - 1e-12 for a, b in pairwise(slopes))


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [mf.loss, mf.gradients])
def test_a_rating_that_the_loss_does_not_allow_is_refused(function, dtype):
    p = make_problem("small", 3, dtype)
    values = np.ones(p.R.nnz, dtype)

    def problem(*changed: tuple[int, float]) -> mf.Ratings:
        new = values.copy()
        for position, value in changed:
            new[position] = value
        return mf.Ratings.from_csr_arrays(p.R.offsets, p.R.items, new, p.R.n_items)

    user, item = reference.user_codes(p.R)[17], p.R.items[17]
    for loss in LABELS:
        where = rf"rating 3 at entry 17 \(user {user}, item {item}\) is no label: .*1 for yes"
        with pytest.raises(ValueError, match=where):
            function(problem((17, 3)), p.U, p.V, loss=loss)
        with pytest.raises(ValueError, match=r"0 \(entry 5\) and -1 \(entry 9\).*one of them"):
            function(problem((5, 0), (9, -1)), p.U, p.V, loss=loss)
    with pytest.raises(ValueError, match=r"rating -2 at entry 17 .*at least 0"):
        function(problem((17, -2)), p.U, p.V, loss="kullback_leibler")


@pytest.mark.parametrize("function", [mf.loss, mf.gradients])
def test_unknown_losses_and_thresholds_are_refused(function):
    p = make_problem("small", 3, "float32")
    with pytest.raises(ValueError, match=r"'square'.*'squared', 'absolute'"):
        function(p.R, p.U, p.V, loss="square")
    for ranking in ("bpr", "warp", "implicit_squared"):
        with pytest.raises(ValueError, match=f"'{ranking}' is not one of single ratings"):
            function(p.R, p.U, p.V, loss=ranking)
    for threshold in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="huber_threshold must be a finite number above 0"):
            function(p.R, p.U, p.V, loss="huber", huber_threshold=threshold)
    with pytest.raises(TypeError, match="loss=None: expected a name"):
        function(p.R, p.U, p.V, loss=None)
    with pytest.raises(TypeError, match="huber_threshold='1'"):
        function(p.R, p.U, p.V, huber_threshold="1")
