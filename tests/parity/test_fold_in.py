"""Rows of new users under losses that are not made of squares, against long descents in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import bits, same_at_any_n_threads
from matfac import _core, reference
from matfac._coerce import as_native

LENGTHS = (1, 7, 33)
PENALTY = reference.Penalty((0.7, 0.7), (0.4, 0.4), 0.5)
#: κ and whether factors are kept from being negative.
SIGNS = [(0.0, False), (0.3, False), (0.0, True), (0.3, True)]


class Case:
    """A model of random numbers, and new users: one with nothing, one with a single rating."""

    def __init__(self, n_factors: int, dtype: str, n_items: int = 60, low: float = -0.7) -> None:
        rng = np.random.default_rng(n_factors)

        def numbers(*shape: int) -> Any:
            return np.ascontiguousarray(rng.uniform(low, 1.0, shape).astype(dtype))

        self.U, self.V = numbers(40, n_factors), numbers(n_items, n_factors)
        self.b, self.c = numbers(40), numbers(n_items)
        mask = rng.random((6, n_items)) < 0.2
        mask[1], mask[2] = False, np.arange(n_items) == 3
        users, items = np.nonzero(mask)
        values = rng.integers(1, 6, len(users)).astype(dtype)
        weights = rng.uniform(0.5, 2.0, len(users)).astype(dtype)
        R = mf.Ratings.from_arrays(users, items, values, weights=weights)
        self.R = R.aligned_to(user_ids=np.arange(6), item_ids=np.arange(n_items))[0].astype(dtype)

    def model(self, mean: float, biases: bool) -> reference.Model:
        U, V, b, c = (x.astype(np.float64) for x in (self.U, self.V, self.b, self.c))
        return reference.Model(U, V, b if biases else None, c if biases else None, mean)

    def fold_in(
        self, settings: _core.Settings, mean: float, biases: bool, n_threads: int = 0
    ) -> Any:
        rows = np.full((6, self.V.shape[1]), 7, self.V.dtype)
        own = np.full(6, 7, self.V.dtype) if biases else None
        _core.fold_in(
            self.V,
            self.c if biases else None,
            mean,
            settings,
            as_native(self.R, self.V.dtype),
            rows,
            own,
            n_threads,
            self.U,
            self.b if biases else None,
        )
        return rows, own


def settings_of(loss: str, biases: bool, kappa: float, nonnegative: bool) -> _core.Settings:
    settings = _core.Settings()
    settings.solver, settings.loss, settings.biases = "sgd", loss, biases
    settings.regularization, settings.bias_regularization = (0.7, 0.7), (0.4, 0.4)
    settings.l1_regularization, settings.nonnegative = (kappa, 0.0), nonnegative
    return settings


def assert_rows(actual: Any, expected: Any) -> None:
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(actual.astype(np.float64), expected, atol=5e-4 * scale)


@pytest.mark.parametrize("n_factors", LENGTHS)
@pytest.mark.parametrize(("kappa", "nonnegative"), SIGNS)
@pytest.mark.parametrize("biases", [False, True])
def test_rows_of_comparisons(n_factors, kappa, nonnegative, biases, dtype):
    case = Case(n_factors, dtype)
    own = reference.RowPenalty(PENALTY, kappa, nonnegative)
    expected = reference.fold_in_pairs(case.R, case.model(0.0, biases), own, False)
    for loss in ("bpr", "warp"):
        settings = settings_of(loss, biases, kappa, nonnegative)
        rows, user_biases = case.fold_in(settings, 0.0, biases)
        assert_rows(rows, expected)
        assert not rows[1].any() and (rows[0].any() or nonnegative or kappa > 0)
        assert user_biases is None or not user_biases.any()
        assert not nonnegative or rows.min() >= 0
        same_at_any_n_threads(
            lambda n, s=settings: bits(*case.fold_in(s, 0.0, biases, n)[:1])  # type: ignore[misc]
        )


@pytest.mark.parametrize("n_factors", [1, 7])
@pytest.mark.parametrize("biases", [False, True])
def test_rows_that_are_compared_with_users(n_factors, biases, dtype):
    case = Case(n_factors, dtype)
    settings = settings_of("bpr", biases, 0.1, False)
    settings.compare_users = True
    own = reference.RowPenalty(PENALTY, 0.1)
    expected = reference.fold_in_pairs(case.R, case.model(0.0, biases), own, True)
    rows, user_biases = case.fold_in(settings, 0.0, biases)
    assert_rows(rows, expected[:, :n_factors])
    if biases:
        assert_rows(user_biases, expected[:, n_factors])
        assert user_biases[1] == 0 and user_biases[0] != 0


def test_a_sample_stands_for_many_items(dtype):
    case = Case(5, dtype, n_items=1500)
    sample = reference.sample_of(1500)
    assert len(sample) == 512 and len(np.unique(sample)) == 512 and sample.max() < 1500
    expected = reference.fold_in_pairs(
        case.R, case.model(0.0, True), reference.RowPenalty(PENALTY), False
    )
    assert_rows(case.fold_in(settings_of("bpr", True, 0.0, False), 0.0, True)[0], expected)


@pytest.mark.parametrize("n_factors", LENGTHS)
@pytest.mark.parametrize("kappa", [0.0, 0.3])
@pytest.mark.parametrize("biases", [False, True])
def test_rows_of_the_divergence(n_factors, kappa, biases, dtype):
    case = Case(n_factors, dtype, low=0.0)
    mean = 1.5 if biases else 0.0
    settings = settings_of("kullback_leibler", biases, kappa, True)
    own = reference.RowPenalty(PENALTY, kappa, True)
    expected = reference.fold_in_divergence(case.R, case.model(mean, biases), own)
    rows, user_biases = case.fold_in(settings, mean, biases)
    assert_rows(rows, expected[:, :n_factors])
    assert rows.min() >= 0 and not rows[1].any()
    if biases:
        assert_rows(user_biases, expected[:, n_factors])
        assert user_biases.min() >= -mean / 2
    same_at_any_n_threads(lambda n: bits(case.fold_in(settings, mean, biases, n)[0]))


@pytest.mark.parametrize("n_factors", [1, 16])
def test_rows_of_the_hinge_are_near_the_least(n_factors, dtype):
    case = Case(n_factors, dtype)
    R = case.R
    labels = np.where(np.arange(R.nnz) % 3 == 0, 0.0, 1.0)
    given = mf.Ratings.from_arrays(np.repeat(np.arange(6), np.diff(R.offsets)), R.items, labels)
    case.R = given.aligned_to(user_ids=R.user_ids, item_ids=R.item_ids)[0].astype(dtype)
    settings = settings_of("hinge", True, 0.0, False)
    rows, user_biases = case.fold_in(settings, 0.3, True)
    V, c = case.V.astype(float), case.c.astype(float)

    def objective(n: int, u: Any, b: float) -> float:
        part = slice(R.offsets[n], R.offsets[n + 1])
        items, w = R.items[part], (part.stop - part.start) ** 0.5
        losses = reference.loss_values("hinge", labels[part], 0.3 + b + c[items] + V[items] @ u)
        return float(losses.sum() + w * (0.35 * u @ u + 0.2 * b * b))

    for n in (0, 2, 3, 4, 5):
        least = best_by_subgradients(objective, n, labels, case, 0.3)
        assert objective(n, rows[n].astype(float), float(user_biases[n])) <= 1.01 * least + 1e-3


def best_by_subgradients(objective: Any, n: int, labels: Any, case: Case, mean: float) -> float:
    """Return the least objective of a long subgradient descent."""
    R, V = case.R, case.V.astype(float)
    part = slice(R.offsets[n], R.offsets[n + 1])
    items, w = R.items[part], (part.stop - part.start) ** 0.5
    u, b, least = np.zeros(V.shape[1]), 0.0, np.inf
    for step in range(1, 1501):
        x = mean + b + case.c.astype(float)[items] + V[items] @ u
        g = reference.loss_derivatives("hinge", labels[part], x)
        rate = 1 / (0.4 * w * (step + 10))
        u, b = u - rate * (g @ V[items] + 0.7 * w * u), b - rate * (g.sum() + 0.4 * w * b)
        least = min(least, objective(n, u, b))
    return least


def test_comparing_users_needs_users():
    case = Case(3, "float32")
    settings = settings_of("bpr", True, 0.0, False)
    settings.compare_users = True
    rows, own = np.zeros((6, 3), "float32"), np.zeros(6, "float32")
    ratings = as_native(case.R, case.V.dtype)
    with pytest.raises(ValueError, match="compare_users needs the model's users"):
        _core.fold_in(case.V, case.c, 0.0, settings, ratings, rows, own, 0)
