"""`GridSearch` and `RandomSearch`."""

from __future__ import annotations

import numpy as np
import pytest

import matfac as mf
from matfac import model_selection as ms

MODEL = mf.MatrixFactorization(3, max_iter=2)
GRID = {"regularization": [0.1, 3.0, 1000.0], "n_factors": [2, 4]}


@pytest.fixture(scope="module")
def R():
    return mf.datasets.make_ratings(60, 40, 1500, random_state=0)


def negative_rmse(model: object, test: mf.Ratings) -> float:
    return -mf.metrics.rmse(test.values, model.predict(test))


class Distance:
    """Its score is better when it is higher, as scikit-learn has it."""

    def __init__(self, x: float = 0.0, n_failures: int = 0) -> None:
        self.x, self.n_failures = x, n_failures

    def get_params(self, deep: bool = True) -> dict:
        return {"x": self.x, "n_failures": self.n_failures}

    def set_params(self, **params: object) -> Distance:
        for name, value in params.items():
            if not hasattr(self, name):
                raise ValueError(f"no parameter {name!r}")
            setattr(self, name, value)
        return self

    def fit(self, ratings: mf.Ratings) -> Distance:
        if self.n_failures:
            raise ArithmeticError("cannot fit")
        return self

    def score(self, ratings: mf.Ratings) -> float:
        return -abs(self.x - 3)


class Uniform:
    """A distribution as SciPy has them."""

    def rvs(self, random_state: np.random.Generator) -> np.float64:
        return np.float64(random_state.uniform(1, 2))


# ---- the best one --------------------------------------------------------------------------------


def test_the_best_is_the_one_that_cross_validation_says(R):
    search = ms.GridSearch(MODEL, GRID, cv=3).fit(R)
    means = []
    for params in search.cv_results_["params"]:
        model = mf.MatrixFactorization(3, max_iter=2).set_params(**params)
        means.append(ms.cross_validate(model, R, cv=3)["test_score"].mean())
    assert np.array_equal(search.cv_results_["mean_test_score"], means)
    assert search.best_score_ == min(means)  # the score is an error
    assert search.best_index_ == int(np.argmin(means))
    assert search.best_params_ == search.cv_results_["params"][search.best_index_]
    assert search.best_params_["regularization"] == 3.0
    assert search.cv_results_["rank_test_score"][search.best_index_] == 1


def test_directions(R):
    def best(estimator=MODEL, **named):
        return ms.GridSearch(estimator, GRID, cv=3, **named).fit(R).best_params_

    assert best() == best(scoring="rmse") == best(scoring=negative_rmse)
    backwards = ms.Scorer(negative_rmse, lower_is_better=True)
    worst = ms.GridSearch(MODEL, GRID, cv=3, scoring=backwards).fit(R)
    forwards = ms.GridSearch(MODEL, GRID, cv=3, scoring=negative_rmse).fit(R)
    ranks = [search.cv_results_["rank_test_score"] for search in (worst, forwards)]
    assert np.array_equal(ranks[0], 7 - ranks[1]) and worst.best_params_ != forwards.best_params_
    both = {"error": "rmse", "gain": negative_rmse}
    assert best(scoring=both, refit="error") == best(scoring=both, refit="gain") == best()
    search = ms.GridSearch(MODEL, GRID, cv=3, scoring=both, refit="gain").fit(R)
    ranks = [search.cv_results_[f"rank_test_{name}"] for name in both]
    assert np.array_equal(ranks[0], ranks[1])
    ranked = ms.GridSearch(MODEL, GRID, cv=3, scoring="ndcg@10").fit(R)
    assert ranked.best_score_ == max(ranked.cv_results_["mean_test_score"])


def test_the_score_of_another_estimator_is_better_when_higher(R):
    search = ms.GridSearch(Distance(), {"x": [0, 2, 3.5, 9]}, cv=2).fit(R)
    assert search.best_params_ == {"x": 3.5} and search.best_score_ == -0.5
    assert search.cv_results_["rank_test_score"].tolist() == [3, 2, 1, 4]


