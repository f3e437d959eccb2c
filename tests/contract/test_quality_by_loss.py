"""How good each loss is at its defaults, by LIBMF's own measures on its demonstration data.

The floors are what LIBMF prints for the same files and its own defaults (8 factors, 20 iterations,
one thread); ours are means over five seeds with 8 factors, all else being our default. Those were
chosen on parts of training data (docs/solvers.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import matfac as mf

DATA = Path(os.environ.get("MATFAC_DATA") or Path(__file__).parents[3] / "shared" / "data")
DEMO = DATA / "libmf-demo"
LASTFM = DATA / "hetrec2011-lastfm-2k" / "user_artists.dat"
SEEDS = range(5)

needs_demo = pytest.mark.skipif(not DEMO.is_dir(), reason="libmf-demo is not there")


def options(seed: int) -> dict[str, Any]:
    """Data this small are done before a second thread has woken."""
    return {"random_state": seed, "n_threads": 1}


def rmse(r: Any, x: Any, _: Any) -> float:
    return float(np.sqrt(np.mean((r - x) ** 2)))


def mae(r: Any, x: Any, _: Any) -> float:
    return float(np.mean(np.abs(r - x)))


def divergence(r: Any, x: Any, _: Any) -> float:
    return float(np.mean(r * np.log(r / x) - r + x))


def log_loss(r: Any, _: Any, decision: Any) -> float:
    return float(np.mean(np.logaddexp(0, -r * decision)))


def errors(r: Any, x: Any, _: Any) -> float:
    return float(np.mean(r != x))


#: LIBMF's code: data, loss, solver, measure (lower is better), what LIBMF prints.
Row = tuple[str, str, str, Callable[[Any, Any, Any], float], float]
CODES: dict[int, Row] = {
    0: ("real", "squared", "als", rmse, 1.0062),
    1: ("real", "absolute", "als", mae, 0.8136),
    2: ("real", "kullback_leibler", "sgd", divergence, 0.1798),
    5: ("binary", "logistic", "als", log_loss, 0.6456),
    6: ("binary", "squared_hinge", "als", errors, 1 - 0.7287),
    7: ("binary", "hinge", "sgd", errors, 1 - 0.7035),
}


@needs_demo
@pytest.mark.parametrize("code", CODES)
def test_ratings_and_labels_of_libmf(code: int) -> None:
    kind, loss, solver, measure, libmf = CODES[code]
    train, test = (mf.Ratings.read(DEMO / f"{kind}_matrix.{part}.txt") for part in ("tr", "te"))
    ours = []
    for seed in SEEDS:
        model = mf.MatrixFactorization(8, loss=loss, solver=solver, **options(seed)).fit(train)
        r, x = test.values.astype(float), model.predict(test).astype(float)
        is_of_labels = hasattr(model, "decision_function")
        ours.append(measure(r, x, model.decision_function(test) if is_of_labels else None))
    assert np.mean(ours) <= libmf


def mean_percentile_rank_and_auc(scores: Any, chosen: Any) -> tuple[float, float]:
    """As LIBMF computes them, row by row: ties with what is not held out count against.

    MPR is a mean over held-out pairs, AUC over rows.
    """
    misses = n_chosen = 0.0
    areas = []
    for n in np.unique(chosen[:, 0]):
        items = np.unique(chosen[chosen[:, 0] == n, 1])
        own = scores[n, items][:, None]
        above = np.sum(scores[n] >= own, axis=1) - np.sum(scores[n, items] >= own, axis=1)
        n_others = scores.shape[1] - len(items)
        misses += np.sum(above) / n_others
        n_chosen += len(items)
        areas.append(1 - np.mean(above) / n_others)
    return misses / n_chosen, float(np.mean(areas))


#: LIBMF's code: loss, by rows or by columns, and the MPR and AUC that LIBMF prints.
ONE_CLASS: dict[int, tuple[str, bool, float, float]] = {
    10: ("bpr", False, 0.2670, 0.7029),
    11: ("bpr", True, 0.2657, 0.6994),
    12: ("implicit_squared", False, 0.1807, 0.8467),
}


@needs_demo
@pytest.mark.parametrize("code", ONE_CLASS)
def test_choices_of_libmf(code: int) -> None:
    loss, by_column, libmf_mpr, libmf_auc = ONE_CLASS[code]
    parts = [
        np.loadtxt(DEMO / f"all_one_matrix.{part}.txt", usecols=(0, 1), dtype=np.int32)
        for part in ("tr", "te")
    ]
    shape = tuple(1 + np.max(np.concatenate(parts), axis=0))  # LIBMF counts all numbers up to these
    train, test = parts
    R = mf.Ratings.from_csr(
        sp.csr_array((np.ones(len(train), "float32"), (train[:, 0], train[:, 1])), shape=shape)
    )
    found = []
    for seed in SEEDS:
        model = mf.ImplicitFactorization(8, loss=loss, compare_users=by_column, **options(seed))
        model.fit(R)
        scores = model.user_factors_ @ model.item_factors_.T
        if model.item_biases_ is not None:
            scores += model.item_biases_ + model.user_biases_[:, None]
        found.append(
            mean_percentile_rank_and_auc(scores.T, test[:, ::-1])
            if by_column
            else mean_percentile_rank_and_auc(scores, test)
        )
    mpr, auc = np.mean(found, axis=0)
    assert mpr <= libmf_mpr
    assert auc >= libmf_auc


#: loss -> what is passed of a play count, settings (both chosen by a validation part, by
#: tools/ranking_comparison.py), and precision, recall and NDCG at 10 that implicit's ALS (BPR)
#: reaches on this test part, tuned on the same validation part.
PLAYS: dict[str, tuple[Callable[[Any], Any], dict[str, Any], tuple[float, float, float]]] = {
    "implicit_squared": (
        np.log1p,
        {"unobserved_weight": 0.1, "regularization": 0.6, "max_iter": 8},
        (0.1977, 0.2220, 0.2556),
    ),
    "bpr": (np.ones_like, {}, (0.1394, 0.1533, 0.1798)),
    "warp": (np.ones_like, {}, (0.1394, 0.1533, 0.1798)),
}


@pytest.mark.skipif(not LASTFM.is_file(), reason="hetrec2011-lastfm-2k is not there")
@pytest.mark.filterwarnings("ignore:.*are of users or items that the model does not have")
@pytest.mark.parametrize("loss", PLAYS)
def test_what_people_listen_to(loss: str) -> None:
    """A fifth of each user's artists is held out, with seed 0; 64 factors."""
    strength, settings, floors = PLAYS[loss]
    users, items, plays = np.loadtxt(LASTFM, np.int64, skiprows=1).T
    everything = mf.Ratings.from_arrays(users, items, plays)
    train, test = next(mf.model_selection.UserSplit(0.2, random_state=0).split(everything))
    users, items, plays = train.to_arrays()
    chosen = mf.Ratings.from_arrays(users, items, strength(plays), dtype="float32")
    model = mf.ImplicitFactorization(64, loss=loss, **settings).fit(chosen)
    names = ("precision", "recall", "ndcg")
    found = mf.metrics.evaluate_ranking(model, test, 10, measures=names)
    assert all(found[name] >= 0.99 * floor for name, floor in zip(names, floors, strict=True))
