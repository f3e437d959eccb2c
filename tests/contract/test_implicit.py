"""`ImplicitFactorization`: the whole contract of an estimator, for what users have chosen."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import matfac as mf
from conftest import bits_of, same_at_any_n_threads

LOSSES = ("implicit_squared", "bpr", "warp")


def small(**params):
    return mf.ImplicitFactorization(6, **({"max_iter": 10} | params))


@pytest.fixture(scope="module")
def parts():
    """What users have chosen: counts."""
    R = mf.datasets.make_ratings(200, 90, 4000, random_state=1)
    return R.split(0.2, random_state=0)


@pytest.fixture(params=LOSSES)
def loss(request):
    return request.param


# ---- fitting -------------------------------------------------------------------------------------


def test_what_a_fit_leaves(loss, parts, dtype):
    train, test = parts
    model = small(loss=loss, dtype=dtype)
    assert model.fit(train, test) is model
    assert model.user_factors_.shape == (200, 6) and model.item_factors_.shape == (90, 6)
    assert model.user_factors_.dtype == dtype and not model.item_factors_.flags.writeable
    assert (model.item_biases_ is None) == (loss == "implicit_squared")
    if loss != "implicit_squared":
        assert not model.user_biases_.any() and model.item_biases_.any()
    assert model.global_mean_ == 0 and model.n_iter_ == 10
    keys = ["iteration", "objective", "train_loss", "eval_loss", "seconds"]
    assert list(model.history_) == keys
    assert np.isfinite(model.history_["eval_loss"]).all()
    assert model.history_["objective"][-1] < model.history_["objective"][0]
    assert min(model.regularization_) >= 0
    assert model.solver is None and model.biases is None  # parameters stay as they were


def test_it_ranks_better_than_popularity(loss):
    # Five kinds of users, five kinds of items; four choices in five are of the user's own kind.
    rng = np.random.default_rng(0)
    users, own = rng.integers(600, size=12_000), rng.random(12_000) < 0.8
    items = 5 * (40 * rng.random(12_000) ** 2).astype(int)
    items += np.where(own, users % 5, rng.integers(5, size=12_000))
    R = mf.Ratings.from_arrays(users, items, duplicates="sum")
    train, test = R.split(0.2, random_state=0)
    model = mf.ImplicitFactorization(16, loss=loss).fit(train)
    popular = small(loss=loss, max_iter=1).fit(train)
    popular.user_factors_ = np.zeros_like(popular.user_factors_)
    popular.item_biases_ = np.bincount(train.items, minlength=200).astype("float32")
    popular.user_biases_ = np.zeros(600, "float32")
    assert model.score(test) > popular.score(test)
    assert mf.metrics.auc(model, test) > mf.metrics.auc(popular, test)


def test_the_same_bits_at_any_number_of_threads(loss, parts):
    def compute(n_threads):
        return bits_of(small(loss=loss, n_threads=n_threads, max_iter=3).fit(*parts))

    same_at_any_n_threads(compute)


def test_strengths_count_for_the_squared_loss_only(loss, parts):
    train, _ = parts
    ones = mf.Ratings.from_arrays(*train.to_arrays()[:2])
    same = bits_of(small(loss=loss).fit(train)) == bits_of(small(loss=loss).fit(ones))
    assert same == (loss != "implicit_squared")


def test_parameters_of_each_loss_matter(parts):
    def fit(**params):
        return bits_of(small(max_iter=2, **params).fit(parts[0]))

    for params in (
        {"unobserved_weight": 0.1},
        {"confidence_scale": 3.0},
        {"regularization_exponent": 1.0},
        {"row_solver": "conjugate_gradient"},
        {"row_solver": "subspace", "subspace_size": 2},
        {"nonnegative": True},
    ):
        assert fit(**params) != fit()
    for params in ({"negatives": "popularity"}, {"compare_users": True}, {"biases": False}):
        assert fit(loss="bpr", **params) != fit(loss="bpr")
    assert fit(loss="warp", max_trials=1) != fit(loss="warp")
    assert fit(loss="warp", learning_rate=0.05) != fit(loss="warp")


def test_early_stopping_watches_the_loss(loss, parts):
    model = small(loss=loss, max_iter=40, early_stopping=True, patience=2).fit(*parts)
    assert model.best_iteration_ == 1 + int(np.argmin(model.history_["eval_loss"]))
    assert model.stop_reason_ in ("early_stopping", "max_iter")


def test_callbacks_are_called_and_stop_the_fit(loss, parts):
    seen = []
    model = small(loss=loss).fit(*parts, callbacks=[seen.append, lambda now: now["iteration"] < 3])
    assert model.n_iter_ == len(seen) == 3 and model.stop_reason_ == "cancelled"
    assert "train_loss" in seen[0] and "eval_loss" in seen[0]
    with pytest.raises(KeyError, match="mine"):
        small(loss=loss).fit(parts[0], callbacks=lambda _: {}["mine"])


def test_conventions_of_estimators(loss, parts):
    from sklearn.base import clone

    model = small(loss=loss, regularization=(1.0, 2.0)).fit(parts[0])
    twin = clone(model)
    assert type(twin) is mf.ImplicitFactorization and not hasattr(twin, "item_factors_")
    assert twin.get_params() == model.get_params()
    assert bits_of(twin.fit(parts[0])) == bits_of(model)
    assert repr(twin).startswith("ImplicitFactorization(n_factors=6, ")
    assert bits_of(pickle.loads(pickle.dumps(model))) == bits_of(model)
    with pytest.raises(ValueError, match="has no parameter 'huber_threshold'"):
        model.set_params(huber_threshold=1.0)
    with pytest.raises(mf.NotFittedError, match="this ImplicitFactorization is not fitted"):
        small(loss=loss).score(parts[1])


# ---- what people hold ----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::matfac.CopyWarning")
@pytest.mark.parametrize("kind", ["ratings", "scipy", "frame", "counts", "polars"])
def test_whatever_people_hold_is_taken(kind, loss):
    rng = np.random.default_rng(0)
    pairs = rng.choice(20 * 10, 80, replace=False)
    users, items = pairs // 10, pairs % 10
    given = {
        "ratings": lambda: mf.Ratings.from_arrays(users, items),
        "scipy": lambda: sp.coo_array((np.ones(80), (users, items))).tocsr().astype("float32"),
        "frame": lambda: pd.DataFrame({"visitor": users, "page": items}),
        "counts": lambda: pd.DataFrame({"user": users, "item": items, "plays": np.ones(80)}),
        "polars": lambda: pytest.importorskip("polars").DataFrame({"a": users, "b": items}),
    }[kind]()
    model = small(loss=loss, max_iter=2).fit(given, given)
    expected = small(loss=loss, max_iter=2).fit(mf.Ratings.from_arrays(users, items))
    np.testing.assert_array_equal(model.item_factors_, expected.item_factors_)
    np.testing.assert_array_equal(model.fold_in(given), expected.fold_in(given))


def test_zeros_are_left_out_with_a_warning(loss, parts):
    train, _ = parts
    values = np.where(np.arange(train.nnz) % 3, train.values, 0).astype("float32")
    given = mf.Ratings.from_csr_arrays(train.offsets, train.items, values, train.n_items)
    n_zeros = int(np.sum(values == 0))
    match = f"{n_zeros:,} of {train.nnz:,} interactions have the strength 0 and were left out"
    with pytest.warns(UserWarning, match=match):
        model = small(loss=loss, max_iter=2).fit(given)
    without = small(loss=loss, max_iter=2).fit(given.select(values > 0))
    assert bits_of(model) == bits_of(without)
    with pytest.warns(UserWarning, match=r"of .* eval_set have the strength 0"):
        small(loss=loss, max_iter=1).fit(given.select(values > 0), given)
    with pytest.warns(UserWarning, match="strength 0"):
        rows = model.fold_in(given)
    np.testing.assert_array_equal(rows, model.fold_in(given.select(values > 0)))


def test_bad_strengths_are_refused(loss):
    with pytest.raises(ValueError, match="strength -1 of user 'b' and item 7 is negative"):
        small(loss=loss).fit(mf.Ratings.from_arrays(["a", "b"], [6, 7], [2, -1]))
    with pytest.raises(ValueError, match="all 2 strengths are 0"):
        small(loss=loss).fit(mf.Ratings.from_arrays(["a", "b"], [6, 7], [0, 0]))
    with pytest.raises(TypeError, match="interactions: expected Ratings, a SciPy sparse matrix"):
        small(loss=loss).fit([[1, 2]])


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"loss": "squared"}, ValueError, "loss='squared': ImplicitFactorization has 'implicit"),
        ({"loss": "logistic"}, ValueError, "those of MatrixFactorization"),
        ({"loss": 3}, TypeError, "loss=3: expected a name"),
        ({"solver": "sgd"}, ValueError, "'sgd' does not .* 'implicit_squared': .* by 'als'"),
        ({"loss": "bpr", "solver": "als"}, ValueError, "does not support .* supported by 'sgd'"),
        ({"loss": "warp", "solver": "ccd"}, ValueError, "does not support .* supported by 'sgd'"),
        ({"biases": True}, ValueError, "'implicit_squared' is one without biases"),
        ({"unobserved_weight": 0}, ValueError, "unobserved_weight must be .* above 0"),
        ({"confidence_scale": -1}, ValueError, "confidence_scale must be .* above 0"),
        ({"negatives": "hard"}, ValueError, "unknown negatives 'hard': choose one of 'uniform'"),
        ({"max_trials": 0}, ValueError, "max_trials must be at least 1"),
        ({"compare_users": "yes"}, TypeError, "compare_users='yes': expected True or False"),
    ],
)
def test_bad_parameters_are_refused(params, error, match, parts):
    with pytest.raises(error, match=match):
        small(**params).fit(parts[0])


# ---- asking --------------------------------------------------------------------------------------


def test_the_score_is_ndcg_of_what_was_not_seen(loss, parts):
    train, test = parts
    model = small(loss=loss).fit(train)
    ids, _ = model.recommend(test.user_ids, 10)
    relevant = [test.item_ids[test.items[a:b]] for a, b in pairwise(test.offsets)]
    found = []
    for row, wanted in zip(ids, relevant, strict=True):
        if len(wanted):
            gains = np.isin(row, wanted) / np.log2(np.arange(2, 12))
            ideal = np.sum(1 / np.log2(np.arange(2, 2 + min(10, len(wanted)))))
            found.append(gains.sum() / ideal)
    assert model.score(test) == pytest.approx(np.mean(found))
    assert not model._lower_score_is_better and model._score_name == "ndcg@10"


def test_recommendations_leave_out_what_was_chosen(loss, parts):
    train, _ = parts
    model = small(loss=loss).fit(train)
    ids, scores = model.recommend(n=20)
    for n, row in enumerate(ids):
        own = train.item_ids[train.items[train.offsets[n] : train.offsets[n + 1]]]
        assert not np.isin(row, own).any()
    np.testing.assert_allclose(scores[4], model.predict(4, ids[4]), rtol=1e-6)
    similar = model.similar_items(3, n=5)
    assert 3 not in similar.ids and np.all(np.diff(similar.scores) <= 0)


def test_a_user_who_has_chosen_everything_and_lists_beyond_the_catalogue(loss):
    users = np.r_[np.zeros(12, int), np.arange(1, 30)]
    items = np.r_[np.arange(12), np.arange(1, 30) % 12]
    R = mf.Ratings.from_arrays(users, items)
    model = small(loss=loss, max_iter=3).fit(R)
    ids, scores = model.recommend(0, 5)
    assert len(ids) == len(scores) == 0
    ids, scores = model.recommend([0, 1], n=50)
    assert ids.shape == (2, 50) and np.all(ids[0] == -1) and np.all(scores[0] == -np.inf)
    assert np.sum(ids[1] >= 0) == 11 and np.all(scores[1, 11:] == -np.inf)
    assert len(model.recommend(1, n=50, exclude_seen=False).ids) == 12
    everything = mf.Ratings.from_arrays(["new"] * 12, np.arange(12))
    assert np.isfinite(model.fold_in(everything)).all()
    assert np.all(model.recommend_new(everything, 3).ids == -1)


def test_everybody_has_chosen_everything(loss):
    R = mf.Ratings.from_csr(sp.csr_array(np.ones((6, 4), "float32")))
    model = small(loss=loss, max_iter=3).fit(R)
    assert np.isfinite(model.item_factors_).all()


def test_a_user_of_the_training_folds_in_as_well_as_fitted(loss):
    R = mf.datasets.make_ratings(300, 120, 8000, random_state=3)
    train, test = R.split(0.2, random_state=0)
    model = mf.ImplicitFactorization(8, loss=loss, max_iter=30).fit(train)
    rows = model.fold_in(train)
    assert rows.shape == model.user_factors_.shape and rows.dtype == model.user_factors_.dtype
    again = pickle.loads(pickle.dumps(model))
    again.user_factors_ = rows
    assert again.score(test) > 0.9 * model.score(test)
    new = mf.Ratings.from_arrays(["x", "x", "y"], [3, 5, 7])
    ids, scores = model.recommend_new(new, n=4)
    assert ids.shape == (2, 4) and np.isfinite(scores).all()
    assert not {3, 5} & set(ids[0].tolist()) and 7 not in ids[1]
    if loss != "implicit_squared":
        _, biases = model.fold_in(new, return_biases=True)
        assert biases.tolist() == [0, 0]


def test_the_row_of_a_new_user_is_where_the_gradient_of_bpr_is_zero(dtype):
    rng = np.random.default_rng(0)
    R = mf.datasets.make_ratings(100, 40, 1200, random_state=3)
    model = small(loss="bpr", dtype=dtype, regularization=0.5, max_iter=5).fit(R)
    chosen = np.sort(rng.choice(40, 9, replace=False))
    (u,) = model.fold_in(mf.Ratings.from_arrays(["new"] * 9, chosen)).astype(float)
    V, c = model.item_factors_.astype(float), model.item_biases_.astype(float)
    others = np.setdiff1d(np.arange(40), chosen)  # so few that all of them count

    def objective(x):
        scores = V @ x + c
        losses = np.logaddexp(0, scores[others] - scores[chosen][:, None])
        return np.sum(losses.mean(axis=1)) + 0.5 * 0.5 * 9**0.5 * x @ x

    steps = 1e-4 * np.eye(len(u))
    gradient = [(objective(u + h) - objective(u - h)) / 2e-4 for h in steps]
    assert np.linalg.norm(gradient) < 1e-2 * np.linalg.norm(u)


# ---- files ---------------------------------------------------------------------------------------


def test_a_model_comes_back_bit_for_bit(loss, parts, tmp_path, dtype):
    train, test = parts
    params = {"negatives": "popularity", "max_trials": 7, "unobserved_weight": 0.3}
    model = small(loss=loss, dtype=dtype, max_iter=2, **params).fit(train, test)
    model.save(tmp_path / "model")
    loaded = mf.load(tmp_path / "model")
    assert type(loaded) is mf.ImplicitFactorization
    assert loaded.get_params() == model.get_params()
    assert bits_of(loaded) == bits_of(model)
    assert loaded.score(test) == model.score(test)
    np.testing.assert_array_equal(loaded.fold_in(test), model.fold_in(test))
    np.testing.assert_array_equal(loaded.recommend(n=3).ids, model.recommend(n=3).ids)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_without_the_training_pattern_the_score_says_what_is_missing(parts, tmp_path):
    model = small(max_iter=1).fit(parts[0])
    model.save(tmp_path / "model", include_seen=False)
    with pytest.raises(ValueError, match="saved without the training pattern"):
        mf.load(tmp_path / "model").score(parts[1])


def test_files_name_the_class_of_the_model(parts, tmp_path):
    class Mine(mf.ImplicitFactorization):
        pass

    Mine(3, max_iter=1).fit(parts[0]).save(tmp_path / "model")
    assert type(mf.load(tmp_path / "model")) is mf.ImplicitFactorization

    def written(metadata):
        factors = np.ones((1, 2), "float32"), np.ones((1, 2), "float32")
        ids = np.zeros(1, np.int64)
        path = str(tmp_path / "other")
        mf._core.save_model(path, *factors, None, None, 0.0, ids, ids, None, metadata)
        return mf.load(path)

    assert type(written({})) is mf.MatrixFactorization
    assert type(written({"loss": "bpr"})) is mf.ImplicitFactorization
    assert type(written({"loss": "squared"})) is mf.MatrixFactorization
    assert written({"loss": "hinge"}).classes_.tolist() == [0, 1]
    with pytest.raises(mf.ModelFileError, match="expected 'MatrixFactorization' or 'Implicit"):
        written({"estimator": "Later"})
    with pytest.raises(mf.ModelFileError, match=r'"classes_" is .* expected'):
        written({"loss": "hinge", "classes_": "[1, 2, 3]"})


def test_model_selection_knows_that_higher_is_better(parts):
    train, _ = parts
    params = {"regularization": [1e6, 1.0]}
    search = mf.model_selection.GridSearch(small(), params, cv=2).fit(train)
    assert search.best_params_ == {"regularization": 1.0}
