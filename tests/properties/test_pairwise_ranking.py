"""What pairwise ranking promises whatever the data: who moves, how it is measured, how good."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matfac import _core

DATA = Path(os.environ.get("MATFAC_DATA") or Path(__file__).parents[3] / "shared" / "data")
LOSSES = ("bpr", "warp")
each_loss = pytest.mark.parametrize("loss", LOSSES)


def native(users: np.ndarray, items: np.ndarray, shape: tuple[int, int]) -> _core.RatingsF32:
    """Interactions, by codes."""
    order = np.lexsort((items, users))
    offsets = np.searchsorted(users[order], np.arange(shape[0] + 1))
    ones = np.ones(len(items), np.float32)
    return _core.RatingsF32(shape[1], offsets, items[order].astype(np.int32), ones)


def fit(
    train: _core.RatingsF32, held_out: _core.RatingsF32 | None = None, **settings: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    chosen = _core.Settings()
    chosen.solver = "sgd"
    for name, value in settings.items():
        setattr(chosen, name, value)
    n_users, n_items = len(train.offsets) - 1, train.n_items
    shapes = (n_users, chosen.n_factors), (n_items, chosen.n_factors), n_users, n_items
    parts = tuple(np.zeros(shape, np.float32) for shape in shapes)
    report = _core.fit(train, chosen, *parts, held_out, None)
    return parts, report


def mean_auc(parts: tuple[Any, ...], train: _core.RatingsF32, relevant: _core.RatingsF32) -> float:
    """The mean over users of the share of pairs in the right order, unknown items only."""
    U, V, _, c = parts
    shares = []
    for n in range(len(U)):
        wanted = relevant.items[relevant.offsets[n] : relevant.offsets[n + 1]]
        seen = train.items[train.offsets[n] : train.offsets[n + 1]]
        kinds = np.zeros(len(V), int)
        kinds[wanted] = 1
        kinds[seen] = 2
        scores = V @ U[n] + c
        good, other = scores[kinds == 1], np.sort(scores[kinds == 0])
        if len(good) and len(other):
            below = np.searchsorted(other, good, "left") + np.searchsorted(other, good, "right")
            shares.append(np.mean(below) / 2 / len(other))
    return float(np.mean(shares))


@pytest.fixture(scope="module")
def problem() -> tuple[_core.RatingsF32, _core.RatingsF32, np.ndarray]:
    """Users who choose within their group of items, some of it held out; the items' groups."""
    rng = np.random.default_rng(0)
    groups = rng.integers(5, size=120)
    chosen = rng.random((300, 120)) < np.where(rng.integers(5, size=(300, 1)) == groups, 0.5, 0.02)
    held = chosen & (rng.random(chosen.shape) < 0.2)
    train, held_out = (native(*np.nonzero(mask), chosen.shape) for mask in (chosen & ~held, held))
    return train, held_out, groups


@each_loss
@pytest.mark.parametrize("negatives", ["uniform", "popularity"])
def test_what_belongs_together_is_found(problem, loss, negatives):
    train, held_out, _ = problem
    settings = {"loss": loss, "negatives": negatives, "n_factors": 8, "max_iter": 15}
    parts, report = fit(train, held_out, **settings)
    losses = [h["eval_loss"] for h in report["history"]]
    assert losses[-1] < 0.7 * losses[0]
    # Perfect knowledge of the groups gives about 0.87.
    assert mean_auc(parts, train, held_out) > 0.85


@each_loss
def test_early_stopping_gives_back_the_best(problem, loss):
    train, held_out, _ = problem
    settings = {"loss": loss, "n_factors": 32, "regularization": (0, 0), "early_stopping": True}
    _, report = fit(train, held_out, max_iter=200, **settings)
    losses = [h["eval_loss"] for h in report["history"]]
    assert report["stop_reason"] == "early_stopping"
    assert report["best_iteration"] == np.argmin(losses) + 1 == len(losses) - 3


@each_loss
def test_a_user_with_every_item_has_no_step_and_harms_nobody(loss):
    users, items = np.nonzero(np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 1, 0, 0]]))
    parts, _ = fit(native(users, items, (3, 4)), loss=loss, n_factors=3, max_iter=2)
    start, _ = fit(native(users, items, (3, 4)), loss=loss, n_factors=3, learning_rate=1e-9)
    np.testing.assert_array_equal(parts[0][0], start[0][0])
    assert np.all(parts[0][1:] != start[0][1:]) and not np.any(parts[2])
    everything = native(*np.nonzero(np.ones((2, 3))), (2, 3))
    _, report = fit(everything, everything, loss=loss, n_factors=3, max_iter=2)
    assert [h["train_loss"] for h in report["history"]] == [0, 0]
    assert np.isnan(report["history"][0]["eval_loss"])
    with pytest.raises(ValueError, match="early_stopping has nothing to compare"):
        fit(everything, everything, loss=loss, n_factors=3, max_iter=2, early_stopping=True)


@each_loss
def test_weights_of_one_change_nothing_and_weights_of_zero_hide(problem, loss):
    train = problem[0]
    ones = np.ones(len(train.items), np.float32)
    weighted = _core.RatingsF32(train.n_items, train.offsets, train.items, ones, ones)
    settings = {"loss": loss, "n_factors": 4, "max_iter": 2}
    for plain, same in zip(fit(train, **settings)[0], fit(weighted, **settings)[0], strict=True):
        np.testing.assert_array_equal(plain, same)
    none = _core.RatingsF32(train.n_items, train.offsets, train.items, ones, 1e-9 * ones)
    settings |= {"regularization": (0, 0)}
    moved, start = fit(none, **settings)[0], fit(train, learning_rate=1e-9, **settings)[0]
    np.testing.assert_allclose(moved[0], start[0], atol=1e-6)


def read_fold(number: int) -> list[_core.RatingsF32]:
    parts = []
    for part in ("base", "test"):
        table = np.loadtxt(DATA / "ml-100k" / f"u{number}.{part}", dtype=np.int64)
        table = table[table[:, 2] >= 4]
        parts.append(native(table[:, 0] - 1, table[:, 1] - 1, (943, 1682)))
    return parts


@pytest.mark.skipif(not (DATA / "ml-100k").is_dir(), reason="ml-100k is not there")
@pytest.mark.parametrize(("loss", "least"), [("bpr", 0.92), ("warp", 0.92)])
def test_the_ranking_of_movielens_100k_with_default_settings(loss, least):
    """The published folds, ratings of at least 4 being what was chosen: mean AUC over users."""
    found = []
    for number in range(1, 6):
        train, test = read_fold(number)
        found.append(mean_auc(fit(train, loss=loss)[0], train, test))
    assert np.mean(found) >= least


def test_labels_and_zeros_are_refused():
    zero = _core.RatingsF32(3, np.array([0, 2]), np.array([0, 1], np.int32), np.float32([1, 0]))
    for loss in LOSSES:
        with pytest.raises(ValueError, match=r"rating 0 at entry 1 .* is not positive"):
            fit(zero, loss=loss)
    with pytest.raises(ValueError, match="'als' does not support loss 'bpr'"):
        fit(zero, loss="bpr", solver="als")
