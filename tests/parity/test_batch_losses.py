"""``batch`` on every smooth loss, with weights, L1 and signs, against its twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import Problem, assert_near, bits_of, make_problem, model_of, same_at_any_n_threads
from matfac import reference

LABELS = ("logistic", "squared_hinge")
LOSSES = ("squared", "huber", "kullback_leibler", *LABELS)
CONSTRAINTS: dict[str, dict[str, Any]] = {
    "smooth": {},
    "l1": {"l1_regularization": (0.15, 0.1)},
    "nonnegative": {"nonnegative": True},
    "both": {"l1_regularization": (0.1, 0.2), "nonnegative": True},
}
THRESHOLD = 0.8
each_loss = pytest.mark.parametrize("loss", LOSSES)
each_constraint = pytest.mark.parametrize("constraint", CONSTRAINTS)
with_and_without_biases = pytest.mark.parametrize("biases", [True, False], ids=["biases", "bare"])
weighted_or_not = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])


def rated(p: Problem, loss: str, *, weighted: bool) -> Problem:
    rng = np.random.default_rng([len(p.R.values), p.n_factors])
    values = rng.choice([0, 1], p.R.nnz) if loss in LABELS else rng.integers(0, 11, p.R.nnz) / 2
    weights = rng.choice([0, 0.5, 1, 2.5], p.R.nnz).astype(p.dtype) if weighted else None
    if weights is not None:
        weights[0] = 1  # never all 0
    offsets, items, n_items = p.R.offsets, p.R.items, p.R.n_items
    R = mf.Ratings.from_csr_arrays(offsets, items, values.astype(p.dtype), n_items, weights=weights)
    return Problem(R, np.abs(p.U) + 0.1, np.abs(p.V) + 0.1)


def penalty_with(options: dict[str, Any]) -> reference.Penalty:
    return reference.Penalty(
        (0.3, 0.2), (0.2, 0.1), 0.5, options.get("l1_regularization", (0.0, 0.0))
    )


def fit(
    p: Problem, loss: str, constraint: str, *, biases: bool, **more: Any
) -> mf.MatrixFactorization:
    penalty = penalty_with(CONSTRAINTS[constraint])
    return mf.MatrixFactorization(
        p.n_factors,
        solver="batch",
        loss=loss,
        huber_threshold=THRESHOLD,
        biases=biases,
        regularization=penalty.regularization,
        bias_regularization=penalty.bias_regularization,
        regularization_exponent=0.5,
        init=(p.U, p.V),
        dtype=p.dtype,
        **CONSTRAINTS[constraint],
        **more,
    ).fit(p.R)


def twin_of(
    p: Problem, fitted: mf.MatrixFactorization, loss: str, constraint: str, n_iter: int
) -> reference.Model:
    x = p.exact()
    for count, part in zip(reference.counts(x.R), (x.U, x.V), strict=True):
        part[count == 0] = 0
    biases = [None, None] if fitted.user_biases_ is None else [np.zeros(n) for n in x.R.shape]
    start = reference.Model(x.U, x.V, *biases, fitted.global_mean_)
    penalty = penalty_with(CONSTRAINTS[constraint])
    if constraint == "smooth" and loss != "kullback_leibler":
        return reference.batch_fit(x.R, start, penalty, n_iter, loss, THRESHOLD)
    nonnegative = "nonnegative" in CONSTRAINTS[constraint]
    return reference.proximal_fit(
        x.R, start, penalty, n_iter, loss, THRESHOLD, nonnegative=nonnegative
    )


@each_loss
@each_constraint
@with_and_without_biases
@weighted_or_not
def test_equals_twin(loss, constraint, biases, weighted, dtype):
    for n_factors in (1, 7, 16):
        p = rated(make_problem("general", n_factors, dtype), loss, weighted=weighted)
        fitted = fit(p, loss, constraint, biases=biases, max_iter=3)
        twin = twin_of(p, fitted, loss, constraint, 3)
        assert_near(fitted.user_factors_, twin.user_factors, "batch", dtype, 1.0)
        assert_near(fitted.item_factors_, twin.item_factors, "batch", dtype, 1.0)
        if biases:
            assert_near(fitted.user_biases_, twin.user_biases, "batch", dtype, 1.0)
            assert_near(fitted.item_biases_, twin.item_biases, "batch", dtype, 1.0)
        expected = reference.objective(
            p.exact().R, model_of(fitted), penalty_with(CONSTRAINTS[constraint]), loss, THRESHOLD
        )
        assert_near(fitted.history_["objective"][-1], expected, "objective", dtype)


@each_loss
@each_constraint
def test_objective_never_rises(loss, constraint, dtype):
    for shape in ("one rating", "one user", "wide", "small"):
        p = rated(make_problem(shape, 7, dtype), loss, weighted=True)
        objectives = fit(p, loss, constraint, biases=True, max_iter=25).history_["objective"]
        assert np.all(np.diff(objectives) <= 0)
        assert objectives[-1] < objectives[0] or len(objectives) <= 2


@each_loss
@each_constraint
def test_same_bits_at_any_number_of_threads(loss, constraint, dtype):
    p = rated(make_problem((400, 90, 0.3), 7, dtype), loss, weighted=True)
    options = {"biases": True, "max_iter": 4}
    same_at_any_n_threads(
        lambda n_threads: bits_of(fit(p, loss, constraint, n_threads=n_threads, **options))
    )


@each_loss
@each_constraint
@with_and_without_biases
def test_ends_where_no_direction_leads_down(loss, constraint, biases):
    """The conditions of Karush, Kuhn and Tucker, with g the gradient of what is smooth.

    g + κ w sign(x) = 0 where x is not 0; |g| ≤ κ w where it is; under a constraint g + κ w ≥ 0.
    """
    p = rated(make_problem("small", 4, "float64"), loss, weighted=True)
    fitted = fit(p, loss, constraint, biases=biases, max_iter=20_000, tol=1e-15)
    options, model = CONSTRAINTS[constraint], model_of(fitted)
    penalty = penalty_with(options)
    smooth = reference.Penalty(
        penalty.regularization, penalty.bias_regularization, penalty.regularization_exponent
    )
    gradient = reference.objective_gradient(p.R, model, smooth, loss, THRESHOLD)
    positive = loss == "kullback_leibler"
    nonnegative = positive or "nonnegative" in options
    small = 2e-5 * np.sum(reference.weights_of(p.R)) / min(p.R.shape)
    for side, (x, g) in enumerate(
        ((model.user_factors, gradient.user_factors), (model.item_factors, gradient.item_factors))
    ):
        weights = reference.count_weights(reference.counts(p.R)[side], 0.5)
        check_stationary(x, g, penalty.l1_of(side) * weights[:, None], small, nonnegative)
    if constraint != "smooth":
        assert np.any(model.user_factors == 0) and np.any(model.user_factors != 0)
    if biases:
        least = -model.global_mean / 2 if positive else 0.0
        for b, g in (
            (model.user_biases, gradient.user_biases),
            (model.item_biases, gradient.item_biases),
        ):
            check_stationary(b - least, g, 0.0, small, positive)


def check_stationary(x: Any, g: Any, threshold: Any, small: float, nonnegative: bool) -> None:
    threshold = np.broadcast_to(threshold, x.shape)
    moving = x != 0
    assert np.all(np.abs(g + threshold * np.sign(x))[moving] <= small)
    if nonnegative:
        assert np.all(x >= 0) and np.all((g + threshold)[~moving] >= -small)
    else:
        assert np.all(np.abs(g)[~moving] <= threshold[~moving] + small)


@pytest.mark.parametrize("loss", ["absolute", "hinge"])
def test_losses_with_kinks_are_refused(loss):
    p = make_problem("small", 3, "float32")
    with pytest.raises(ValueError, match=r"'batch' does not support.*'squared', 'huber'"):
        mf.MatrixFactorization(3, solver="batch", loss=loss).fit(p.R)
