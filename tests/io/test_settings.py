"""The settings of a fit in its file: what Python writes C++ reads, and the reverse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import bits, bits_of
from matfac import _core

#: What says how to run, and what the format keeps itself.
NOT_KEPT = {"init", "n_threads"}
#: Values that are no defaults, by the class that has the parameter.
RATINGS = {
    "n_factors": 3,
    "loss": "huber",
    "huber_threshold": 0.3,
    "regularization": (0.1, 1 / 3),
    "bias_regularization": 2.0,
    "l1_regularization": (0.0, 1e-7),
    "regularization_exponent": 0.75,
    "nonnegative": False,
    "learning_rate": 0.15,
    "row_solver": "cholesky",
    "cg_steps": 5,
    "subspace_size": 16,
    "max_iter": 2,
    "tol": 1e-9,
    "patience": 5,
    "init_std": 0.125,
    "random_state": 2**64 - 1,
}
CHOICES = {
    "n_factors": 3,
    "loss": "warp",
    "solver": "sgd",
    "max_trials": 5,
    "negatives": "popularity",
    "max_iter": 2,
    "random_state": 7,
}
CONFIDENCE = {"n_factors": 3, "unobserved_weight": 0.5, "confidence_scale": 4.0, "max_iter": 2}


@pytest.fixture(scope="module")
def R() -> mf.Ratings:
    return mf.datasets.make_ratings(60, 40, 600, random_state=2)


def settings_of(settings: Any) -> dict[str, Any]:
    names = {name for name in dir(settings) if not name.startswith("_") and name != "validate"}
    return {name: getattr(settings, name) for name in names - NOT_KEPT}


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The reports of the core, one a fit."""
    reports = []
    fit = _core.fit

    def remember(*arguments: Any) -> Any:
        reports.append(fit(*arguments))
        return reports[-1]

    monkeypatch.setattr(_core, "fit", remember)
    return reports


def models() -> list[Any]:
    losses = ("squared", "absolute", "huber", "kullback_leibler", "logistic", "hinge")
    return [
        mf.MatrixFactorization(**RATINGS),
        mf.MatrixFactorization(3, row_solver="conjugate_gradient", cg_steps=5, max_iter=2),
        *(mf.MatrixFactorization(3, loss=loss, solver="sgd", max_iter=2) for loss in losses),
        mf.MatrixFactorization(3, solver="ccd", nonnegative=True, biases=False, max_iter=2),
        mf.MatrixFactorization(3, solver="batch", loss="squared_hinge", max_iter=2),
        mf.ImplicitFactorization(**CHOICES),
        mf.ImplicitFactorization(**CONFIDENCE),
        mf.ImplicitFactorization(3, loss="bpr", compare_users=True, max_iter=2),
    ]


def data_for(model: Any, R: mf.Ratings) -> mf.Ratings:
    """Return R, as labels where the loss wants them."""
    if model.loss not in ("logistic", "hinge", "squared_hinge"):
        return R
    return mf.Ratings.from_arrays(*R.to_arrays()[:2], (R.values > 3).astype("float32"))


def fitted(model: Any, R: mf.Ratings) -> Any:
    if model.random_state is None:
        model.set_params(random_state=11)
    return model.fit(data_for(model, R))


@pytest.mark.parametrize("model", models(), ids=repr)
def test_the_core_reads_from_a_file_what_the_fit_used(
    model: Any, R: mf.Ratings, used: list[dict[str, Any]], tmp_path: Path
) -> None:
    fitted(model, R).save(tmp_path / "m")
    expected = settings_of(used[0]["settings"])
    if model.loss != "huber":
        expected["huber_threshold"] = None  # is resolved for all, and means something for one
    if model.loss != "implicit_squared":
        expected["confidence_scale"] = None
    found = settings_of(_core.ModelFile(tmp_path / "m").settings())
    for name in ("init_std", "nonnegative"):  # matter for a start only; the file has what was asked
        if name == "init_std" and getattr(model, name, None) is None:
            del found[name], expected[name]
    if model.loss == "kullback_leibler":
        del found["nonnegative"], expected["nonnegative"]  # always, whatever the setting says
    assert found == expected


