"""Stochastic descent with every loss of single ratings, weights, L1 and signs, against its twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import (
    SHAPES_AND_SIZES,
    Problem,
    assert_near,
    make_large_problem,
    make_problem,
)
from matfac import reference

RATINGS = ("squared", "absolute", "huber", "kullback_leibler")
LABELS = ("logistic", "hinge", "squared_hinge")
LOSSES = (*RATINGS, *LABELS)
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "l1": {"l1_regularization": (0.05, 0.02)},
    "nonnegative": {"nonnegative": True},
}
PENALTY = {"regularization": (0.3, 0.2), "bias_regularization": (0.2, 0.1)}


def rated(p: Problem, loss: str, weighted: bool) -> mf.Ratings:
    """The problem's pattern with ratings that the loss allows, and weights."""
    rng = np.random.default_rng(5)
    values = rng.choice([-1, 1], p.R.nnz) if loss in LABELS else rng.integers(0, 11, p.R.nnz) / 2
    weights = rng.choice([0, 0.5, 1, 2.5], p.R.nnz).astype(p.dtype) if weighted else None
    if weights is not None:
        weights[0] = 1
    return mf.Ratings.from_csr_arrays(
        p.R.offsets, p.R.items, values.astype(p.dtype), p.R.shape[1], weights=weights
    )


def center_of(R: mf.Ratings, loss: str) -> float:
    weights = reference.weights_of(R)
    if loss in RATINGS:
        return float(R.values.dtype.type(np.average(R.values, weights=weights)))
    if loss == "logistic":
        share = np.clip(np.average(R.values > 0, weights=weights), 1e-3, 1 - 1e-3)
        return float(R.values.dtype.type(np.log(share / (1 - share))))
    return 0.0


def check(p: Problem, loss: str, option: str, *, biases: bool, weighted: bool, **more: Any) -> None:
    R, settings = rated(p, loss, weighted), OPTIONS[option]
    positive = loss == "kullback_leibler" or settings.get("nonnegative", False)
    rng = np.random.default_rng(1)
    start = [p.U, p.V, *(0.1 * rng.normal(size=n).astype(p.dtype) for n in R.shape)]
    for part in start[: 2 if positive else 0]:
        np.abs(part, out=part)
    if not biases:
        start = start[:2]
    options = {"learning_rate": 0.2, "max_iter": 2, **more}
    fitted = mf.MatrixFactorization(
        p.n_factors,
        solver="sgd",
        loss=loss,
        biases=biases,
        huber_threshold=0.7,
        init=tuple(start),
        dtype=p.dtype,
        random_state=3,
        **PENALTY,
        **settings,
        **options,
    ).fit(R)
    exact = [part.astype(float) for part in start]
    for side, part in enumerate(exact):
        part[reference.counts(R)[side % 2] == 0] = 0
    mean = center_of(R, loss) if biases else 0.0
    twin, objectives = reference.sgd_fit(
        reference.StoredRows(R.offsets, R.items, R.values.astype(float), R.shape, R.weights),
        reference.Model(*exact[:2], *(exact[2:] or (None, None)), mean),
        reference.Penalty(
            PENALTY["regularization"],
            PENALTY["bias_regularization"],
            0.5,
            settings.get("l1_regularization", 0.0),
        ),
        options["max_iter"],
        learning_rate=options["learning_rate"],
        seed=3,
        loss=loss,
        threshold=0.7,
        nonnegative=positive,
    )
    for ours, theirs in (
        (fitted.user_factors_, twin.user_factors),
        (fitted.item_factors_, twin.item_factors),
        (fitted.user_biases_, twin.user_biases),
        (fitted.item_biases_, twin.item_biases),
    ):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            assert_near(ours, theirs, "sgd", p.dtype, max(1.0, np.max(np.abs(theirs))))
    assert fitted.global_mean_ == pytest.approx(mean, rel=1e-12)
    assert_near(fitted.history_["objective"], objectives, "objective", p.dtype)
    if positive:
        assert fitted.user_factors_.min() >= 0 and fitted.item_factors_.min() >= 0


@pytest.mark.parametrize("biases", [True, False], ids=["biases", "bare"])
@pytest.mark.parametrize("option", list(OPTIONS))
@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_and_option_equals_twin(loss, option, biases, dtype):
    check(make_problem("general", 7, dtype), loss, option, biases=biases, weighted=True)
    check(make_problem("general", 7, dtype), loss, option, biases=biases, weighted=False)


@pytest.mark.parametrize(("shape", "n_factors"), SHAPES_AND_SIZES)
@pytest.mark.parametrize("loss", ["huber", "logistic"])
def test_sizes_and_shapes_equal_twin(shape, n_factors, loss, dtype):
    check(make_problem(shape, n_factors, dtype), loss, "l1", biases=True, weighted=True)


@pytest.mark.parametrize("loss", ["squared", "hinge", "kullback_leibler"])
def test_many_blocks_equal_twin(loss, dtype):
    p = make_large_problem(8, dtype, n_draws=6000)
    check(p, loss, "plain", biases=True, weighted=True)


@pytest.mark.parametrize("loss", LOSSES)
def test_same_bits_at_any_number_of_threads(loss, dtype):
    p = make_large_problem(16, dtype, n_draws=30_000)
    R = rated(p, loss, weighted=True)
    bits = {
        mf.MatrixFactorization(
            16,
            solver="sgd",
            loss=loss,
            l1_regularization=0.1,
            max_iter=2,
            dtype=dtype,
            n_threads=n_threads,
        )
        .fit(R)
        .item_factors_.tobytes()
        for n_threads in (1, 2, 3)
    }
    assert len(bits) == 1
