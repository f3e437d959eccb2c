"""`MatrixFactorization`: what it takes, and laws that its estimates obey."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import matfac as mf
from conftest import bits, bits_of


@pytest.fixture(scope="module")
def R():
    return mf.datasets.make_ratings(300, 120, 6000, random_state=7)


@pytest.fixture(scope="module")
def parts(R):
    return R.split(0.2, random_state=7)


def small(**params):
    return mf.MatrixFactorization(**{"n_factors": 8, "max_iter": 3} | params)


# ---- inputs --------------------------------------------------------------------------------------


def frames_of(users, items, values):
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    columns = {"user": users, "item": items, "rating": values}
    return {
        "pandas": pd.DataFrame(columns),
        "polars": pl.DataFrame(columns),
        "arrow": pa.table(columns),
    }


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("scipy", "integers"),  # a matrix has no ids of its own
        *((kind, ids) for kind in ("pandas", "polars", "arrow") for ids in ("integers", "strings")),
    ],
)
def test_whatever_people_hold_is_taken(kind, ids, parts):
    train, test = parts
    users, items, values = train.to_arrays()
    held_users, held_items, held_values = test.to_arrays()
    if ids == "strings":
        users, items, held_users, held_items = (
            np.char.add("é", np.char.mod("%05d", x)) for x in (users, items, held_users, held_items)
        )
        train = mf.Ratings.from_arrays(users, items, values)
        test = mf.Ratings.from_arrays(held_users, held_items, held_values)
    expected = small().fit(train, eval_set=test)
    if kind == "scipy":
        given, held_out = train.to_scipy(), test.to_scipy()
    else:
        given = frames_of(users.tolist(), items.tolist(), values)[kind]
        held_out = frames_of(held_users.tolist(), held_items.tolist(), held_values)[kind]
    model = small().fit(given, eval_set=held_out)
    assert bits_of(model) == bits_of(expected)
    assert model.score(held_out) == expected.score(test)
    assert bits(model.fold_in(given)) == bits(expected.fold_in(train))
    user, item = users[5].item(), items[5].item()
    assert model.predict(user, item) == expected.predict(user, item)


def test_the_dtype_is_the_models_not_the_ratings(R, dtype, solver):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # values are converted silently: docs/arrays.md
        model = small(solver=solver, dtype=dtype).fit(R, eval_set=R)
        other = small(solver=solver, dtype=dtype).fit(R.astype("float64"), eval_set=R)
    assert model.predict(R).dtype == dtype
    assert bits_of(model) == bits_of(other)


def test_precisions_agree(R, solver):
    a, b = (small(solver=solver, dtype=d).fit(R) for d in ("float32", "float64"))
    assert np.max(np.abs(a.predict(R) - b.predict(R))) < 2e-3


def test_users_and_items_without_ratings_get_zeros(solver):
    offsets = np.array([0, 2, 2, 3])
    items = np.array([0, 3, 3], np.int32)
    R = mf.Ratings.from_csr_arrays(offsets, items, np.array([1, 2, 4], np.float32), 5)
    model = small(solver=solver).fit(R)
    assert not model.user_factors_[1].any() and model.user_biases_[1] == 0
    assert not model.item_factors_[[1, 2, 4]].any() and not model.item_biases_[[1, 2, 4]].any()
    assert model.predict(1, 1) == pytest.approx(model.global_mean_, rel=1e-6)
    assert model.predict(1, 3) == pytest.approx(
        model.global_mean_ + model.item_biases_[3], rel=1e-6
    )


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0, 3.0]])
def test_ratings_that_are_all_the_same_are_no_difficulty(values, solver):
    R = mf.Ratings.from_arrays(range(len(values)), [0] * len(values), values)
    assert small(solver=solver).fit(R).predict(0, 0) == pytest.approx(3.0, abs=1e-3)


# ---- laws ----------------------------------------------------------------------------------------


def scaled(R, factor=1.0, shift=0.0):
    values = (R.values * factor + shift).astype(R.dtype)
    return mf.Ratings.from_csr_arrays(R.offsets, R.items, values, R.n_items)


def test_the_scale_of_the_ratings_is_the_scale_of_the_estimates(R, solver):
    base, large = (
        small(solver=solver, dtype="float64").fit(scaled(R.astype(float), f)) for f in (1, 20)
    )
    assert np.allclose(large.predict(R), 20 * base.predict(R), rtol=1e-6)
    assert large.regularization_[0] == pytest.approx(20 * base.regularization_[0])


def test_a_shift_of_the_ratings_is_a_shift_of_the_estimates(R, solver):
    base, moved = (
        small(solver=solver, dtype="float64").fit(scaled(R.astype(float), 1, c)) for c in (0, -50)
    )
    assert np.allclose(moved.predict(R), base.predict(R) - 50, atol=1e-6)