@pytest.mark.parametrize("model", models(), ids=repr)
def test_entries_of_the_core_make_the_same_model_in_python(
    model: Any, R: mf.Ratings, used: list[dict[str, Any]], tmp_path: Path
) -> None:
    data = data_for(model, R)
    fitted(model, R).save(tmp_path / "python")
    entries = used[0]["metadata"]
    by_python = _core.load_model(tmp_path / "python")["metadata"]
    found = {
        "history_",
        "n_iter_",
        "best_iteration_",
        "stop_reason_",
        "estimator",
        "loss",
        "solver",
    }
    for name in (
        found | {"regularization_", "bias_regularization_", "huber_threshold_", "confidence_scale_"}
    ) & set(by_python):
        assert entries[name] == by_python[name], name
    _core.save_model(
        tmp_path / "core", *model._parameters(), model.user_ids_, model.item_ids_, None, entries
    )
    loaded = mf.load(tmp_path / "core")
    assert type(loaded) is type(model)
    assert bits_of(loaded) == bits_of(model)
    assert bits(loaded.predict(data)) == bits(model.predict(data))
    assert loaded.history_ == {k: v for k, v in model.history_.items() if k != "seconds"}
    for name, value in model.get_params().items():
        if value is not None and name not in ("n_threads", "init", "verbose", "nonnegative"):
            expected = (
                (value, value) if name.endswith("regularization") and np.isscalar(value) else value
            )
            assert np.array_equal(getattr(loaded, name), expected), name
    if model.loss in ("squared", "huber", "implicit_squared"):
        assert bits(loaded.fold_in(data)) == bits(model.fold_in(data))
    assert bits_of(loaded.fit(data)) == bits_of(model)


def test_no_setting_is_forgotten(R: mf.Ratings, used: list[dict[str, Any]]) -> None:
    mf.MatrixFactorization(2, max_iter=1).fit(R)
    names = set(settings_of(used[0]["settings"])) - {"n_factors", "seed"}
    assert names | {"random_state"} <= set(used[0]["metadata"])


def test_what_is_no_setting_is_refused_by_name(R: mf.Ratings, tmp_path: Path) -> None:
    model = mf.MatrixFactorization(2, max_iter=1).fit(R)
    parameters = (*model._parameters(), model.user_ids_, model.item_ids_, None)
    _core.save_model(tmp_path / "m", *parameters, {"tol": "much"})
    with pytest.raises(mf.ModelFileError, match=r'm: .*"tol" is "much": expected a number'):
        _core.ModelFile(tmp_path / "m").settings()
    with pytest.raises(FileNotFoundError):
        _core.ModelFile(tmp_path / "none").settings()
    both = {"regularization": json.dumps(1), "bias_regularization": "[2, 3.5]"}
    _core.save_model(tmp_path / "m", *parameters, {"loss": "bpr", **both})
    assert _core.ModelFile(tmp_path / "m").settings().solver == "sgd"
    assert _core.ModelFile(tmp_path / "m").settings().regularization == (1.0, 1.0)


#: Entries that no fit has written, and what their refusal says beside their name.
WRONG = [
    ({"history_": "5"}, "an object of lists of numbers"),
    ({"history_": "[1, 2]"}, "an object of lists of numbers"),
    ({"history_": '{"objective": 1}'}, "an object of lists of numbers"),
    ({"history_": '{"objective": [[1]]}'}, "an object of lists of numbers"),
    ({"history_": '{"objective": ["1"]}'}, "an object of lists of numbers"),
    ({"history_": '{"objective": [1,]}'}, "an object of lists of numbers"),
    ({"history_": '{"objective": [1]'}, "an object of lists of numbers"),
    ({"history_": '{"objective": [1]} x'}, "an object of lists of numbers"),
    ({"history_": "null"}, "an object of lists of numbers"),
    ({"max_iter": "x"}, "an integer in"),
    ({"max_iter": "2.5"}, "an integer in"),
    ({"max_iter": "0"}, "at least 1"),
    ({"tol": '"0.5"'}, "a number"),
    ({"nonnegative": "1"}, "true or false"),
    ({"loss": "tweedie"}, "choose one of 'squared'"),
    ({"loss": "null"}, "choose one of 'squared'"),
    ({"solver": "magic"}, "choose one of 'als'"),
    ({"solver": "ccd", "loss": "hinge"}, "does not support loss 'hinge'"),
    ({"n_iter_": "many"}, "an integer in"),
    ({"n_iter_": "-1"}, "at least 0"),
    ({"best_iteration_": "null"}, "an integer in"),
    ({"stop_reason_": "boredom"}, "one of 'max_iter', 'converged'"),
    ({"classes_": "[0, 2]"}, r"\[0, 1\] or \[-1, 1\]"),
    ({"classes_": "[1, 0]", "loss": "hinge", "solver": "sgd"}, r"\[0, 1\] or \[-1, 1\]"),
    ({"estimator": "Forest"}, "'MatrixFactorization' or 'ImplicitFactorization'"),
    ({"estimator": "MatrixFactorization", "loss": "bpr"}, "loss 'bpr' is one of 'Implicit"),
    ({"estimator": "ImplicitFactorization", "loss": "squared"}, "loss 'squared' is one of 'Matrix"),
    ({"regularization": "0.5"}, 'without "bias_regularization": .* needs both'),
    (
        {"regularization_": "[1, 2]", "bias_regularization_": "null"},
        'without "bias_regularization"',
    ),
    ({"bias_regularization": "0.5"}, 'without "regularization"'),
    ({"random_state": '"7"'}, "an integer in"),
]


