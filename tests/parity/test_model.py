"""What is done with a fitted model, against the NumPy twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import (
    SHAPES,
    SHAPES_AND_SIZES,
    SIZES,
    assert_near,
    make_problem,
    model_of,
    ratings_from_mask,
)
from matfac import _core, reference

with_and_without_biases = pytest.mark.parametrize("biases", [True, False], ids=["biases", "bare"])
PENALTY = reference.Penalty((0.1, 0.2), (0.3, 0.05), 1.0)


def fitted_model(
    shape: Any, n_factors: int, dtype: str, *, biases: bool = True, seed: int = 0
) -> tuple[mf.MatrixFactorization, mf.Ratings]:
    p = make_problem(shape, n_factors, dtype, seed)
    model = mf.MatrixFactorization(
        n_factors,
        biases=biases,
        regularization=PENALTY.regularization,
        bias_regularization=PENALTY.bias_regularization,
        regularization_exponent=PENALTY.regularization_exponent,
        max_iter=2,
        dtype=dtype,
    )
    return model.fit(p.R), p.R


def native(model: mf.MatrixFactorization | reference.Model, dtype: str) -> tuple[Any, ...]:
    """A model's parameters as the core takes them."""
    if isinstance(model, mf.MatrixFactorization):
        return model._parameters()
    parts = (model.user_factors, model.item_factors, model.user_biases, model.item_biases)
    return *(None if x is None else x.astype(dtype) for x in parts), model.global_mean


def codes(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def assert_same_ranking(
    found: tuple[Any, Any], expected: tuple[Any, Any], all_scores: np.ndarray, dtype: str
) -> None:
    """Same scores in the same order; and each item has the score that stands beside it.

    Items whose scores differ by less than rounding may change places.
    """
    assert found[0].shape == expected[0].shape
    filled = found[0] >= 0
    assert np.array_equal(filled, expected[0] >= 0)
    assert np.all(np.isneginf(found[1][~filled])) and np.all(found[0][~filled] == -1)
    scale = max(1.0, np.max(np.abs(all_scores), initial=0.0))
    assert_near(found[1][filled], expected[1][filled], "sum", dtype, scale)
    rows = np.nonzero(filled)[0]
    assert_near(found[1][filled], all_scores[rows, found[0][filled]], "sum", dtype, scale)
    for row, kept in zip(found[0], filled, strict=True):
        assert len(np.unique(row[kept])) == kept.sum()


# ---- predict, rmse -------------------------------------------------------------------------------


@with_and_without_biases
@pytest.mark.parametrize(("shape", "n_factors"), SHAPES_AND_SIZES)
def test_predict_equals_twin(shape, n_factors, biases, dtype):
    model, R = fitted_model(shape, n_factors, dtype, biases=biases)
    rng = np.random.default_rng(0)
    users = rng.integers(-1, R.n_users, 300).astype(np.int32)
    items = rng.integers(-1, R.n_items, 300).astype(np.int32)
    out = np.empty(300, dtype)
    _core.predict(*model._parameters(), users, items, out, 0)
    expected = reference.predict(model_of(model), users, items)
    scale = 3 + np.max(np.abs(expected))
    assert_near(out, expected, "sum", dtype, scale)
    # By raw ids, which are the codes here; -1 and n_items are unknown.
    items[items < 0] = R.n_items
    assert np.array_equal(model.predict(users, items), out)


def test_predict_of_the_training_ratings_is_rating_plus_residual(dtype):
    model, R = fitted_model("general", 16, dtype, biases=False)
    e = mf.residuals(R, model.user_factors_, model.item_factors_)
    assert_near(model.predict(R) - R.values, e, "sum", dtype, 5.0)


@with_and_without_biases
def test_rmse_equals_twin(biases, dtype):
    model, R = fitted_model("general", 33, dtype, biases=biases)
    expected = reference.rmse(R.astype("float64"), model_of(model))
    assert_near(_core.rmse(*model._parameters(), R._native, 0), expected, "objective", dtype)
    assert_near(model.score(R), expected, "objective", dtype)
    assert_near(model.history_["train_rmse"][-1], expected, "objective", dtype)


# ---- ranking -------------------------------------------------------------------------------------


@with_and_without_biases
@pytest.mark.parametrize("n", [1, 10, 1000])
@pytest.mark.parametrize("shape", SHAPES)
def test_recommend_equals_twin(shape, n, biases, dtype):
    model, R = fitted_model(shape, 16, dtype, biases=biases)
    users = np.arange(R.n_users)
    twin, all_items = model_of(model), np.arange(R.n_items)
    scores = np.stack([reference.predict(twin, np.full(R.n_items, u), all_items) for u in users])
    for exclude in (True, False):
        found = model.recommend(n=n, exclude_seen=exclude)
        expected = reference.recommend(twin, users, n, (R.offsets, R.items) if exclude else None)
        assert_same_ranking(found, expected, scores, dtype)


@pytest.mark.parametrize("n_factors", SIZES)
def test_recommend_equals_twin_over_many_items(n_factors, dtype):
    """More items than are scored at once, seen ones on both sides of each border."""
    rng = np.random.default_rng(n_factors)
    n_users, n_items = 37, 2100
    twin = reference.Model(
        rng.normal(size=(n_users, n_factors)).astype(dtype).astype(float),
        rng.normal(size=(n_items, n_factors)).astype(dtype).astype(float),
        rng.normal(size=n_users).astype(dtype).astype(float),
        rng.normal(size=n_items).astype(dtype).astype(float),
        3.5,
    )
    users = rng.integers(-1, n_users, 50).astype(np.int32)
    scores = np.stack(
        [reference.predict(twin, np.full(n_items, u), np.arange(n_items)) for u in users]
    )
    mask = rng.random((len(users), n_items)) < 0.1
    mask[:, [0, 511, 512, 1023, 1024, n_items - 1]] = True
    mask[np.arange(len(users)), np.argmax(scores, axis=1)] = True  # the best one is always seen
    R = ratings_from_mask(mask, dtype, rng)
    found = _core.recommend(*native(twin, dtype), users, 20, (R.offsets, R.items), 0)
    expected = reference.recommend(twin, users, 20, (R.offsets, R.items))
    assert_same_ranking(found, expected, scores, dtype)


def test_ties_go_to_the_lower_code(dtype):
    """Small whole numbers are exact, so the ranking is the twin's in every place."""
    rng = np.random.default_rng(0)
    twin = reference.Model(
        rng.integers(-2, 3, (20, 3)).astype(float),
        rng.integers(-2, 3, (1300, 3)).astype(float),
        rng.integers(-1, 2, 20).astype(float),
        rng.integers(-1, 2, 1300).astype(float),
        1.0,
    )
    users = np.arange(-1, 20, dtype=np.int32)
    for n in (1, 7, 600, 1300, 1400):
        found = _core.recommend(*native(twin, dtype), users, n, None, 0)
        expected = reference.recommend(twin, users, n)
        assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])