def test_an_estimator_says_whether_its_score_is_an_error(R):
    class Own(mf.MatrixFactorization):
        _lower_score_is_better = False

        def score(self, ratings):
            return self.n_factors

    search = ms.GridSearch(Own(max_iter=1), {"n_factors": [1, 3, 2]}, cv=2).fit(R)
    assert search.best_params_ == {"n_factors": 3}
    nested = ms.GridSearch(search, {"cv": [2, 3]}, cv=2)
    assert not nested._lower_score_is_better and ms.GridSearch(MODEL, {})._lower_score_is_better
    generator = np.random.default_rng(0)
    drawn = ms.RandomSearch(MODEL, {"n_factors": range(1, 9)}, n_iter=2, random_state=generator)
    assert drawn._lower_score_is_better  # and asking for it draws nothing
    assert generator.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_scores_that_are_different_measures_are_not_compared(R):
    mask = R.values > R.mean
    users, items, _ = R.to_arrays()
    labels = mf.Ratings.from_arrays(users, items, np.where(mask, 1.0, -1.0))
    grid = {"loss": ["squared", "logistic"]}
    sgd = mf.MatrixFactorization(2, max_iter=2, solver="sgd")
    with pytest.raises(ValueError, match="the scores of the candidates are different measures"):
        ms.GridSearch(sgd, grid, cv=2).fit(labels)
    ranked = ms.GridSearch(sgd, grid, cv=2, scoring="auc").fit(labels)
    assert 0 < ranked.best_score_ <= 1
    single = ms.GridSearch(sgd, {"loss": ["logistic"], "n_factors": [1, 2]}, cv=2).fit(labels)
    assert single.best_score_ == max(single.cv_results_["mean_test_score"])  # an accuracy
    named = ms.GridSearch(sgd, single.param_grid, cv=2, scoring="accuracy").fit(labels)
    assert named.best_score_ == single.best_score_


def test_the_best_is_fitted_to_everything(R):
    search = ms.GridSearch(MODEL, GRID, cv=2).fit(R)
    expected = mf.MatrixFactorization(3, max_iter=2).set_params(**search.best_params_).fit(R)
    assert np.array_equal(search.best_estimator_.item_factors_, expected.item_factors_)
    assert search.refit_time_ > 0
    assert np.array_equal(search.predict(R), expected.predict(R))
    users = R.user_ids[:3]
    assert np.array_equal(search.recommend(users, n=4).ids, expected.recommend(users, n=4).ids)
    assert search.score(R) == expected.score(R)
    ranked = [
        mf.metrics.evaluate_ranking(model, R, 3, measures=["ndcg", "auc"], exclude_seen=False)
        for model in (search, expected)
    ]
    assert ranked[0] == ranked[1]
    assert not hasattr(MODEL, "item_factors_")


def test_without_a_refit_there_are_results_only(R):
    search = ms.GridSearch(MODEL, GRID, cv=2, refit=False).fit(R)
    assert search.best_params_["regularization"] in GRID["regularization"]
    with pytest.raises(mf.NotFittedError, match="GridSearch has no best estimator"):
        search.predict(R)
    several = ms.GridSearch(MODEL, GRID, cv=2, scoring=["rmse", "mae"], refit=False).fit(R)
    assert not hasattr(several, "best_params_")
    with pytest.raises(mf.NotFittedError):
        ms.GridSearch(MODEL, GRID).score(R)


def test_nothing_of_an_earlier_fit_is_left(R):
    search = ms.GridSearch(MODEL, GRID, cv=2).fit(R)
    search.set_params(refit=False, scoring=["rmse", "mae"]).fit(R)
    for name in ("best_estimator_", "best_params_", "best_score_", "best_index_", "refit_time_"):
        assert not hasattr(search, name)
    with pytest.raises(mf.NotFittedError):
        search.score(R)


def test_what_is_passed_to_fit(R):
    seen = []
    ms.GridSearch(MODEL, {"n_factors": [2]}, cv=2).fit(R, callbacks=seen.append)
    assert len(seen) == 3 * 2  # two folds and the last one, two iterations each


# ---- the table -----------------------------------------------------------------------------------


