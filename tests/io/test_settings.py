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
    _core.save_model(tmp_path / "m", *parameters, {"loss": "bpr", "regularization": json.dumps(1)})
    assert _core.ModelFile(tmp_path / "m").settings().solver == "sgd"
    assert _core.ModelFile(tmp_path / "m").settings().regularization == (1.0, 1.0)