@pytest.mark.parametrize(("entries", "rule"), WRONG, ids=str)
@pytest.mark.parametrize("verify", [False, True])
def test_entries_that_no_fit_has_written_are_refused_alike(
    entries: dict[str, str], rule: str, verify: bool, R: mf.Ratings, tmp_path: Path
) -> None:
    model = mf.MatrixFactorization(2, max_iter=1).fit(R)
    parameters = (*model._parameters(), model.user_ids_, model.item_ids_, None)
    _core.save_model(tmp_path / "m", *parameters, entries)
    found = []
    for ask in (mf.load, lambda *how, **more: _core.ModelFile(*how, **more).settings()):
        with pytest.raises(mf.ModelFileError, match=rule) as caught:
            ask(tmp_path / "m", verify_checksum=verify)
        found.append(str(caught.value))
    assert found[0] == found[1]
    assert found[0].startswith(f"{tmp_path / 'm'}: ")
    assert any(name in found[0] for name in entries)


@pytest.mark.parametrize(
    "entries",
    [
        {},
        {"note": "history_", "loss_of_mine": "5"},
        {"history_": '{"objective": [1, null, NaN, -Infinity, 1e-3], "eval_rmse": []}'},
        {"history_": " { } "},
        {"classes_": "[-1.0, 1.0]", "loss": "logistic", "solver": "sgd"},
        {"classes_": "[0, 1]"},  # of another loss, which has no use for them
        {"max_iter": "null", "solver": "null", "regularization_": "null"},
        {"regularization": "2", "bias_regularization": "[1, 3]", "regularization_": "null"},
        {"random_state": "null", "estimator": "MatrixFactorization"},
    ],
    ids=str,
)
def test_entries_that_a_fit_may_have_written_load(
    entries: dict[str, str], R: mf.Ratings, tmp_path: Path
) -> None:
    model = mf.MatrixFactorization(2, max_iter=1).fit(R)
    parameters = (*model._parameters(), model.user_ids_, model.item_ids_, None)
    _core.save_model(tmp_path / "m", *parameters, entries)
    loaded = mf.load(tmp_path / "m")
    settings = _core.ModelFile(tmp_path / "m").settings()
    assert bits(*loaded._parameters()) == bits(*model._parameters())
    assert np.isfinite(loaded.predict([3], [4])).all()
    assert hasattr(loaded, "classes_") is (loaded.loss == "logistic")
    for name in ("loss", "solver", "max_iter"):
        assert getattr(loaded, name) == getattr(settings, name)
    assert getattr(loaded, "regularization_", None) == settings.regularization
    loaded.set_params(max_iter=2).fit(data_for(loaded, R))


def test_penalties_of_biases_are_not_asked_of_a_model_without(
    R: mf.Ratings, tmp_path: Path
) -> None:
    model = mf.MatrixFactorization(2, biases=False, regularization=2.0, max_iter=1).fit(R)
    parameters = (*model._parameters(), model.user_ids_, model.item_ids_, None)
    _core.save_model(tmp_path / "m", *parameters, {"regularization": "2"})
    assert bits(mf.load(tmp_path / "m").fold_in(R)) == bits(model.fold_in(R))


def test_a_class_without_a_loss_has_its_own(R: mf.Ratings, tmp_path: Path) -> None:
    model = mf.ImplicitFactorization(2, max_iter=1).fit(R)
    parameters = (*model._parameters(), model.user_ids_, model.item_ids_, None)
    _core.save_model(tmp_path / "m", *parameters, {"estimator": "ImplicitFactorization"})
    assert mf.load(tmp_path / "m").loss == "implicit_squared"
    settings = _core.ModelFile(tmp_path / "m").settings()
    assert (settings.loss, settings.solver) == ("implicit_squared", "als")


def test_more_factors_than_a_fit_allows_still_load(tmp_path: Path) -> None:
    wide, ids = np.ones((2, 70_000), np.float32), np.arange(2)
    _core.save_model(tmp_path / "m", wide, wide, None, None, 0.0, ids, ids, None, {})
    assert mf.load(tmp_path / "m").predict(1, 1) == 70_000
    assert _core.ModelFile(tmp_path / "m").settings().n_factors == 70_000
