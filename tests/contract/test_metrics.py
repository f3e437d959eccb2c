"""`matfac.metrics` against plain loops, worked examples, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import matfac as mf
from matfac import metrics

RANKING = [
    "precision_at",
    "recall_at",
    "hit_rate_at",
    "reciprocal_rank_at",
    "average_precision_at",
    "ndcg_at",
]

# ---- errors --------------------------------------------------------------------------------------


def test_errors_by_hand():
    assert metrics.rmse([1, 2, 3, 4], [2, 2, 3, 2]) == pytest.approx(math.sqrt(5 / 4))
    assert metrics.mse([1, 2, 3, 4], [2, 2, 3, 2]) == pytest.approx(5 / 4)
    assert metrics.mae([1, 2, 3, 4], [2, 2, 3, 2]) == pytest.approx(3 / 4)
    assert metrics.rmse([5], [5]) == 0 and isinstance(metrics.rmse([5], [5]), float)


def test_errors_against_scikit_learn():
    learn = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    true, predicted = generator.normal(size=(2, 1001))
    assert metrics.mse(true, predicted) == pytest.approx(learn.mean_squared_error(true, predicted))
    assert metrics.mae(true, predicted) == pytest.approx(learn.mean_absolute_error(true, predicted))


def test_errors_are_computed_in_double():
    # The square leaves the range of float32, and the difference that of unsigned integers.
    assert metrics.mse(np.float32([1e25]), np.float32([0])) == pytest.approx(1e50)
    assert metrics.mae(np.uint8([1]), np.uint8([2])) == 1


@given(arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e6, 1e6)), st.floats(-100, 100))
@settings(deadline=None)
def test_a_constant_error_is_its_own_measure(true, shift):
    predicted = true + shift
    for measure in (metrics.rmse, metrics.mae):
        assert measure(true, predicted) == pytest.approx(abs(shift), abs=1e-8)
        assert measure(true, predicted) == measure(predicted, true)


@pytest.mark.parametrize("measure", [metrics.rmse, metrics.mse, metrics.mae])
@pytest.mark.parametrize(
    ("true", "predicted", "error", "message"),
    [
        ([1, 2], [1], ValueError, "y_true has 2 entries and y_pred 1"),
        ([], [], ValueError, "are empty"),
        ([1, float("nan")], [1, 2], ValueError, "y_true: nan at position 1 is not finite"),
        ([1, 2], [float("inf"), 2], ValueError, "y_pred: inf at position 0 is not finite"),
        ([[1, 2]], [1, 2], ValueError, r"y_true: expected one dimension, got shape \(1, 2\)"),
        (3, 3, ValueError, r"got shape \(\)"),
        (["a"], [1], TypeError, "y_true: expected numbers"),
        ([1], [True], TypeError, "y_pred: expected numbers"),
    ],
)
def test_bad_predictions(measure, true, predicted, error, message):
    with pytest.raises(error, match=message):
        measure(true, predicted)


# ---- ranking, by hand ----------------------------------------------------------------------------

RECOMMENDED = [[1, 2, 3, 4], [9, 8, 7, 6], [5, 1, 2, 3], [1, 2, 3, 4]]
RELEVANT = [{2, 4, 50}, {1}, {5}, set()]  # two hits at ranks 2 and 4; none; one at rank 1; left out


@pytest.mark.parametrize(
    ("name", "n", "expected"),
    [
        ("precision_at", 4, (2 / 4 + 0 + 1 / 4) / 3),
        ("precision_at", 1, (0 + 0 + 1) / 3),
        ("recall_at", 4, (2 / 3 + 0 + 1) / 3),
        ("recall_at", 2, (1 / 3 + 0 + 1) / 3),
        ("hit_rate_at", 4, 2 / 3),
        ("hit_rate_at", 1, 1 / 3),
        ("reciprocal_rank_at", 4, (1 / 2 + 0 + 1) / 3),
        ("average_precision_at", 4, ((1 / 2 + 2 / 4) / 3 + 0 + 1) / 3),
        ("average_precision_at", 2, ((1 / 2) / 2 + 0 + 1) / 3),
        (
            "ndcg_at",
            4,
            ((1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3) + 1 / 2) + 0 + 1) / 3,
        ),
        ("ndcg_at", 1, 1 / 3),
    ],
)
def test_ranking_by_hand(name, n, expected):
    result = getattr(metrics, name)(RECOMMENDED, RELEVANT, n)
    assert isinstance(result, float) and result == pytest.approx(expected)


@pytest.mark.parametrize("name", RANKING)
def test_perfect_and_hopeless_lists(name):
    measure = getattr(metrics, name)
    assert measure([[1, 2], [3, 4]], [[1, 2], [4, 3]], 2) == 1
    assert measure([[5, 6], [7, 8]], [[1, 2], [4, 3]], 2) == 0


def test_ndcg_against_scikit_learn():
    learn = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(1)
    right = generator.random((40, 12)) < 0.3
    right[0] = False
    scores = generator.normal(size=(40, 12))
    lists = np.argsort(-scores, axis=1)
    relevant = [np.flatnonzero(row).tolist() for row in right]
    kept = right.any(axis=1)
    for n in (1, 5, 12):
        expected = learn.ndcg_score(right[kept], scores[kept], k=n)
        assert metrics.ndcg_at(lists, relevant, n) == pytest.approx(expected)


# ---- ranking, against plain loops ----------------------------------------------------------------


def by_loops(name, recommended, relevant, n):
    results = []
    for row, right in zip(recommended, relevant, strict=True):
        if not right:
            continue
        hits = [label in right for label in row[:n]]
        ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
        results.append(
            {
                "precision_at": len(ranks) / n,
                "recall_at": len(ranks) / len(right),
                "hit_rate_at": float(bool(ranks)),
                "reciprocal_rank_at": 1 / ranks[0] if ranks else 0,
                "average_precision_at": sum(i / rank for i, rank in enumerate(ranks, 1))
                / min(n, len(right)),
                "ndcg_at": sum(1 / math.log2(rank + 1) for rank in ranks)
                / sum(1 / math.log2(rank + 1) for rank in range(1, min(n, len(right)) + 1)),
            }[name]
        )
    return sum(results) / len(results)


@pytest.mark.parametrize("name", RANKING)
@given(st.data())
@settings(deadline=None, max_examples=25)
def test_every_form_of_input_against_loops(name, data):
    generator = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    n_users, n_items = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 9))
    width = data.draw(st.integers(1, n_items))
    n = data.draw(st.integers(1, width))
    dense = generator.random((n_users, n_items)) < 0.4
    dense[0, 0] = True
    lists = np.array([generator.permutation(n_items)[:width] for _ in range(n_users)])
    lists[generator.random(lists.shape) < 0.15] = -1
    relevant = [set(np.flatnonzero(row).tolist()) for row in dense]
    measure = getattr(metrics, name)
    expected = pytest.approx(by_loops(name, lists.tolist(), relevant, n))

    X = sp.csr_array(dense.astype(np.float32))
    assert measure(lists, X, n) == expected
    assert measure(lists, (X.indptr, X.indices), n) == expected
    assert measure(lists.tolist(), relevant, n) == expected
    assert measure(lists, [sorted(right, reverse=True) * 2 for right in relevant], n) == expected
    R = mf.Ratings.from_csr(X)
    assert measure(lists, R, n) == expected
    # Raw ids: strings, and integers among which -1 is an item like any other.
    names = np.array([f"item {n}" for n in range(n_items)])
    named = np.where(lists < 0, "", names[lists])
    assert measure(named, mf.Ratings.from_csr(X, item_ids=names), n) == expected
    assert measure(named, [{f"item {i}" for i in right} for right in relevant], n) == expected
    numbers = np.arange(n_items) - 1
    numbered = np.where(lists < 0, 10**9, numbers[lists])
    assert measure(numbered, mf.Ratings.from_csr(X, item_ids=numbers), n) == expected


def test_codes_beyond_those_that_anybody_rated():
    assert metrics.recall_at([[7, 0], [1, 9]], (np.array([0, 1, 2]), np.array([0, 1])), 2) == 1


def test_unsorted_csr():
    pair = np.array([0, 3, 4]), np.array([5, 0, 3, 1])
    assert metrics.precision_at([[3, 5], [2, 1]], pair, 2) == (1 + 0.5) / 2


@pytest.mark.parametrize("name", RANKING)
@pytest.mark.parametrize(
    ("recommended", "relevant", "n", "error", "message"),
    [
        ([[1, 2]], [[1]], 3, ValueError, "2 items per user are too few for n=3"),
        ([[1, 2]], [[1], [2]], 2, ValueError, "recommended has 1 rows, relevant has 2"),
        ([1, 2], [[1]], 1, ValueError, r"expected shape \(n_users, >= n\), got \(2,\)"),
        ([[1, 2]], [[1]], 0, ValueError, "n=0: must be at least 1"),
        ([[1, 2]], [[1]], 1.0, TypeError, "n=1.0: expected an integer"),
        ([[1, 2]], [[1]], True, TypeError, "n=True: expected an integer"),
        ([[1, 2]], [[]], 2, ValueError, "no user has a relevant item"),
        ([[1, 2], [3, 3]], [[1], [3]], 2, ValueError, "item 3 stands twice in row 1"),
        ([["a", "a"]], [["a"]], 2, ValueError, "item 'a' stands twice in row 0"),
        ([[1, 2]], [["a"]], 2, TypeError, "recommended"),
        ([["a", "b"]], [[1]], 2, TypeError, "recommended"),
        ([[1.5, 2]], [[1]], 2, ValueError, "recommended: 1.5 at position 0"),
        ([[1, 2]], [[1, "a"]], 2, ValueError, "relevant: 'a' at position 1"),
        ([[1, 2]], {0: [1]}, 2, TypeError, "relevant: expected Ratings"),
        ([[1, 2]], "ab", 2, TypeError, "relevant: expected Ratings"),
        ([[1, 2]], 5, 2, TypeError, "relevant: expected Ratings"),
        ([["a", "b"]], (np.array([0, 1]), np.array([1])), 2, TypeError, "item codes"),
        ([[1, 2]], (np.array([0, 3]), np.array([1])), 2, ValueError, "malformed CSR"),
        ([[1, 2]], (np.array([1, 1]), np.array([1])), 2, ValueError, "malformed CSR"),
        ([[1, 2]], (np.array([0, 1]), np.array([-1])), 2, ValueError, "-1 is negative"),
    ],
)  # fmt: skip
def test_bad_rankings(name, recommended, relevant, n, error, message):
    with pytest.raises(error, match=message):
        getattr(metrics, name)(recommended, relevant, n)
