"""Pairwise ranking, the native fit against its NumPy twin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from conftest import (
    SHAPES_AND_SIZES,
    Problem,
    assert_near,
    make_large_problem,
    make_problem,
    same_at_any_n_threads,
)
from conftest import bits as bits_of_arrays
from matfac import _core, reference

LOSSES = ("bpr", "warp")
SEED = 2**33 + 4
PENALTY = reference.Penalty((0.1, 0.2), (0.3, 0.05), 0.5)

each_loss = pytest.mark.parametrize("loss", LOSSES)
each_direction = pytest.mark.parametrize("compare_users", [False, True], ids=["items", "users"])
each_negatives = pytest.mark.parametrize("negatives", ["uniform", "popularity"])


def native(p: Problem, weights: np.ndarray | None = None) -> Any:
    kind = type(p.R._native)
    ones = np.ones(p.R.nnz, p.dtype)
    return kind(p.R.n_items, p.R._native.offsets, p.R._native.items, ones, weights)


def rows(p: Problem, weights: np.ndarray | None = None) -> reference.Rows:
    """The same for the twins."""
    ones = np.ones(p.R.nnz)
    return reference.StoredRows(p.R._native.offsets, p.R._native.items, ones, p.R.shape, weights)


def start_of(p: Problem, biases: bool) -> reference.Model:
    """Where both start: rows without ratings are zero."""
    rng = np.random.default_rng(1)
    parts = [p.U.copy(), p.V.copy(), *(0.1 * rng.normal(size=n).astype(p.dtype) for n in p.R.shape)]
    for side, part in enumerate(parts):
        part[reference.counts(p.R)[side % 2] == 0] = 0
    return reference.Model(*parts) if biases else reference.Model(*parts[:2])


def settings_of(
    p: Problem, pairs: reference.Pairs, penalty: reference.Penalty, biases: bool, **options: Any
) -> _core.Settings:
    settings = _core.Settings()
    settings.solver, settings.loss, settings.n_factors = "sgd", pairs.loss, p.n_factors
    settings.negatives, settings.max_trials = pairs.negatives, pairs.max_trials
    settings.compare_users, settings.nonnegative = pairs.compare_users, pairs.nonnegative
    settings.l1_regularization = (penalty.l1_of(0), penalty.l1_of(1))
    settings.regularization = (penalty.of(0)[0], penalty.of(1)[0])
    settings.bias_regularization = (penalty.of(0)[1], penalty.of(1)[1])
    settings.regularization_exponent = penalty.regularization_exponent
    settings.learning_rate, settings.seed = pairs.learning_rate, pairs.seed
    settings.biases, settings.init, settings.max_iter = biases, "given", 3
    for name, value in options.items():
        setattr(settings, name, value)
    return settings


def fit(
    p: Problem,
    pairs: reference.Pairs,
    *,
    biases: bool = True,
    penalty: reference.Penalty = PENALTY,
    weights: np.ndarray | None = None,
    held_out: Any = None,
    **options: Any,
) -> tuple[list[np.ndarray], dict[str, Any]]:
    settings = settings_of(p, pairs, penalty, biases, **options)
    start = start_of(p, biases)
    parts = [start.user_factors, start.item_factors, start.user_biases, start.item_biases]
    report = _core.fit(native(p, weights), settings, *parts, held_out, None)
    return parts, report


def check(
    p: Problem,
    pairs: reference.Pairs,
    *,
    biases: bool = True,
    weights: np.ndarray | None = None,
    max_iter: int = 3,
    penalty: reference.Penalty = PENALTY,
) -> None:
    parts, report = fit(
        p, pairs, biases=biases, weights=weights, max_iter=max_iter, penalty=penalty
    )
    start = start_of(p, biases)
    exact = [
        None if x is None else x.astype(float)
        for x in (start.user_factors, start.item_factors, start.user_biases, start.item_biases)
    ]
    twin, objectives = reference.pairwise_fit(
        rows(p, weights), reference.Model(*exact), penalty, pairs, max_iter, dtype=p.dtype
    )
    expected = (twin.user_factors, twin.item_factors, twin.user_biases, twin.item_biases)
    for found, wanted in zip(parts, expected, strict=True):
        if found is None:
            assert wanted is None
        else:
            largest = max(1.0, np.max(np.abs(wanted)))
            assert_near(found, wanted, "sgd", p.dtype, largest)
    assert_near([h["objective"] for h in report["history"]], objectives, "objective", p.dtype)


@pytest.mark.parametrize("biases", [True, False], ids=["biases", "bare"])
@each_loss
@pytest.mark.parametrize(("shape", "n_factors"), SHAPES_AND_SIZES)
def test_fits_equal_their_twins(shape, n_factors, loss, biases, dtype):
    pairs = reference.Pairs(loss, max_trials=10, seed=SEED)
    check(make_problem(shape, n_factors, dtype), pairs, biases=biases, max_iter=2)


@pytest.mark.parametrize(
    ("negatives", "compare_users"),
    [("uniform", False), ("popularity", False), ("popularity", True)],
)
@each_loss
def test_fits_equal_their_twins_over_many_blocks(loss, negatives, compare_users, dtype):
    p = make_large_problem(8, dtype, n_items=500, n_draws=2700)
    pairs = reference.Pairs(loss, negatives, max_trials=6, compare_users=compare_users, seed=3)
    grid = reference.PairwiseGrid(p.R, 8, 3, dtype)
    assert grid.n_rows > 1 and grid.n_columns > 1
    check(p, pairs, max_iter=1)


def test_long_blocks_are_taken_in_portions(dtype):
    """One column and few rows, so that a block has more ratings than a portion."""
    p = make_problem((90, 60, 0.9), 5, dtype)
    grid = reference.PairwiseGrid(p.R, 5, 0, dtype)
    assert grid.n_columns == 1 and p.R.nnz > grid.n_rows * 2048
    check(p, reference.Pairs("bpr"), max_iter=1)


@each_direction
@each_loss
@pytest.mark.parametrize("nonnegative", [False, True], ids=["any sign", "nonnegative"])
def test_weights_thresholds_and_signs_equal_their_twins(nonnegative, loss, compare_users, dtype):
    p = make_problem("general", 7, dtype)
    weights = np.random.default_rng(0).uniform(0, 2, p.R.nnz).astype(dtype)
    pairs = reference.Pairs(
        loss,
        max_trials=10,
        compare_users=compare_users,
        nonnegative=nonnegative,
        seed=5,
    )
    penalty = replace(PENALTY, l1_regularization=(0.3, 0.1))
    check(p, pairs, weights=weights, penalty=penalty)
    parts, _ = fit(p, pairs, weights=weights, penalty=penalty)
    assert np.any(parts[0][reference.counts(p.R)[0] > 0] == 0)
    assert np.all(parts[0] >= 0) == nonnegative


@pytest.mark.parametrize("max_trials", [1, 3, 4, 9])
def test_the_number_of_trials_equals_the_twins(max_trials, dtype):
    p = make_problem("general", 7, dtype, seed=1)
    check(p, reference.Pairs("warp", max_trials=max_trials, learning_rate=0.4))


@each_direction
@each_negatives
@each_loss
def test_the_held_out_loss_equals_its_twin(loss, negatives, compare_users, dtype):
    p, other = make_problem("general", 7, dtype), make_problem("general", 7, dtype, seed=9)
    weights = np.random.default_rng(2).uniform(0, 2, other.R.nnz).astype(dtype)
    pairs = reference.Pairs(loss, negatives, compare_users=compare_users, seed=11)
    parts, report = fit(p, pairs, held_out=native(other, weights))
    exact = reference.Model(*(x.astype(float) for x in parts))
    expected = reference.pairwise_held_out_loss(rows(p), rows(other, weights), exact, pairs)
    assert_near(report["history"][-1]["eval_loss"], expected, "objective", dtype)


@each_direction
@each_loss
def test_the_same_bits_at_any_number_of_threads(loss, compare_users, dtype):
    p = make_large_problem(7, dtype)
    pairs = reference.Pairs(loss, compare_users=compare_users, seed=1)
    held_out = native(make_large_problem(7, dtype, seed=5))

    def run(n_threads: int) -> list[bytes]:
        parts, report = fit(p, pairs, held_out=held_out, max_iter=2, n_threads=n_threads)
        losses = [(h["objective"], h["eval_loss"]) for h in report["history"]]
        return bits_of_arrays(*parts, *losses)

    same_at_any_n_threads(run)
