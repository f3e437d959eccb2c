"""The table of losses x solvers x regularizers: each of its cells is fitted, and is what it says.

Weights, biases and the exponent of the count weights are gone through within each cell: every pair
of their values, but not every triple.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import LABELS, POINTWISE, assert_near, bits, model_of, ratings_from_mask
from matfac import reference

#: What docs/choosing.md says of losses of choices; conftest.POINTWISE has the others.
OF_CHOICES = {"als": ("implicit_squared",), "sgd": ("bpr", "warp"), "batch": (), "ccd": ()}
CELLS = [(solver, loss) for solver, losses in POINTWISE.items() for loss in losses]
CELLS_OF_CHOICES = [(solver, loss) for solver, losses in OF_CHOICES.items() for loss in losses]

#: λ and κ, alike for both sides or not.
REGULARIZERS: dict[str, dict[str, Any]] = {
    "none": {"regularization": 0.0, "l1_regularization": 0.0},
    "l2": {"regularization": 0.3, "l1_regularization": 0.0},
    "l1": {"regularization": 0.0, "l1_regularization": 0.2},
    "both": {"regularization": 0.3, "l1_regularization": 0.1},
    "per side": {"regularization": (0.4, 0.1), "l1_regularization": (0.0, 0.2)},
}
N_FACTORS, HUBER_THRESHOLD = 5, 0.75

each_regularizer = pytest.mark.parametrize("regularizer", REGULARIZERS)
signed_or_not = pytest.mark.parametrize("nonnegative", [False, True], ids=["signed", "nonnegative"])


def ratings(loss: str, *, weighted: bool) -> mf.Ratings:
    """Ratings that the loss allows, with users and items that have none."""
    rng = np.random.default_rng(3)
    mask = rng.random((23, 17)) < 0.35
    mask[[4, 11]] = mask[:, [0, 9]] = False
    R = ratings_from_mask(mask, "float64", rng)
    values = rng.choice([-1.0, 1.0], R.nnz) if loss in LABELS else rng.integers(1, 11, R.nnz) / 2
    weights = rng.choice([0.5, 1, 2], R.nnz) if weighted else None
    return mf.Ratings.from_csr_arrays(R.offsets, R.items, values, R.n_items, weights=weights)


def fit(
    estimator: type[Any], R: mf.Ratings, options: dict[str, Any], n_threads: int, max_iter: int = 6
) -> Any:
    return estimator(
        N_FACTORS,
        random_state=1,
        dtype="float64",
        max_iter=max_iter,
        tol=0,
        n_threads=n_threads,
        **options,
    ).fit(R)


def parameters_of(model: Any) -> list[bytes]:
    arrays = (model.user_factors_, model.item_factors_, model.user_biases_, model.item_biases_)
    return bits(*(array for array in arrays if array is not None))


def check(model: Any, again: Any, *, nonnegative: bool) -> None:
    assert parameters_of(model) == parameters_of(again)
    assert model.history_["objective"] == again.history_["objective"]
    factors = np.concatenate([model.user_factors_, model.item_factors_])
    assert np.all(np.isfinite(factors))
    assert not nonnegative or np.min(factors) >= 0


def written_out(R: mf.Ratings, model: mf.MatrixFactorization) -> float:
    """The objective as the documentation writes it, of the parameters that came out."""
    penalty = reference.Penalty(
        model.regularization_,
        model.bias_regularization_,
        model.regularization_exponent,
        model.l1_regularization,
    )
    return reference.objective(R, model_of(model), penalty, model.loss, HUBER_THRESHOLD)


@pytest.mark.parametrize(("solver", "loss"), CELLS)
@each_regularizer
@signed_or_not
def test_pointwise_cell(solver, loss, regularizer, nonnegative):
    """The same bits on three threads; the reported objective is that of the factors, and falls."""
    for weighted, biases in product([False, True], repeat=2):
        exponent = 0.5 if weighted == biases else 0.0
        R = ratings(loss, weighted=weighted)
        options = {
            "solver": solver,
            "loss": loss,
            "nonnegative": nonnegative,
            "biases": biases,
            "bias_regularization": 0.2,
            "regularization_exponent": exponent,
            **({"huber_threshold": HUBER_THRESHOLD} if loss == "huber" else {}),
            **REGULARIZERS[regularizer],
        }
        model, again = (fit(mf.MatrixFactorization, R, options, n) for n in (1, 3))
        check(model, again, nonnegative=nonnegative)
        objectives = model.history_["objective"]
        if solver == "sgd":  # its losses are measured before each step, not afterwards
            assert objectives[-1] < objectives[0]
        else:
            assert_near(objectives[-1], written_out(R, model), "objective", "float64")
            assert np.all(np.diff(objectives) <= 1e-9 * np.abs(objectives[:-1]))


@pytest.mark.parametrize(("solver", "loss"), CELLS_OF_CHOICES)
@each_regularizer
@signed_or_not
def test_cell_of_choices(solver, loss, regularizer, nonnegative):
    for weighted, exponent in product([False, True], [0.0, 0.5]):
        R = ratings(loss, weighted=weighted)
        options = {
            "solver": solver,
            "loss": loss,
            "nonnegative": nonnegative,
            "regularization_exponent": exponent,
            **REGULARIZERS[regularizer],
        }
        model, again = (
            fit(mf.ImplicitFactorization, R, options, n_threads, max_iter=10)
            for n_threads in (1, 3)
        )
        check(model, again, nonnegative=nonnegative)
        objectives = model.history_["objective"]
        assert objectives[-1] < objectives[0]


@pytest.mark.parametrize("solver", POINTWISE)
def test_what_is_not_in_the_table_is_refused_with_what_is(solver):
    for loss in {loss for losses in POINTWISE.values() for loss in losses} - {*POINTWISE[solver]}:
        those = [name for name, losses in POINTWISE.items() if loss in losses]
        with pytest.raises(ValueError, match="does not support loss") as caught:
            mf.MatrixFactorization(2, solver=solver, loss=loss).fit(ratings(loss, weighted=False))
        assert all(f"'{name}'" in str(caught.value).split(";")[-1] for name in those)
