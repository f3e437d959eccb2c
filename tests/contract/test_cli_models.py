"""The command line with other losses than the squared one, weights, and choices."""

from __future__ import annotations

import json

import numpy as np
import pytest

import matfac as mf
from conftest import bits

FEW = ("--n-factors", "4", "--max-iter", "3")


@pytest.fixture
def clicks(R, tmp_path):
    """A file of users and items alone."""
    path = tmp_path / "clicks.csv"
    users, items, _ = R.to_arrays()
    rows = zip(users.tolist(), items.tolist(), strict=True)
    path.write_text("user,item\n" + "".join(f"{u},{i}\n" for u, i in rows))
    return path


@pytest.mark.parametrize("loss", ["implicit_squared", "bpr", "warp"])
def test_choices_are_trained_measured_and_recommended(loss, clicks, tmp_path, call):
    path = tmp_path / "model.safetensors"
    how = ("--loss", loss, "--no-rating", "--test-fraction", "0.2", "--json")
    code, out, err = call("train", clicks, "-o", path, *FEW, *how)
    assert code == 0, err
    found = json.loads(out)
    assert {"train_loss", "eval_ndcg@10", "n_test"} <= found.keys() and "eval_rmse" not in found
    model = mf.load(path)
    assert type(model) is mf.ImplicitFactorization and model.loss == loss
    train, test = mf.Ratings.read(clicks, rating=False).split(0.2, random_state=0)
    again = mf.ImplicitFactorization(4, max_iter=3, loss=loss).fit(train, test)
    assert bits(*again._parameters()) == bits(*model._parameters())
    assert found["eval_ndcg@10"] == again.score(test)

    code, out, err = call("evaluate", path, clicks, "--no-rating", "-n", "3", "--json")
    assert code == 0, err
    measured = json.loads(out)
    expected = mf.metrics.evaluate_ranking(model, test, 3, measures=["ndcg", "auc", "recall"])
    assert measured["ndcg@3"] == pytest.approx(expected["ndcg"])
    assert measured["recall@3"] == pytest.approx(expected["recall"])
    assert measured["auc"] == pytest.approx(expected["auc"])
    assert measured["n_ratings"] == train.nnz + test.nnz

    code, out, _ = call("recommend", path, "--users", "3", "-n", "4", "--json")
    (listed,) = json.loads(out)
    assert [entry["item"] for entry in listed["items"]] == model.recommend(3, 4).ids.tolist()


def test_labels_are_trained_measured_and_predicted(R, tmp_path, call):
    path, file = tmp_path / "model.safetensors", tmp_path / "labels.tsv"
    users, items, values = R.to_arrays()
    labels = np.where(values >= 3.5, 1, -1)
    rows = zip(users.tolist(), items.tolist(), labels.tolist(), strict=True)
    file.write_text("".join(f"{u}\t{i}\t{y}\n" for u, i, y in rows))
    how = ("--loss", "logistic", "--test-fraction", "0.2", "--json")
    code, out, err = call("train", file, "-o", path, *FEW, *how)
    assert code == 0, err
    assert {"train_loss", "eval_accuracy"} <= json.loads(out).keys()
    model = mf.load(path)
    assert model.classes_.tolist() == [-1, 1]
    read = mf.Ratings.read(file)
    code, out, _ = call("evaluate", path, file, "--json")
    measured = json.loads(out)
    assert code == 0 and measured["accuracy"] == model.score(read)
    y, x = read.values.astype(float), model.decision_function(read).astype(float)
    assert measured["log_loss"] == pytest.approx(np.mean(np.logaddexp(0, -y * x)), rel=1e-5)
    code, out, _ = call("predict", path, "--users", "3", "--items", "5", "--json")
    assert json.loads(out)[0]["prediction"] in (-1, 1)


def test_parameters_of_the_losses(R, ratings, tmp_path, call):
    path = tmp_path / "model.safetensors"
    how = ("--loss", "huber", "--huber-threshold", "0.5", "--l1-regularization", "0.1", "0.2")
    code, out, err = call("train", ratings, "-o", path, *FEW, *how, "--no-biases", "--json")
    assert code == 0, err
    model = mf.load(path)
    assert (model.huber_threshold, model.huber_threshold_) == (0.5, 0.5)
    assert model.l1_regularization == (0.1, 0.2)
    assert json.loads(out)["train_loss"] == model.history_["train_loss"][-1]
    code, out, _ = call("evaluate", path, ratings, "--json")
    assert json.loads(out)["rmse"] == pytest.approx(model.score(R))


def test_a_column_of_weights(R, tmp_path, call):
    path, file = tmp_path / "model.safetensors", tmp_path / "weighted.csv"
    users, items, values = (column.tolist() for column in R.to_arrays())
    weights = np.random.default_rng(0).integers(1, 5, R.nnz).tolist()
    rows = zip(users, items, values, weights, strict=True)
    file.write_text(
        "user,item,stars,trust\n" + "".join(f"{u},{i},{r},{q}\n" for u, i, r, q in rows)
    )
    code, _, err = call("train", file, "-o", path, *FEW, "--weight", "trust")
    assert code == 0, err
    assert "weight = 'trust'" in err
    same = mf.Ratings.from_arrays(users, items, np.float32(values), weights=weights)
    expected = mf.MatrixFactorization(4, max_iter=3).fit(same)
    assert bits(*mf.load(path)._parameters()) == bits(*expected._parameters())
    code, out, _ = call("evaluate", path, file, "--weight", "trust", "--json")
    assert json.loads(out)["rmse"] == expected.score(same)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("--loss", "bpr", "--huber-threshold", "1"), "--huber-threshold is an option of other"),
        (("--max-trials", "3"), "--max-trials is an option of loss implicit_squared, bpr and warp"),
        (("--loss", "hinge"), "'als' does not support loss 'hinge'"),
        (("--loss", "bpr", "--solver", "ccd"), "the loss is supported by 'sgd'"),
        (("--loss", "logistic"), "is no label: loss 'logistic' takes"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, match, ratings, tmp_path, call):
    path = tmp_path / "model.safetensors"
    code, out, err = call("train", ratings, "-o", path, *arguments)
    assert code == 1 and out == "" and match in err.splitlines()[-1]
    assert not path.exists()
