"""`MatrixFactorization` with each loss: what it learns, what it says, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import matfac as mf
from conftest import bits_of

RATING_LOSSES = ("squared", "absolute", "huber", "kullback_leibler")
LABEL_LOSSES = ("logistic", "hinge", "squared_hinge")
SMOOTH = {"squared", "huber", "kullback_leibler", "logistic", "squared_hinge"}
SOLVERS_OF = {
    "als": {"squared", "absolute", "huber", "logistic", "squared_hinge"},
    "sgd": {*RATING_LOSSES, *LABEL_LOSSES},
    "batch": SMOOTH,
    "ccd": {"squared"},
}
PAIRS = [(loss, solver) for solver, losses in SOLVERS_OF.items() for loss in sorted(losses)]


def labels(R, no=0):
    values = np.where(R.values >= R.mean, 1, no).astype(R.dtype)
    return mf.Ratings.from_csr_arrays(R.offsets, R.items, values, R.n_items)


def small(**params):
    return mf.MatrixFactorization(5, **({"max_iter": 10} | params))


@pytest.fixture(scope="module")
def parts():
    return mf.datasets.make_ratings(150, 80, 3000, random_state=1).split(0.2, random_state=0)


@pytest.fixture(scope="module")
def data(parts):
    """Training and test part for a loss."""
    return lambda loss: tuple(labels(R) if loss in LABEL_LOSSES else R for R in parts)


# ---- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "solver"), PAIRS)
def test_each_loss_learns(loss, solver, data, dtype):
    train, test = data(loss)
    model = small(loss=loss, solver=solver, dtype=dtype, max_iter=15).fit(train, test)
    measure = "rmse" if loss == "squared" else "loss"
    keys = ["iteration", "objective", f"train_{measure}", f"eval_{measure}", "seconds"]
    assert list(model.history_) == keys
    assert model.history_["objective"][-1] < model.history_["objective"][0]
    if solver != "sgd":
        falls = np.diff(model.history_["objective"]) / model.history_["objective"][0]
        assert np.all(falls < (1e-5 if dtype == "float32" else 1e-10))
    if loss in LABEL_LOSSES:
        share = max(np.mean(test.values), 1 - np.mean(test.values))
        assert model.score(test) <= 1
        assert model.score(train) > share + 0.1
    else:
        assert model.score(test) < 0.99 * np.std(test.values)
    assert (model.huber_threshold_ is not None) == (loss == "huber")
    if loss == "kullback_leibler":
        assert all(np.min(factors) >= 0 for factors in model._parameters()[:2])
        assert all(np.min(biases) >= -model.global_mean_ / 2 for biases in model._parameters()[2:4])


@pytest.mark.parametrize(("loss", "solver"), PAIRS)
def test_each_loss_comes_back_from_a_file(loss, solver, data, tmp_path):
    train, test = data(loss)
    model = small(loss=loss, solver=solver, huber_threshold=0.7, max_iter=2).fit(train, test)
    model.save(tmp_path / "model")
    loaded = mf.load(tmp_path / "model")
    assert type(loaded) is mf.MatrixFactorization
    assert loaded.get_params() == model.get_params()
    assert bits_of(loaded) == bits_of(model)
    assert loaded.score(test) == model.score(test)
    assert loaded.huber_threshold_ == model.huber_threshold_
    np.testing.assert_array_equal(loaded.predict(test), model.predict(test))
    if solver == "als":
        np.testing.assert_array_equal(loaded.fold_in(test), model.fold_in(test))


@pytest.mark.parametrize("loss", [*RATING_LOSSES, *LABEL_LOSSES])
def test_the_losses_of_the_history_are_means_of_the_formula(loss, data):
    train, test = data(loss)
    model = small(loss=loss, solver="sgd", dtype="float64", max_iter=3).fit(train, test)
    x = model._estimate(test).astype(float)
    r, y = test.values.astype(float), np.where(test.values > 0, 1.0, -1.0)
    e = np.abs(r - x)
    t = model.huber_threshold_ or 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = {
            "squared": 0.5 * e**2,
            "absolute": e,
            "huber": np.where(e <= t, 0.5 * e**2, t * (e - 0.5 * t)),
            "kullback_leibler": np.where(r > 0, r * np.log(r / x), 0) - r + x,
            "logistic": np.logaddexp(0, -y * x),
            "hinge": np.maximum(0, 1 - y * x),
            "squared_hinge": 0.5 * np.maximum(0, 1 - y * x) ** 2,
        }[loss]
    if loss == "squared":
        assert model.history_["eval_rmse"][-1] == pytest.approx(np.sqrt(2 * expected.mean()))
    else:
        assert model.history_["eval_loss"][-1] == pytest.approx(expected.mean(), rel=2e-3)


# ---- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("no", [0, -1])
@pytest.mark.parametrize("loss", LABEL_LOSSES)
def test_predictions_are_labels_as_the_data_have_them(loss, no, parts, dtype):
    train, test = (labels(R, no) for R in parts)
    model = small(loss=loss, solver="sgd", dtype=dtype).fit(train)
    assert model.classes_.tolist() == [no, 1] and model.classes_.dtype == dtype
    with pytest.raises(ValueError, match="read-only"):
        model.classes_[0] = 3
    predicted, estimates = model.predict(test), model.decision_function(test)
    assert predicted.dtype == dtype and set(predicted.tolist()) == {no, 1}
    np.testing.assert_array_equal(predicted == 1, estimates > 0)
    assert model.score(test) == pytest.approx(np.mean(predicted == test.values))
    pair = test.user_ids[0], test.item_ids[0]
    assert model.predict(*pair) == (1 if model.decision_function(*pair) > 0 else no)
    assert isinstance(model.predict(*pair), float)
    grid = model.predict(test.user_ids[:3, None], test.item_ids[:4])
    assert grid.shape == (3, 4)


def test_labels_do_not_change_what_is_learned(parts):
    fits = [small(loss="logistic", solver="sgd").fit(labels(parts[0], no)) for no in (0, -1)]
    assert bits_of(fits[0]) == bits_of(fits[1])


def test_probabilities_are_those_of_the_logistic_function(data, dtype):
    train, test = data("logistic")
    model = small(loss="logistic", dtype=dtype).fit(train)
    found = model.predict_proba(test)
    assert found.shape == (test.nnz, 2) and found.dtype == dtype
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    expected = 1 / (1 + np.exp(-model.decision_function(test).astype(float)))
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-5)
    np.testing.assert_array_equal(found.argmax(axis=1), model.predict(test) == model.classes_[1])
    assert model.predict_proba(1, 2).shape == (2,)
    # As sure as can be, and neither infinite nor a warning.
    model.item_factors_ = (1e4 * model.item_factors_).astype(dtype)
    assert np.isfinite(model.predict_proba(test)).all()


def test_recommendations_are_by_the_estimates(data):
    train, _ = data("logistic")
    model = small(loss="logistic").fit(train)
    ids, scores = model.recommend(train.user_ids[0], 5, exclude_seen=False)
    estimates = model.decision_function(train.user_ids[0], train.item_ids)
    assert ids.tolist() == train.item_ids[np.argsort(-estimates, kind="stable")[:5]].tolist()
    np.testing.assert_array_equal(scores, np.sort(estimates)[::-1][:5])


def test_what_a_loss_has_not_is_not_there(data):
    train, _ = data("hinge")
    hinge = small(loss="hinge", solver="sgd")
    for model in (hinge, hinge.fit(train)):
        assert hasattr(model, "decision_function") and not hasattr(model, "predict_proba")
    with pytest.raises(AttributeError, match=r"predict_proba is for loss 'logistic'; .* 'hinge'"):
        hinge.predict_proba(1, 1)
    ratings = small().fit(data("squared")[0])
    assert not hasattr(ratings, "decision_function") and not hasattr(ratings, "classes_")
    with pytest.raises(AttributeError, match="this model has loss 'squared'"):
        ratings.decision_function(1, 1)
    # What was fitted counts, not what is to be fitted next.
    ratings.loss = "logistic"
    assert not hasattr(ratings, "predict_proba")
    assert ratings.fit(train).predict_proba(1, 1).shape == (2,)
    ratings.set_params(loss="squared").fit(data("squared")[0])
    assert not hasattr(ratings, "classes_")


def test_whether_a_higher_score_is_better_can_be_told(data):
    assert small()._lower_score_is_better and small()._score_name == "rmse"
    for loss in LABEL_LOSSES:
        assert not small(loss=loss)._lower_score_is_better
        assert small(loss=loss)._score_name == "accuracy"
    found = mf.model_selection.cross_validate(
        small(loss="logistic", max_iter=2), data("logistic")[0], cv=2
    )
    assert np.all(found["test_score"] > 0.5)
    # With nothing but μ every answer is the more frequent label.
    params = {"biases": [True, False], "regularization": [1e6]}
    search = mf.model_selection.GridSearch(
        small(loss="logistic", bias_regularization=1.0), params, cv=2
    ).fit(data("logistic")[0])
    means = search.cv_results_["mean_test_score"]
    assert means[0] > means[1] and search.best_params_["biases"]


def test_accuracy_is_weighted(data):
    train, test = data("logistic")
    model = small(loss="logistic", max_iter=2).fit(train)
    weights = np.random.default_rng(0).random(test.nnz).astype("float32")
    with_weights = mf.Ratings.from_csr_arrays(
        test.offsets, test.items, test.values, test.n_items, weights=weights
    )
    right = model.predict(test) == test.values
    assert model.score(with_weights) == pytest.approx(np.average(right, weights=weights))


# ---- other parameters ----------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["als", "sgd", "batch", "ccd"])
def test_factors_can_be_kept_from_being_negative(solver, parts):
    model = small(solver=solver, nonnegative=True).fit(parts[0])
    assert model.user_factors_.min() >= 0 and model.item_factors_.min() >= 0
    assert model.history_["train_rmse"][-1] < np.std(parts[0].values)


@pytest.mark.parametrize("solver", ["als", "batch", "ccd"])
def test_l1_makes_zeros(solver, parts):
    plain = small(solver=solver).fit(parts[0])
    sparse = small(solver=solver, l1_regularization=(1.0, 2.0)).fit(parts[0])
    assert np.mean(plain.item_factors_ == 0) < 0.05 < np.mean(sparse.item_factors_ == 0)


@pytest.mark.parametrize("row_solver", ["conjugate_gradient", "subspace"])
def test_the_rows_of_als_can_be_solved_otherwise(row_solver, parts):
    exact = small(max_iter=15).fit(*parts)
    other = small(max_iter=15, row_solver=row_solver, cg_steps=4, subspace_size=2).fit(*parts)
    assert bits_of(other) != bits_of(exact)
    assert other.history_["eval_rmse"][-1] == pytest.approx(
        exact.history_["eval_rmse"][-1], rel=0.01
    )


def test_a_threshold_beyond_all_errors_is_the_squared_loss(parts):
    huber = small(loss="huber", huber_threshold=100.0, dtype="float64").fit(parts[0])
    squared = small(
        dtype="float64",
        regularization=huber.regularization_,
        bias_regularization=huber.bias_regularization_,
    ).fit(parts[0])
    assert huber.score(parts[1]) == pytest.approx(squared.score(parts[1]), rel=1e-3)
    assert huber.huber_threshold_ == 100


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LABEL_LOSSES)
def test_what_is_no_label_is_refused(loss, parts):
    with pytest.raises(
        ValueError, match=rf"rating .* at entry .* \(user .*\) is no label: loss '{loss}' takes"
    ):
        small(loss=loss, solver="sgd").fit(parts[0])
    train = labels(parts[0])
    with pytest.raises(ValueError, match="is no label"):
        small(loss=loss, solver="sgd").fit(train, parts[1])
    mixed = train.values.copy()
    mixed[np.flatnonzero(mixed == 0)[3]] = -1
    mixed = mf.Ratings.from_csr_arrays(train.offsets, train.items, mixed, train.n_items)
    with pytest.raises(
        ValueError, match=r"labels 0 \(entry .*\) and -1 \(entry .*\) both stand for no"
    ):
        small(loss=loss, solver="sgd").fit(mixed)
    model = small(loss=loss, solver="sgd", max_iter=1).fit(train)
    with pytest.raises(
        ValueError, match=r"label .* at position .* not one .* fitted with, 0 and 1"
    ):
        model.score(parts[1])


@pytest.mark.parametrize(
    ("params", "match"),
    [
        (
            {"loss": "kullback_leibler", "solver": "sgd"},
            "loss 'kullback_leibler' takes .* at least 0",
        ),
        ({"nonnegative": True}, "a nonnegative model takes ratings of at least 0"),
    ],
)
def test_negative_ratings_are_refused_where_nothing_is_negative(params, match, parts):
    train = parts[0]
    values = train.values.copy()
    values[7] = -0.5
    negative = mf.Ratings.from_csr_arrays(train.offsets, train.items, values, train.n_items)
    user = train.user_ids[np.searchsorted(train.offsets, 7, side="right") - 1].item()
    pair = rf"\(user {user!r}, item {train.item_ids[train.items[7]].item()!r}\)"
    # These ratings have codes as ids, since none were given; the next ones have their own.
    with pytest.raises(ValueError, match=rf"rating -0.5 at entry 7 .* is negative: {match}"):
        small(**params).fit(negative)
    named = mf.Ratings.from_csr_arrays(
        train.offsets,
        train.items,
        values,
        train.n_items,
        user_ids=train.user_ids,
        item_ids=train.item_ids,
    )
    with pytest.raises(ValueError, match=rf"rating -0.5 at entry 7 {pair} is negative: {match}"):
        small(**params).fit(named)


@pytest.mark.parametrize("solver", SOLVERS_OF)
def test_a_loss_that_the_solver_has_not_is_refused_with_those_that_have_it(solver, parts):
    for loss in sorted({*RATING_LOSSES, *LABEL_LOSSES} - SOLVERS_OF[solver]):
        with pytest.raises(ValueError, match=f"'{solver}' does not support loss '{loss}'") as error:
            small(loss=loss, solver=solver).fit(parts[0])
        offered = str(error.value).partition("the loss is supported by ")[2]
        having = [other for other in SOLVERS_OF if loss in SOLVERS_OF[other]]
        assert offered == ", ".join(map(repr, having))
