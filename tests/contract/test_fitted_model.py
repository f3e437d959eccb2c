"""What a fitted model answers: estimates, rankings, new users; by raw ids, with unknown ones."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import matfac as mf
from conftest import bits, bits_of
from matfac import _model


@pytest.fixture(scope="module")
def R():
    return mf.datasets.make_ratings(200, 90, 4000, random_state=2)


@pytest.fixture(scope="module")
def model(R):
    return mf.MatrixFactorization(8, max_iter=5).fit(R)


@pytest.fixture(scope="module")
def named(R):
    """The same, with string ids that do not sort like the integers."""
    users, items, values = R.to_arrays()
    return mf.MatrixFactorization(8, max_iter=5).fit(
        mf.Ratings.from_arrays([f"ü{u}" for u in users], [f"film {i}" for i in items], values)
    )


def estimate(model, user, item):
    """By the formula, from the public attributes, in float64."""
    total = model.global_mean_
    u, i = (
        np.flatnonzero(ids == x) for ids, x in ((model.user_ids_, user), (model.item_ids_, item))
    )
    if u.size:
        total += float(model.user_biases_[u[0]])
    if i.size:
        total += float(model.item_biases_[i[0]])
    if u.size and i.size:
        total += float(model.user_factors_[u[0]].astype(float) @ model.item_factors_[i[0]])
    return total


# ---- predict, score ------------------------------------------------------------------------------


def test_a_single_pair_gives_a_float(model, named):
    assert type(model.predict(3, 4)) is float
    assert model.predict(3, 4) == pytest.approx(estimate(model, 3, 4), rel=1e-5)
    assert named.predict("ü3", "film 4") == pytest.approx(estimate(named, "ü3", "film 4"), rel=1e-5)
    assert model.predict(np.int16(3), np.array(4)) == model.predict(3, 4)


def test_arrays_give_an_array_of_the_models_dtype(model):
    users, items = [3, 5, 3, 199], [4, 4, 89, 0]
    found = model.predict(users, items)
    assert found.shape == (4,) and found.dtype == np.float32
    expected = [estimate(model, u, i) for u, i in zip(users, items, strict=True)]
    assert found == pytest.approx(expected, rel=1e-5)
    for kind in (np.array, tuple, pd.Series):
        assert bits(model.predict(kind(users), kind(items))) == bits(found)


def test_queries_are_not_made_arrays_for_their_shape(named, monkeypatch):
    users, items = ["ü3", "ü5", "nobody"], ["film 4", "film 4", "film 0"]
    expected = named.predict(np.array(users), np.array(items)).tolist()
    with monkeypatch.context() as patch:
        patch.setattr(_model.np, "shape", None)
        for make in (list, pa.array, lambda ids: pa.chunked_array([ids[:1], ids[1:]])):
            assert named.predict(make(users), make(items)).tolist() == expected
        assert [named.predict(*pair) for pair in zip(users, items, strict=True)] == expected
    for make in (pl.Series, pd.Series, pd.array, pd.Categorical):
        assert named.predict(make(users), make(items)).tolist() == expected


def test_users_and_items_broadcast(model):
    users, items = np.arange(6), np.arange(4)
    table = model.predict(users[:, None], items)
    assert table.shape == (6, 4)
    assert table[5, 2] == model.predict(5, 2)
    assert bits(model.predict(3, items)) == bits(table[3])
    assert bits(model.predict(users, 1)) == bits(table[:, 1])
    assert model.predict([[0], [1]], [[2, 3]]).shape == (2, 2)
    assert model.predict([], []).shape == (0,) and model.predict([], 3).shape == (0,)
    with pytest.raises(ValueError, match=r"users of shape \(2,\) and items of shape \(3,\)"):
        model.predict([1, 2], [1, 2, 3])


def test_ratings_are_predicted_in_their_order(model, R):
    users, items, _ = R.to_arrays()
    assert bits(model.predict(R)) == bits(model.predict(users, items))
    part = R.split(0.3, random_state=0)[1]
    users, items, _ = part.to_arrays()
    assert bits(model.predict(part)) == bits(model.predict(users, items))


def test_unknown_ids_fall_back_to_what_is_known(model, named):
    for m, user, item, nobody, nothing in (
        (model, 3, 4, 10**12, -1),
        (named, "ü3", "film 4", "ü", "film 4 and more"),
    ):
        for u, i in ((nobody, item), (user, nothing), (nobody, nothing)):
            assert m.predict(u, i) == pytest.approx(estimate(m, u, i), rel=1e-5)
        assert m.predict(nobody, nothing) == pytest.approx(m.global_mean_, rel=1e-6)
        assert m.predict(nobody, item) != m.predict(nobody, nothing) != m.predict(user, nothing)


@pytest.mark.parametrize("users", ["3", ["3", "4"], np.array([["3"], ["4"]])])
def test_strings_for_integers_are_a_mistake(users, model, named):
    with pytest.raises(TypeError, match=r"users: '3' .* among strings, but the known ids are int"):
        model.predict(users, 4)
    with pytest.raises(TypeError, match=r"users: 3 .* among integers, but the known ids are str"):
        named.predict(np.asarray(users).astype(int), "film 4")


@pytest.mark.parametrize(
    ("users", "error", "match"),
    [
        ([1, "2"], ValueError, "users: '2' at position 1 is of type str"),
        ([[1, "2"]], ValueError, "users: '2' at position 1 is of type str"),
        ([1, None], ValueError, "users: the id at position 1 is missing"),
        (None, ValueError, "users: the id at position 0 is missing"),
        (1.5, ValueError, "users: 1.5 at position 0 is not a whole number"),
        (True, TypeError, "users: True at position 0 is of type bool"),
        ({1: 2}, TypeError, "is of type dict, which is no id"),
    ],
    ids=repr,
)
def test_what_are_no_ids_is_refused(users, error, match, model):
    with pytest.raises(error, match=match):
        model.predict(users, 4)
    if users is not None:
        with pytest.raises(error, match=match):
            model.recommend(users)


def test_one_argument_must_be_ratings(model, R):
    for alone in (3, [1, 2], pd.DataFrame({"user": [1], "item": [2]}), R.to_scipy()):
        with pytest.raises(TypeError, match=rf"predict\(ratings\).*{type(alone).__name__} alone"):
            model.predict(alone)


def test_score_is_the_rmse(model, R):
    errors = model.predict(R).astype(float) - R.values
    assert model.score(R) == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-12)
    stranger = mf.Ratings.from_arrays([10**6], [10**6], [model.global_mean_ + 2])
    assert model.score(stranger) == pytest.approx(2, rel=1e-6)
    with pytest.raises(TypeError, match="ratings: expected Ratings"):
        model.score([1.0])


# ---- recommend -----------------------------------------------------------------------------------


def seen_by(R, user):
    users, items, _ = R.to_arrays()
    return set(items[users == user].tolist())


def test_the_best_unseen_items_come_first(model, R):
    for user in (0, 17, 199):
        ids, scores = model.recommend(user, 7)
        assert ids.shape == scores.shape == (7,) and ids.dtype == np.int64
        unseen = [i for i in model.item_ids_.tolist() if i not in seen_by(R, user)]
        expected = sorted(unseen, key=lambda i: -model.predict(user, i))[:7]
        assert ids.tolist() == expected
        assert scores == pytest.approx(model.predict(user, ids), rel=1e-5)


def test_seen_items_can_be_included(model, R):
    user = int(np.argmax(np.diff(R.offsets)))
    ids, scores = model.recommend(user, 90, exclude_seen=False)
    assert sorted(ids.tolist()) == R.item_ids.tolist()
    assert np.all(np.diff(scores) <= 0)


def test_many_users_at_once_are_the_same_as_one_by_one(model):
    users = [5, 3, 5, 150]
    ranking = model.recommend(users, 4)
    assert ranking.ids.shape == ranking.scores.shape == (4, 4)
    for row, user in enumerate(users):
        one = model.recommend(user, 4)
        assert bits(one.ids, one.scores) == bits(ranking.ids[row], ranking.scores[row])
    everybody = model.recommend(n=4)
    assert everybody.ids.shape == (200, 4)
    assert bits(everybody.ids[users]) == bits(ranking.ids)
    assert bits(*model.recommend(np.arange(200), 4)) == bits(*everybody)
    assert bits(*model.recommend(model.user_ids_, 4, n_threads=1)) == bits(*everybody)
    assert model.recommend(np.array([[1, 2, 3], [4, 5, 6]]), 4).ids.shape == (2, 3, 4)
    assert model.recommend([], 4).ids.shape == (0, 4)


def test_string_ids_come_back_as_strings(named, model):
    ids = named.recommend("ü7", 5).ids
    assert ids.dtype.kind == "U" and all(i.startswith("film ") for i in ids)
    assert isinstance(ids.tolist()[0], str)
    assert named.recommend(["ü7"], 500).ids[0, -1] == ""  # a filler


def test_ties_go_to_the_lower_code():
    R = mf.Ratings.from_arrays([1, 1, 2, 2], [30, 10, 20, 40], [3.0, 3.0, 3.0, 3.0])
    model = mf.MatrixFactorization(2, init_std=0.0).fit(R)
    assert model.recommend(2, 4).ids.tolist() == [10, 30]
    assert model.recommend(1, 4, exclude_seen=False).ids.tolist() == [10, 20, 30, 40]
    assert model.similar_items(20, 9).ids.tolist() == [10, 30, 40]


def test_more_than_there_is(model, R):
    user = int(np.argmax(np.diff(R.offsets)))
    n_left = 90 - len(seen_by(R, user))
    assert len(model.recommend(user, 1000).ids) == len(model.recommend(user, 1000).scores) == n_left
    ids, scores = model.recommend([user, user], 100)
    assert ids.shape == (2, 100)
    assert np.all(ids[:, n_left:] == -1) and np.all(np.isneginf(scores[:, n_left:]))
    assert np.all(ids[:, :n_left] >= 0) and np.all(np.isfinite(scores[:, :n_left]))


def test_who_has_seen_everything_gets_nothing():
    R = mf.Ratings.from_arrays([1, 1, 2], [1, 2, 1], [3.0, 4.0, 5.0])
    model = mf.MatrixFactorization(2).fit(R)
    assert model.recommend(1).ids.shape == (0,)
    ids, scores = model.recommend([1], 2)
    assert ids.tolist() == [[-1, -1]] and np.all(np.isneginf(scores))


def test_items_can_be_left_out_for_all_users_or_for_each(model, R):
    users = [3, 17, 40]
    everything = model.recommend(users, 90)
    first = [ids[:2].tolist() for ids in everything.ids]
    for exclude in (first, [tuple(ids) for ids in first], np.array(first)):
        ids, scores = model.recommend(users, 5, exclude=exclude)
        np.testing.assert_array_equal(ids, everything.ids[:, 2:7])
        np.testing.assert_array_equal(scores, everything.scores[:, 2:7])
    for exclude in (first[0], pd.Series(first[0]), pa.array(first[0]), (*first[0], -9)):
        for row, ids in enumerate(model.recommend(users, 5, exclude=exclude).ids):
            kept = [i for i in everything.ids[row].tolist() if i not in first[0]]
            assert ids.tolist() == kept[:5]
    assert bits(*model.recommend(users, 5, exclude=[])) == bits(*model.recommend(users, 5))
    assert bits(*model.recommend(3, 5, exclude=[first[0]])) == bits(
        *model.recommend(3, 5, exclude=first[0])
    )


def test_recommendations_can_be_chosen_among_given_items(model, named, R):
    users = [3, 17, 40]
    everything = model.recommend(users, 90)
    among = [80, 5, 33, 5, 12, 999_999, 61]
    for n in (2, 10):
        found = model.recommend(users, n, among=among)
        for row, ids in enumerate(everything.ids):
            wanted = np.isin(ids, among) & np.isfinite(everything.scores[row])
            expected = ids[wanted][:n].tolist()
            assert found.ids[row].tolist() == expected + [-1] * (n - len(expected))
            np.testing.assert_array_equal(
                found.scores[row][: len(expected)], everything.scores[row][wanted][:n]
            )
    assert len(model.recommend(3, 5, among=[]).ids) == 0
    both = model.recommend(3, 10, among=among, exclude=[33], exclude_seen=False)
    assert sorted(both.ids.tolist()) == [5, 12, 61, 80]
    assert set(named.recommend("ü3", 3, among=["film 7", "film 1"]).ids) <= {"film 7", "film 1"}


def test_filters_of_new_users(model, R):
    new = R.select(np.arange(R.nnz) < 60)
    everything = model.recommend_new(new, 90)
    best = everything.ids[:, :1].tolist()
    found = model.recommend_new(new, 4, exclude=best)
    np.testing.assert_array_equal(found.ids, everything.ids[:, 1:5])
    found = model.recommend_new(new, 1, among=best[0])
    assert set(found.ids.ravel().tolist()) <= {best[0][0], -1}


@pytest.mark.parametrize(
    ("filters", "error", "match"),
    [
        ({"exclude": "5"}, TypeError, "exclude='5': expected a list of raw item ids"),
        ({"among": 5}, TypeError, "among=5: expected a list"),
        ({"exclude": [[1], [2]]}, ValueError, "exclude has 2 lists for 3 users"),
        ({"exclude": [[1], 2, [3]]}, TypeError, "exclude at position 1"),
        ({"among": np.array([[1], [2], [3]])}, ValueError, "among has shape"),
        ({"among": ["a"]}, TypeError, "among: .a. at position 0"),
    ],
)
def test_wrong_filters_are_refused(filters, error, match, model):
    with pytest.raises(error, match=match):
        model.recommend([3, 17, 40], 5, **filters)


def test_unknown_users_get_what_suits_everybody_with_a_warning(model):
    with pytest.warns(UserWarning, match=r"1 of 1 users .* \(the first is 999\).*recommend_new"):
        ids, scores = model.recommend(999, 5)
    best = np.argsort(-model.item_biases_, kind="stable")[:5]
    assert ids.tolist() == model.item_ids_[best].tolist()
    assert scores == pytest.approx(model.global_mean_ + model.item_biases_[best], rel=1e-5)
    with pytest.warns(UserWarning, match=r"2 of 3 users .* \(the first is 777\)") as caught:
        model.recommend([3, 777, 999], 5)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("n", "error", "match"),
    [
        (0, ValueError, "n=0 must be at least 1"),
        (-1, ValueError, "n=-1 must"),
        (2.0, TypeError, "n=2.0: expected an integer"),
        (True, TypeError, "n=True"),
        (2**31, ValueError, "n=2147483648"),
    ],
)
def test_a_wrong_n_is_refused(n, error, match, model, R):
    for rank in (model.recommend, model.similar_items):
        with pytest.raises(error, match=match):
            rank(3, n)
    with pytest.raises(error, match=match):
        model.recommend_new(R, n)


# ---- similar items -------------------------------------------------------------------------------


def test_similar_items_are_by_cosine_without_themselves(model):
    ids, cosines = model.similar_items(7, 5)
    v = model.item_factors_.astype(float)
    exact = (v @ v[7]) / (np.linalg.norm(v, axis=1) * np.linalg.norm(v[7]))
    exact[7] = -2
    assert ids.tolist() == np.argsort(-exact)[:5].tolist()
    assert cosines == pytest.approx(exact[ids], abs=1e-6)
    assert bits(model.similar_items([3, 7], 5).ids[1]) == bits(ids)
    assert 7 not in model.similar_items(7, 1000).ids and len(model.similar_items(7, 1000).ids) == 89


def test_nothing_is_similar_to_an_unknown_item(model, named):
    with pytest.raises(ValueError, match="item 1000 at position 1 is not in the model"):
        model.similar_items([3, 1000])
    with pytest.raises(ValueError, match="item 'film x' at position 0 is not in the model"):
        named.similar_items("film x")


# ---- users who were not in the training ----------------------------------------------------------


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_folding_in_the_training_gives_the_factors_of_als(biases, exponent, R):
    """At convergence, where no row has a reason to move."""
    model = mf.MatrixFactorization(
        4,
        biases=biases,
        regularization_exponent=exponent,
        max_iter=2000,
        tol=1e-13,
        dtype="float64",
        regularization=(5.0, 2.0),
    ).fit(R)
    assert model.stop_reason_ == "converged"
    factors, user_biases = model.fold_in(R, return_biases=True)
    assert np.allclose(factors, model.user_factors_, atol=1e-4)
    if biases:
        assert np.allclose(user_biases, model.user_biases_, atol=1e-4)
    else:
        assert user_biases is None
    assert bits(model.fold_in(R)) == bits(factors)


def test_a_folded_row_is_the_minimum_of_the_objective(model, R):
    one = R.select(np.arange(R.nnz) < R.offsets[1])
    factors, biases = model.fold_in(one, return_biases=True)
    u, b = factors[0].astype(float), float(biases[0])
    items, r = one.items, one.values.astype(float)
    v, c = model.item_factors_[items].astype(float), model.item_biases_[items].astype(float)
    weight = len(r) ** 0.5

    def objective(u, b):
        errors = r - model.global_mean_ - b - c - v @ u
        penalty = model.regularization_[0] * u @ u + model.bias_regularization_[0] * b * b
        return 0.5 * errors @ errors + 0.5 * weight * penalty

    lowest = objective(u, b)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert objective(u + 1e-2 * rng.normal(size=8), b + 1e-2 * rng.normal()) > lowest


def test_new_users_keep_their_order_and_may_have_any_ids(model, R):
    users, items, values = R.to_arrays()
    renamed = mf.Ratings.from_arrays(np.char.mod("new %04d", users), items, values)
    assert bits(model.fold_in(renamed)) == bits(model.fold_in(R))
    frame = pd.DataFrame({"user": users, "item": items, "rating": values})
    assert bits(model.fold_in(frame, n_threads=1)) == bits(model.fold_in(R))


def test_recommend_new_ranks_by_the_given_ratings(model, R):
    ids, scores = model.recommend_new(R, 6)
    assert ids.shape == scores.shape == (200, 6)
    factors, biases = model.fold_in(R, return_biases=True)
    for user in (0, 50):
        estimates = model.global_mean_ + biases[user] + model.item_biases_
        estimates = estimates + model.item_factors_ @ factors[user]
        estimates[R.items[R.offsets[user] : R.offsets[user + 1]]] = -np.inf
        assert ids[user].tolist() == np.argsort(-estimates)[:6].tolist()
        assert scores[user] == pytest.approx(estimates[ids[user]], rel=1e-5)
    assert set(model.recommend_new(R, 90, exclude_seen=False).ids[0]) == set(R.item_ids)


def test_unknown_items_of_new_users_are_left_out_with_a_warning(model):
    known = mf.Ratings.from_arrays(["a", "a", "b"], [1, 2, 3], [5.0, 1.0, 4.0])
    more = mf.Ratings.from_arrays(["a", "a", "b", "b"], [1, 2, 3, 999], [5.0, 1.0, 4.0, 2.0])
    with pytest.warns(UserWarning, match=r"1 of 4 ratings are of items that the model does not kn"):
        assert bits(model.fold_in(more)) == bits(model.fold_in(known))
    with pytest.warns(UserWarning, match="left out"):
        assert bits(*model.recommend_new(more)) == bits(*model.recommend_new(known))
    with pytest.raises(ValueError, match="do the ids mean the same"):
        model.fold_in(mf.Ratings.from_arrays(["a"], [999], [5.0]))
    with pytest.raises(TypeError, match="strings"):
        model.fold_in(mf.Ratings.from_arrays(["a"], ["1"], [5.0]))


def test_folding_in_goes_by_the_parameters_of_the_fit(R):
    model = mf.MatrixFactorization(8, max_iter=5, regularization_exponent=1.0).fit(R)
    expected = bits(model.fold_in(R))
    model.set_params(regularization_exponent=0.0, regularization=100.0, biases=False, n_factors=3)
    assert bits(model.fold_in(R)) == expected


# ---- copies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_and_pickles_answer_alike(duplicate, model, R):
    twin = duplicate(model)
    assert bits_of(twin) == bits_of(model) and twin.get_params() == model.get_params()
    assert bits(*twin.recommend(n=5)) == bits(*model.recommend(n=5))
    assert bits(twin.fold_in(R), *twin.similar_items(3)) == bits(
        model.fold_in(R), *model.similar_items(3)
    )
    assert not any(array.flags.writeable for array in twin._parameters()[:4])
    assert bits_of(twin.fit(R)) == bits_of(model)


def test_an_unfitted_model_can_be_pickled():
    model = pickle.loads(pickle.dumps(mf.MatrixFactorization(9)))
    assert model.n_factors == 9 and not hasattr(model, "item_factors_")


def test_factors_outlive_the_model(R):
    factors = mf.MatrixFactorization(8, max_iter=1).fit(R).user_factors_
    expected = factors.copy()
    for _ in range(3):
        mf.MatrixFactorization(8, max_iter=1, random_state=1).fit(R)
    assert bits(factors) == bits(expected)
