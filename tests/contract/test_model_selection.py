"""`matfac.model_selection`: scorings, `cross_validate`, processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import matfac as mf
from conftest import bits_of
from matfac import metrics
from matfac import model_selection as ms


@pytest.fixture(scope="module")
def R():
    """Users with one rating, with two, and with many; items by strings."""
    rng = np.random.default_rng(0)
    counts = np.concatenate([[1, 1, 2, 2, 3], rng.integers(1, 25, 40)])
    users = np.repeat(np.arange(len(counts)), counts)
    items = np.concatenate([rng.permutation(30)[:count] for count in counts])
    values = rng.integers(1, 6, len(users)).astype(np.float32)
    return mf.Ratings.from_arrays(users, [f"item {m:02}" for m in items], values)


# ---- scorings ------------------------------------------------------------------------------------


class MeanOnly:
    """The least that an estimator is."""

    def __init__(self, shift: float = 0.0, fail: str = "", n_threads: int = 0) -> None:
        self.shift, self.fail, self.n_threads = shift, fail, n_threads

    def get_params(self, deep: bool = True) -> dict:
        return {"shift": self.shift, "fail": self.fail, "n_threads": self.n_threads}

    def set_params(self, **params: object) -> MeanOnly:
        for name, value in params.items():
            if not hasattr(self, name):
                raise ValueError(f"no parameter {name!r}")
            setattr(self, name, value)
        return self

    def fit(self, ratings: mf.Ratings, extra: float = 0.0) -> MeanOnly:
        if self.fail == "fit":
            raise ArithmeticError("cannot fit")
        if self.fail == "exit":
            os._exit(3)
        if self.fail == "sleep":
            time.sleep(600)
        self.estimate_ = ratings.mean + self.shift + extra
        self.threads_seen_ = self.n_threads
        return self

    def predict(self, ratings: mf.Ratings) -> np.ndarray:
        return np.full(ratings.nnz, self.estimate_)

    def score(self, ratings: mf.Ratings) -> float:
        if self.fail == "score":
            raise ArithmeticError("cannot score")
        return -metrics.rmse(ratings.values, self.predict(ratings))  # higher is better


def largest_error(model: object, test: mf.Ratings) -> float:
    return float(np.max(np.abs(model.predict(test) - test.values)))


MODEL = mf.MatrixFactorization(3, max_iter=2)


def test_names_of_scorings_and_their_directions(R):
    train, test = R.split(0.3, random_state=0)
    model = mf.MatrixFactorization(3, max_iter=2).fit(train)
    estimates = model.predict(test)
    expected = {
        "accuracy": float(np.mean(estimates == test.values)),
        "rmse": metrics.rmse(test.values, estimates),
        "mse": metrics.mse(test.values, estimates),
        "mae": metrics.mae(test.values, estimates),
        "auc": metrics.auc(model, test),
        "popularity@4": metrics.evaluate_ranking(model, test, 4)["popularity"],
    }
    for n in (1, 10):
        measured = metrics.evaluate_ranking(model, test, n)
        for name in ("precision", "recall", "ndcg", "average_precision", "coverage", "novelty"):
            expected[f"{name}@{n}"] = measured[name]
    for name, value in expected.items():
        scorer = ms.get_scorer(name)
        assert scorer(model, test) == pytest.approx(value, rel=1e-14)
        assert scorer.lower_is_better == (name in ("rmse", "mse", "mae", "popularity@4"))


def test_errors_are_weighted_as_the_score_is():
    weights = np.random.default_rng(0).random(200)
    R = mf.Ratings.from_arrays(
        np.arange(200) % 20, np.arange(200) // 20, np.arange(200) % 7, weights=weights
    )
    train, test = R.split(0.3, random_state=0)
    model = mf.MatrixFactorization(2, max_iter=2).fit(train)
    assert ms.get_scorer("rmse")(model, test) == model.score(test)
    errors = np.abs(model.predict(test).astype(float) - test.values)
    assert ms.get_scorer("mae")(model, test) == pytest.approx(
        np.average(errors, weights=test.weights)
    )


@pytest.mark.parametrize(
    ("scoring", "error", "message"),
    [
        ("ndcg", ValueError, "scoring 'ndcg': say of how many items, for example 'ndcg@10'"),
        ("ndcg@", ValueError, "unknown scoring 'ndcg@'"),
        ("ndcg@0", ValueError, "unknown scoring 'ndcg@0'"),
        ("ndcg@-1", ValueError, "unknown scoring"),
        ("auc@10", ValueError, "unknown scoring 'auc@10'"),
        ("r2", ValueError, "unknown scoring 'r2': choose from rmse"),
        (["rmse", "rmse"], ValueError, "a name stands twice"),
        ([], ValueError, "nothing is named"),
        ({}, ValueError, "nothing is named"),
        ({"mine": 3}, TypeError, "3 is neither a name nor a callable"),
        ([max], ValueError, "unknown scoring"),
        (5, TypeError, "scoring=5: expected a name"),
    ],
)
def test_bad_scorings_are_refused_before_any_fit(scoring, error, message, R):
    with pytest.raises(error, match=message):
        ms.cross_validate(MeanOnly(fail="exit"), R, scoring=scoring)


def test_a_score_has_to_be_a_number(R):
    with pytest.raises(TypeError, match="scoring: expected a number, got None"):
        ms.cross_validate(MODEL, R, cv=2, scoring=lambda model, test: None, error_score="raise")


# ---- cross_validate ------------------------------------------------------------------------------


def test_cross_validation_is_fitting_and_scoring_on_each_division(R):
    found = ms.cross_validate(MODEL, R, cv=4, return_train_score=True, return_estimator=True)
    assert list(found) == ["fit_time", "score_time", "estimator", "test_score", "train_score"]
    for i, (train, test) in enumerate(ms.KFold(4).split(R)):
        model = mf.MatrixFactorization(3, max_iter=2).fit(train)
        assert found["test_score"][i] == model.score(test)
        assert found["train_score"][i] == model.score(train)
        assert bits_of(found["estimator"][i]) == bits_of(model)
    assert found["fit_time"].shape == found["score_time"].shape == (4,)
    assert np.all(found["fit_time"] > 0)
    assert not hasattr(MODEL, "user_factors_")


def test_several_scorings_are_measured_together(R):
    scoring = ["rmse", "ndcg@5", "recall@5", "recall@9", "auc"]
    found = ms.cross_validate(MODEL, R, cv=ms.UserSplit(0.3), scoring=scoring)
    assert list(found) == ["fit_time", "score_time", *(f"test_{name}" for name in scoring)]
    train, test = next(ms.UserSplit(0.3).split(R))
    model = mf.MatrixFactorization(3, max_iter=2).fit(train)
    for name in scoring:
        assert found[f"test_{name}"] == [ms.get_scorer(name)(model, test)]


def test_training_parts_are_ranked_with_what_was_seen(R):
    scoring = ["ndcg@5", "auc"]
    found = ms.cross_validate(MODEL, R, cv=2, scoring=scoring, return_train_score=True)
    train, _ = next(ms.KFold(2).split(R))
    model = mf.MatrixFactorization(3, max_iter=2).fit(train)
    seen = metrics.evaluate_ranking(model, train, 5, measures=["ndcg", "auc"], exclude_seen=False)
    assert found["train_ndcg@5"][0] == seen["ndcg"] and found["train_auc"][0] == seen["auc"]


def test_scorings_of_ones_own(R):
    scoring = {
        "largest": largest_error,
        "same": ms.Scorer(largest_error, lower_is_better=True),
        "usual": "rmse",
    }
    found = ms.cross_validate(MODEL, R, cv=2, scoring=scoring)
    assert np.array_equal(found["test_largest"], found["test_same"])
    single = ms.cross_validate(MODEL, R, cv=2, scoring=largest_error)
    assert np.array_equal(found["test_largest"], single["test_score"])
    assert np.all(found["test_usual"] < found["test_largest"])


def test_any_estimator_will_do(R):
    found = ms.cross_validate(MeanOnly(), R, cv=3, scoring=["rmse", "mae"])
    assert np.all(found["test_rmse"] >= found["test_mae"])
    assert np.array_equal(ms.cross_validate(MeanOnly(), R, cv=3)["test_score"], -found["test_rmse"])
    shifted = ms.cross_validate(MeanOnly(), R, cv=3, fit_params={"extra": 2.0})
    assert np.all(shifted["test_score"] < -found["test_rmse"])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_choices_without_ratings(n_jobs):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"user": rng.integers(0, 40, 800), "item": rng.integers(0, 30, 800)})
    frame = frame.drop_duplicates()
    chosen = mf.Ratings.from_frame(frame, rating=False)
    estimator = mf.ImplicitFactorization(2, max_iter=2)
    found = ms.cross_validate(
        estimator, frame, cv=3, scoring=None, n_jobs=n_jobs, return_train_score=True
    )
    for i, (train, test) in enumerate(ms.KFold(3).split(chosen)):
        model = mf.ImplicitFactorization(2, max_iter=2).fit(train)
        assert found["test_score"][i] == model.score(test)
        expected = metrics.evaluate_ranking(model, train, measures="ndcg", exclude_seen=False)
        assert found["train_score"][i] == expected["ndcg"]
    search = ms.GridSearch(estimator, {"n_factors": [1, 3]}, cv=3).fit(frame)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert 0 < metrics.auc(search, frame, exclude_seen=False) <= 1


def test_divisions_of_ones_own(R):
    pairs = list(ms.KFold(3).split(R))
    expected = ms.cross_validate(MODEL, R, cv=3)["test_score"]
    assert np.array_equal(ms.cross_validate(MODEL, R, cv=pairs)["test_score"], expected)
    assert np.array_equal(ms.cross_validate(MODEL, R, cv=iter(pairs))["test_score"], expected)

    class Halves:
        def split(self, ratings):
            mask = np.arange(ratings.nnz) % 2 == 0
            yield ratings.select(mask), ratings.select(~mask)

    assert ms.cross_validate(MODEL, R, cv=Halves())["test_score"].shape == (1,)


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"cv": 1}, ValueError, "cv=1 must be at least 2"),
        ({"cv": 2.5}, TypeError, "cv=2.5: expected an integer, a splitter or pairs"),
        ({"cv": []}, ValueError, r"cv: there are no \(train, test\) pairs"),
        ({"cv": [([0, 1], [2])]}, TypeError, r"expected \(train, test\) pairs of Ratings"),
        ({"cv": ms.KFold(10**6)}, ValueError, "there are only"),
        ({"n_jobs": 0}, ValueError, "n_jobs=0 must be at least 1, or -1"),
        ({"n_jobs": -2}, ValueError, "n_jobs=-2"),
        ({"n_jobs": "all"}, TypeError, "n_jobs='all': expected an integer"),
        ({"error_score": "nan"}, TypeError, "error_score='nan': expected a number or 'raise'"),
        ({"return_train_score": 1}, TypeError, "return_train_score=1: expected True or False"),
        ({"estimator": 3}, TypeError, "expected an object with get_params"),
        ({"estimator": mf.MatrixFactorization}, TypeError, "expected an object with get_params"),
        ({"ratings": "ratings.csv"}, TypeError, r"Ratings.read\(path\)"),
    ],
)
def test_bad_arguments_of_cross_validation(named, error, message, R):
    arguments = {"estimator": MeanOnly(fail="exit"), "ratings": R, **named}
    with pytest.raises(error, match=message):
        ms.cross_validate(**arguments)


def test_an_estimator_without_a_score_needs_a_scoring(R):
    class Mute(MeanOnly):
        score = None

    with pytest.raises(TypeError, match="a Mute has no method score; pass scoring="):
        ms.cross_validate(Mute(), R)


# ---- errors of fits ------------------------------------------------------------------------------


def test_a_fit_that_fails_does_not_stop_the_others(R):
    class FailsOnce(MeanOnly):
        count = 0

        def fit(self, ratings, extra=0.0):
            type(self).count += 1
            if self.count == 2:
                raise ArithmeticError("cannot fit")
            return super().fit(ratings)

    with pytest.warns(ms.FitFailedWarning, match="1 of 3 fits or scorings failed(.|\n)*cannot fit"):
        found = ms.cross_validate(FailsOnce(), R, cv=3, return_train_score=True, error_score=-9)
    assert found["test_score"][1] == found["train_score"][1] == -9
    assert np.isnan(found["fit_time"][1])
    assert np.all(found["test_score"][[0, 2]] > -9)


@pytest.mark.parametrize(("fail", "what"), [("fit", "fits"), ("score", "scorings")])
def test_where_all_fail_there_is_nothing_to_report(R, fail, what):
    with pytest.raises(ValueError, match=f"all the 3 {what} failed(.|\n)*cannot {fail}"):
        ms.cross_validate(MeanOnly(fail=fail), R, cv=3)
    with pytest.raises(ArithmeticError, match=f"^cannot {fail}$"):
        ms.cross_validate(MeanOnly(fail=fail), R, cv=3, error_score="raise")


# ---- processes -----------------------------------------------------------------------------------


def test_scores_do_not_depend_on_the_number_of_processes(R):
    named = {
        "cv": 3,
        "scoring": {"rmse": "rmse", "ndcg@5": "ndcg@5", "auc": "auc", "own": largest_error},
        "return_train_score": True,
        "return_estimator": True,
    }
    for solver in ("als", "sgd"):
        estimator = mf.MatrixFactorization(3, max_iter=2, solver=solver)
        alone = ms.cross_validate(estimator, R, **named)
        shared = ms.cross_validate(estimator, R, n_jobs=2, **named)
        for name, column in alone.items():
            if name.startswith(("test_", "train_")):
                assert np.array_equal(shared[name], column)
        for a, b in zip(alone["estimator"], shared["estimator"], strict=True):
            assert bits_of(a) == bits_of(b)
            assert a.get_params() == b.get_params() == estimator.get_params()


def test_processes_share_the_processors(R):
    cores = mf.runtime_info()["n_threads"]
    found = ms.cross_validate(MeanOnly(), R, cv=3, n_jobs=2, return_estimator=True)
    assert [model.threads_seen_ for model in found["estimator"]] == [max(1, cores // 2)] * 3
    assert [model.n_threads for model in found["estimator"]] == [0] * 3
    found = ms.cross_validate(MeanOnly(n_threads=5), R, cv=2, n_jobs=2, return_estimator=True)
    assert [model.threads_seen_ for model in found["estimator"]] == [5] * 2
    found = ms.cross_validate(MeanOnly(), R, cv=2, return_estimator=True)
    assert [model.threads_seen_ for model in found["estimator"]] == [0] * 2


def test_errors_in_processes(R):
    with pytest.raises(ValueError, match=r"all the 2 fits failed(.|\n)*cannot fit"):
        ms.cross_validate(MeanOnly(fail="fit"), R, cv=2, n_jobs=2)
    with pytest.raises(ArithmeticError, match="cannot fit"):
        ms.cross_validate(MeanOnly(fail="fit"), R, cv=2, n_jobs=2, error_score="raise")
    with pytest.raises(RuntimeError, match="a worker process ended by itself"):
        ms.cross_validate(MeanOnly(fail="exit"), R, cv=2, n_jobs=2)


def test_what_cannot_be_sent_is_refused_by_name(R):
    with pytest.raises(TypeError, match=r"n_jobs: .* are sent to other processes, but .*lambda"):
        ms.cross_validate(MODEL, R, n_jobs=2, scoring=lambda model, test: 0.0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
def test_ctrl_c_ends_the_processes(tmp_path):
    # In a terminal the signal reaches all processes of the group: so it does here.
    script = tmp_path / "interrupted.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys, time
            import numpy as np
            import matfac as mf
            from matfac import model_selection as ms

            class Sleeper(mf.MatrixFactorization):
                def fit(self, ratings):
                    os.write(1, b"%d\\n" % os.getpid())  # in one piece
                    time.sleep(600)

            if __name__ == "__main__":
                R = mf.Ratings.from_arrays(np.arange(20) // 4, np.arange(20) % 4)
                try:
                    ms.cross_validate(Sleeper(), R, cv=3, n_jobs=2)
                except KeyboardInterrupt:
                    print("interrupted", flush=True)
            """
        )
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        workers = [int(process.stdout.readline()) for _ in range(2)]
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert output == "interrupted\n" and process.returncode == 0
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def test_importing_does_not_start_what_processes_need():
    code = "import sys, matfac; print('concurrent.futures.process' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
