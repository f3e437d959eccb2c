"""What the recommendation service answers to visitors' ratings that the model cannot take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_build import SERVICE_NOT_BUILT, find_service
from test_service import close_connections, expected, fitted, ranking, running

import matfac as mf
from matfac import _core

pytestmark = [
    pytest.mark.skipif(find_service() is None, reason=SERVICE_NOT_BUILT),
    pytest.mark.xdist_group("service"),
]
__all__ = ["close_connections"]  # a fixture that every test here uses


def save_bare(model: Any, path: Path, metadata: dict[str, str]) -> None:
    """As a program of somebody else's may write a model: factors, ids and little more."""
    ids = (model.user_ids_, model.item_ids_)
    _core.save_model(path, *model._parameters(), *ids, model._seen, metadata)


@pytest.mark.parametrize(
    "metadata", [{}, {"loss": "squared"}, {"regularization": "null", "solver": "sgd"}], ids=str
)
def test_a_model_without_settings_serves_all_but_visitors(
    metadata: dict[str, str], tmp_path: Path
) -> None:
    model = fitted(0)
    save_bare(model, tmp_path / "bare", metadata)
    fitted(0).save(tmp_path / "whole")
    body = {"visitors": [{"items": [9, 4], "ratings": [5.0, 1.5]}]}
    with running(tmp_path / "bare") as service:
        client = service.client()
        assert client.get("/health").status == 200
        assert client.get("/model").body["folds_in"] is False
        answer = client.post("/predict", {"users": [3], "items": [5]})
        assert answer.body["scores"] == model.predict([3], [5]).tolist()
        (result,) = client.get("/recommend?user=3&n=7").body["results"]
        assert ranking(result) == expected(model.recommend(3, 7))
        (result,) = client.get("/similar?item=7&n=4").body["results"]
        assert ranking(result) == expected(model.similar_items(7, 4))
        answer = client.post("/fold-in", body)
        assert answer.status == 409 and "regularization" in answer.body["error"]["message"]
        # And the reverse, while it runs.
        assert client.post("/reload", {"file": "whole"}).body["folds_in"] is True
        assert client.post("/fold-in", body).status == 200
        assert client.post("/reload", {"file": "bare"}).body["folds_in"] is False
        assert client.post("/fold-in", body).status == 409


def test_a_model_whose_settings_are_none_is_still_refused(tmp_path: Path) -> None:
    fitted(0).save(tmp_path / "whole")
    save_bare(fitted(0), tmp_path / "bad", {"max_iter": "x"})
    with running(tmp_path / "whole") as service:
        answer = service.client().post("/reload", {"file": "bad"})
        assert answer.status == 409 and '"max_iter" is "x"' in answer.body["error"]["message"]


def visitors_of(*ratings: list[Any]) -> dict[str, Any]:
    return {"visitors": [{"items": [9, 4, 2][: len(r)], "ratings": r} for r in ratings]}


def model_of(loss: str, dtype: str) -> Any:
    R = mf.datasets.make_ratings(60, 150, 2000, random_state=5)
    settings: dict[str, Any] = {"n_factors": 3, "max_iter": 2, "loss": loss, "dtype": dtype}
    if loss in ("bpr", "implicit_squared"):
        return mf.ImplicitFactorization(**settings).fit(R)
    users, items, values = R.to_arrays()
    if loss == "logistic":
        values = np.where(values > 3, 1, -1)
    R = mf.Ratings.from_arrays(users, items, values)
    return mf.MatrixFactorization(solver="sgd", **settings).fit(R)


@pytest.mark.parametrize(
    ("loss", "dtype", "good", "bad"),
    [
        (
            "logistic",
            "float32",
            [[1, -1], [-1.0]],
            [
                ([[1], [1, 3]], 1, 1, "3 is no label: send 1 for yes and -1 or 0 for no"),
                ([[0.5]], 0, 0, "0.5 is no label"),
                ([[1, 0], [1, 1, -1]], 1, 2, "-1 says no, and so does 0 at position 1 of the"),
            ],
        ),
        ("bpr", "float64", [[2.5]], [([[1, 0]], 0, 1, "0 is not positive")]),
        ("implicit_squared", "float32", [[1]], [([[1, -2.5]], 0, 1, "-2.5 is not positive")]),
        ("kullback_leibler", "float32", [[0, 2]], [([[0, -1]], 0, 1, "-1 is negative")]),
        (
            "squared",
            "float32",
            [[-5, 0]],
            [
                ([[4], [1, 1e300]], 1, 1, "1e+300 is too large"),
                ([[1e39]], 0, 0, "1e+39 is too large"),
            ],
        ),
        ("squared", "float64", [[1e39]], []),
    ],
)
def test_a_rating_that_is_not_allowed_is_named_as_it_was_sent(
    loss: str, dtype: str, good: list[Any], bad: list[Any], tmp_path: Path
) -> None:
    model_of(loss, dtype).save(tmp_path / "m")
    with running(tmp_path / "m") as service:
        client = service.client()
        answer = client.post("/fold-in", visitors_of(*good))
        assert answer.status == 200, answer.text
        for ratings, visitor, position, rule in bad:
            answer = client.post("/fold-in", visitors_of(*ratings))
            message = answer.body["error"]["message"]
            assert answer.status == 400
            place = f"'visitors' at position {visitor}: 'ratings' at position {position}: "
            assert message.startswith(place + rule), message