def test_the_table_is_that_of_scikit_learn(R):
    pandas = pytest.importorskip("pandas")
    grid = [GRID, {"solver": ["sgd"], "n_factors": [2]}]
    search = ms.GridSearch(MODEL, grid, cv=3, return_train_score=True).fit(R)
    table = search.cv_results_
    times = [f"{kind}_{what}_time" for what in ("fit", "score") for kind in ("mean", "std")]
    scores = [
        *(f"split{i}_test_score" for i in range(3)),
        *("mean_test_score", "std_test_score", "rank_test_score"),
        *(f"split{i}_train_score" for i in range(3)),
        *("mean_train_score", "std_train_score"),
    ]
    names = ["param_n_factors", "param_regularization", "param_solver", "params"]
    assert list(table) == times + names + scores
    assert [len(column) for column in table.values()] == [7] * len(table)
    assert table["param_solver"].mask.tolist() == [True] * 6 + [False]
    assert table["params"][:3] == [
        {"n_factors": 2, "regularization": 0.1},
        {"n_factors": 2, "regularization": 3.0},
        {"n_factors": 2, "regularization": 1000.0},
    ]
    folds = np.array([table[f"split{i}_test_score"] for i in range(3)])
    assert table["mean_test_score"] == pytest.approx(folds.mean(axis=0))
    assert table["std_test_score"] == pytest.approx(folds.std(axis=0))
    assert sorted(table["rank_test_score"]) == list(range(1, 8))
    assert len(pandas.DataFrame(table)) == 7
    assert search.n_splits_ == 3 and search.multimetric_ is False


def test_several_scorings_have_columns_of_their_own(R):
    search = ms.GridSearch(
        MODEL, {"n_factors": [2, 3]}, cv=2, scoring=["rmse", "recall@5"], refit="recall@5"
    ).fit(R)
    assert {"mean_test_rmse", "rank_test_recall@5", "split1_test_rmse"} <= set(search.cv_results_)
    assert search.multimetric_ and list(search.scorer_) == ["rmse", "recall@5"]
    assert search.best_score_ == max(search.cv_results_["mean_test_recall@5"])


def test_equal_scores_share_a_rank_and_the_first_is_the_best(R):
    search = ms.GridSearch(Distance(), {"x": [0, 6, 2, 4]}, cv=2).fit(R)
    assert search.cv_results_["rank_test_score"].tolist() == [3, 3, 1, 1]
    assert search.best_params_ == {"x": 2}


def test_candidates_that_fail_come_last(R):
    search = ms.GridSearch(Distance(), {"x": [9, 1, 9], "n_failures": [0, 1]}, cv=2)
    with pytest.warns(ms.FitFailedWarning, match="6 of 12 fits"):
        search.fit(R)
    table = search.cv_results_
    assert np.isnan(table["mean_test_score"]).tolist() == [False] * 3 + [True] * 3
    assert table["rank_test_score"].tolist() == [2, 1, 2, 4, 4, 4]
    assert search.best_params_ == {"x": 1, "n_failures": 0}
    with pytest.raises(ValueError, match="all the 4 fits failed"):
        ms.GridSearch(Distance(n_failures=1), {"x": [1, 2]}, cv=2).fit(R)
    with pytest.raises(ArithmeticError):
        ms.GridSearch(Distance(), {"n_failures": [0, 1]}, cv=2, error_score="raise").fit(R)


def test_a_score_that_is_never_a_number_chooses_nothing(R):
    with pytest.raises(ValueError, match="score of NaN; there is no best one"):
        ms.GridSearch(MODEL, {"n_factors": [1]}, cv=2, scoring=lambda *_: float("nan")).fit(R)


# ---- processes -----------------------------------------------------------------------------------


def test_results_do_not_depend_on_the_number_of_processes(R):
    named = {"cv": ms.UserSplit(0.2, n_splits=2), "scoring": ["rmse", "ndcg@5"], "refit": "rmse"}
    alone = ms.GridSearch(MODEL, GRID, **named).fit(R)
    shared = ms.GridSearch(MODEL, GRID, n_jobs=2, **named).fit(R)
    for name, column in alone.cv_results_.items():
        if "time" not in name:
            assert np.array_equal(column, shared.cv_results_[name])
    assert alone.best_params_ == shared.best_params_
    assert np.array_equal(alone.best_estimator_.user_factors_, shared.best_estimator_.user_factors_)
    assert shared.best_estimator_.n_threads == 0