def test_a_user_who_has_seen_everything_gets_nothing(dtype):
    rng = np.random.default_rng(0)
    mask = rng.random((4, 30)) < 0.5
    mask[2], mask[3] = True, True
    mask[3, 17] = False
    R = ratings_from_mask(mask, dtype, rng)
    model = mf.MatrixFactorization(3, max_iter=2, dtype=dtype).fit(R)
    ids, scores = model.recommend([2, 3], n=5)
    assert ids[0].tolist() == [-1] * 5 and np.all(np.isneginf(scores[0]))
    assert ids[1].tolist() == [17, -1, -1, -1, -1] and np.isfinite(scores[1, 0])
    ids, scores = model.recommend(2, n=5)
    assert len(ids) == len(scores) == 0


@pytest.mark.parametrize("n_factors", SIZES)
def test_similar_items_equals_twin(n_factors, dtype):
    rng = np.random.default_rng(n_factors)
    V = rng.normal(size=(700, n_factors)).astype(dtype)
    V[[3, 600]] = 0  # the cosine with a row of zeros is 0
    queries = codes(0, 3, 511, 512, 600, 699, 0)
    exact = V.astype(float)
    found = _core.similar_items(V, queries, 12, 0)
    expected = reference.similar_items(exact, queries, 12)
    assert np.all(found[0] != queries[:, None])
    if n_factors == 1:  # all cosines are -1, 0 or 1: ties throughout, and rounding among them
        assert_near(found[1], expected[1], "sum", dtype, 1.0)
        return
    norms = np.linalg.norm(exact, axis=1)
    unit = exact / np.where(norms > 0, norms, 1)[:, None]
    assert_same_ranking(found, expected, unit[queries] @ unit.T, dtype)


def test_similar_items_of_a_small_catalogue_are_all_others(dtype):
    model, R = fitted_model("tall", 7, dtype)
    ids, scores = model.similar_items(R.item_ids, n=10)
    for item, row in zip(R.item_ids, ids, strict=True):
        assert sorted(row[row >= 0]) == [i for i in R.item_ids if i != item]
    assert np.all(np.isneginf(scores[:, R.n_items - 1 :]))
    assert np.all(np.abs(scores[:, : R.n_items - 1]) <= 1)


# ---- new users -----------------------------------------------------------------------------------


@with_and_without_biases
@pytest.mark.parametrize("n_factors", SIZES)
def test_fold_in_equals_twin(n_factors, biases, dtype):
    model, R = fitted_model((30, 40, 0.5), n_factors, dtype, biases=biases)
    rng = np.random.default_rng(1)
    mask = rng.random((25, R.n_items)) < 0.3
    mask[[0, 11, 24]] = False
    new = ratings_from_mask(mask, dtype, rng)
    factors, user_biases = model.fold_in(new, return_biases=True)
    expected, expected_biases = reference.fold_in(new.astype("float64"), model_of(model), PENALTY)
    assert_near(factors, expected, "als", dtype)
    assert not factors[[0, 11, 24]].any()
    if biases:
        assert_near(
            user_biases, expected_biases, "als", dtype, max(1, np.abs(expected_biases).max())
        )
    else:
        assert user_biases is None and expected_biases is None


def test_recommend_new_ranks_by_the_folded_in_rows(dtype):
    model, R = fitted_model("general", 7, dtype)
    factors, user_biases = model.fold_in(R, return_biases=True)
    twin = reference.Model(
        factors.astype(float),
        model.item_factors_.astype(float),
        user_biases.astype(float),
        model.item_biases_.astype(float),
        model.global_mean_,
    )
    users = np.arange(R.n_users)
    scores = np.stack(
        [reference.predict(twin, np.full(R.n_items, u), np.arange(R.n_items)) for u in users]
    )
    expected = reference.recommend(twin, users, 8, (R.offsets, R.items))
    assert_same_ranking(model.recommend_new(R, n=8), expected, scores, dtype)