def test_a_search_is_an_estimator(R):
    search = ms.GridSearch(MODEL, {"n_factors": [2, 4]}, cv=2)
    found = ms.cross_validate(search, R, cv=2, return_estimator=True)
    assert found["estimator"][0].best_params_ and not hasattr(search, "best_params_")
    outer = ms.GridSearch(search, {"cv": [2, 3]}, cv=2).fit(R)
    assert outer.best_score_ == min(outer.cv_results_["mean_test_score"])
    assert repr(search).startswith("GridSearch(estimator=MatrixFactorization(n_factors=3")


# ---- at random -----------------------------------------------------------------------------------


def test_combinations_are_drawn_without_repetition(R):
    def drawn(n_iter, state=0):
        search = ms.RandomSearch(Distance(), lists, n_iter=n_iter, random_state=state, cv=2)
        return [tuple(params.items()) for params in search.fit(R).cv_results_["params"]]

    lists = {"x": np.arange(5), "n_failures": [0]}
    assert len(set(drawn(5))) == 5 and drawn(3) == drawn(3) != drawn(3, 1)
    assert all(type(value) is int for params in drawn(2) for _, value in params)
    with pytest.warns(UserWarning, match="n_iter=9: there are only 5 combinations"):
        assert len(set(drawn(9))) == 5


def test_distributions_are_asked(R):
    stats = pytest.importorskip("scipy.stats")
    spaces = {"x": Uniform(), "n_failures": [0, False]}
    search = ms.RandomSearch(Distance(), spaces, n_iter=8, cv=2).fit(R)
    x = [params["x"] for params in search.cv_results_["params"]]
    assert len(set(x)) == 8 and all(type(value) is float and 1 <= value <= 2 for value in x)
    assert search.best_params_["x"] == max(x)
    again = ms.RandomSearch(Distance(), spaces, n_iter=8, cv=2).fit(R)
    assert again.cv_results_["params"] == search.cv_results_["params"]
    spaces = {"regularization": stats.loguniform(0.1, 10), "n_factors": stats.randint(1, 5)}
    search = ms.RandomSearch(MODEL, spaces, n_iter=3, cv=2, random_state=2).fit(R)
    assert len(search.cv_results_["params"]) == 3 and search.best_score_ < 2


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"param_grid": {"n_factor": [1]}}, ValueError, "has no parameter 'n_factor'; it has"),
        ({"param_grid": {"n_factors": []}}, ValueError, "no values of n_factors to try"),
        ({"param_grid": []}, ValueError, "there are no candidates to try"),
        ({"param_grid": {"n_factors": 3}}, TypeError, "n_factors=3: expected a sequence"),
        ({"param_grid": {"solver": "als"}}, TypeError, "solver='als': expected a sequence"),
        ({"param_grid": {3: [1]}}, TypeError, "3 is not the name of a parameter"),
        ({"param_grid": [[1]]}, TypeError, "param_grid: expected a dict"),
        ({"refit": "rmse"}, TypeError, "refit='rmse': with one scoring, expected True or False"),
        ({"scoring": ["rmse", "mae"]}, ValueError, "refit=True: with several scorings, say which"),
        ({"scoring": ["rmse"], "refit": "mae"}, ValueError, "refit='mae': with several scorings"),
        ({"scoring": "x"}, ValueError, "unknown scoring 'x'"),
        ({"cv": 1}, ValueError, "cv=1 must be at least 2"),
        ({"estimator": 3}, TypeError, "expected an object with get_params"),
        ({"n_jobs": 0}, ValueError, "n_jobs=0"),
        ({"error_score": None}, TypeError, "error_score=None"),
    ],
)
def test_bad_arguments_of_a_grid_search(named, error, message, R):
    arguments = {"estimator": MODEL, "param_grid": {"n_factors": [2]}, **named}
    with pytest.raises(error, match=message):
        ms.GridSearch(**arguments).fit(R)


def test_bad_arguments_of_a_random_search(R):
    for named, error, message in (
        ({"n_iter": 0}, ValueError, "n_iter=0 must be at least 1"),
        ({"random_state": "x"}, TypeError, "random_state='x'"),
        ({"param_distributions": [GRID]}, TypeError, "param_distributions: expected a dict"),
        ({"param_distributions": {"n_factors": 2}}, TypeError, "expected a sequence of values"),
    ):
        arguments = {"estimator": MODEL, "param_distributions": GRID, **named}
        with pytest.raises(error, match=message):
            ms.RandomSearch(**arguments).fit(R)
