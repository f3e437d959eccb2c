"""The native measures of rankings, against the NumPy twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conftest import SIZES, bits, same_at_any_n_threads
from matfac import _core, reference

Pattern = tuple[np.ndarray, np.ndarray]


def pattern(mask: np.ndarray) -> Pattern:
    offsets = np.append(0, np.cumsum(mask.sum(axis=1))).astype(np.int64)
    return offsets, np.nonzero(mask)[1].astype(np.int32)


def patterns(n_users: int, n_items: int, seed: int = 0) -> tuple[Pattern, Pattern]:
    """What is relevant and what was seen; they overlap, and the first users are special ones."""
    rng = np.random.default_rng([seed, n_users, n_items])
    relevant, seen = rng.random((2, n_users, n_items)) < np.array([0.15, 0.3])[:, None, None]
    special = min(n_users, 6)
    relevant[:special], seen[:special] = False, False
    for user, rule in zip(range(special), range(6), strict=False):
        if rule == 0:
            relevant[user] = seen[user] = True  # nothing is left
        if rule == 1:
            relevant[user] = True  # there is nothing else
        if rule == 2:
            seen[user] = True
        if rule == 3:
            relevant[user, -1:] = True
        if rule == 4:
            relevant[user, : n_items // 2] = seen[user, n_items // 4 :] = True
    return pattern(relevant), pattern(seen)


def exact_model(
    n_users: int, n_items: int, n_factors: int, dtype: str, biases: bool, seed: int = 0
) -> reference.Model:
    """Parameters whose products and sums are exact in float32: ties are ties in the twin too."""
    rng = np.random.default_rng([seed, n_factors])

    def draw(*shape: int) -> np.ndarray:
        return (rng.integers(-3, 4, shape) / 4).astype(dtype)

    U, V = draw(n_users, n_factors), draw(n_items, n_factors)
    if not biases:
        return reference.Model(U, V)
    return reference.Model(U, V, draw(n_users), draw(n_items), 3.5)


def native(model: reference.Model) -> tuple[Any, ...]:
    return (
        model.user_factors,
        model.item_factors,
        model.user_biases,
        model.item_biases,
        model.global_mean,
    )


with_and_without_biases = pytest.mark.parametrize("biases", [True, False], ids=["biases", "bare"])
with_and_without_seen = pytest.mark.parametrize("hide", [True, False], ids=["unseen", "all items"])

# ---- given lists ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 10, 57, 130])
@pytest.mark.parametrize("n_users", [1, 7, 600])
def test_measures_of_lists_equal_twin(n_users, n):
    rng = np.random.default_rng([n, n_users])
    relevant, _ = patterns(n_users, 130)
    lists = np.array([rng.permutation(130)[:n] for _ in range(n_users)], np.int32)
    lists[rng.random(lists.shape) < 0.1] = -1
    found = _core.ranking_measures(lists, relevant, 130, 0)
    np.testing.assert_allclose(
        found, reference.ranking_measures(lists, relevant), rtol=1e-13, atol=0
    )
    assert np.nanmax(found, initial=0) <= 1 + 1e-15


def test_means_leave_out_what_is_no_number():
    values = np.random.default_rng(0).random((9001, 3))
    values[::7, 0] = np.nan
    values[:, 2] = np.nan
    means = _core.mean_measures(values, 0)
    assert means[:2] == pytest.approx(np.nanmean(values[:, :2], axis=0), rel=1e-14)
    assert np.isnan(means[2]) and np.isnan(_core.mean_measures(values[:0], 0)).all()


# ---- a model -------------------------------------------------------------------------------------


@with_and_without_seen
@with_and_without_biases
@pytest.mark.parametrize("n", [1, 10, 100])
def test_evaluation_is_recommending_and_measuring(n, biases, hide, dtype):
    n_users, n_items = 120, 77
    model = exact_model(n_users, n_items, 5, dtype, biases)
    relevant, seen = patterns(n_users, n_items)
    hidden = seen if hide else None
    users = np.random.default_rng(1).permutation(n_users)[:100].astype(np.int32)
    measures, times = np.empty((100, 6)), np.arange(n_items)
    _core.evaluate_recommendations(*native(model), users, n, relevant, hidden, measures, times, 0)

    rows = hidden and select(hidden, users)
    lists, _ = reference.recommend(model, users, n, rows)
    expected = reference.ranking_measures(lists, select(relevant, users), rows)
    np.testing.assert_allclose(measures, expected, rtol=1e-13, atol=0)
    counts = np.bincount(lists[lists >= 0], minlength=n_items)
    assert np.array_equal(times, np.arange(n_items) + counts)  # added to what was there


def select(rows: Pattern, users: np.ndarray) -> Pattern:
    lists = [rows[1][rows[0][user] : rows[0][user + 1]] for user in users]
    return np.append(0, np.cumsum([len(row) for row in lists])), np.concatenate(lists)


def test_lists_beyond_what_is_held_at_a_time(dtype):
    """Long lists of many users are made and measured in parts."""
    n_users, n_items, n = 700, 30, 4000
    model = exact_model(n_users, n_items, 3, dtype, biases=False)
    relevant, seen = patterns(n_users, n_items)
    users = np.arange(n_users, dtype=np.int32)
    measures, times = np.empty((n_users, 6)), np.zeros(n_items, np.int64)
    _core.evaluate_recommendations(*native(model), users, n, relevant, seen, measures, times, 0)
    lists, _ = reference.recommend(model, users, n, seen)
    expected = reference.ranking_measures(lists, relevant, seen)
    np.testing.assert_allclose(measures, expected, rtol=1e-13, atol=0)
    assert np.array_equal(times, np.bincount(lists[lists >= 0], minlength=n_items))


@with_and_without_seen
@with_and_without_biases
@pytest.mark.parametrize("n_factors", SIZES)
def test_auc_equals_twin(n_factors, biases, hide, dtype):
    n_users, n_items = 61, 150
    model = exact_model(n_users, n_items, n_factors, dtype, biases)
    relevant, seen = patterns(n_users, n_items)
    hidden = seen if hide else None
    users = np.random.default_rng(2).permutation(n_users)[:50].astype(np.int32)
    areas = np.empty(50)
    _core.ranking_auc(*native(model), users, relevant, hidden, areas, 0)
    expected = reference.ranking_auc(model, users, relevant, hidden)
    np.testing.assert_allclose(areas, expected, rtol=1e-14, atol=0)
    assert 0 < np.isnan(expected).sum() < 10


@pytest.mark.parametrize("n_items", [1, 2, 63, 64, 65, 129, 1000])
@pytest.mark.parametrize("n_users", [1, 191, 192, 193, 400])
def test_auc_at_any_size(n_users, n_items, dtype):
    model = exact_model(n_users, n_items, 2, dtype, biases=True)
    relevant, seen = patterns(n_users, n_items)
    users, areas = np.arange(n_users, dtype=np.int32), np.empty(n_users)
    _core.ranking_auc(*native(model), users, relevant, seen, areas, 0)
    expected = reference.ranking_auc(model, users, relevant, seen)
    np.testing.assert_allclose(areas, expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("n_relevant", [1, 3, 15, 16, 17, 63, 64, 65, 200, 999])
def test_auc_of_few_and_of_many_relevant_items(n_relevant, dtype):
    """Few are compared with all items, many are searched."""
    rng = np.random.default_rng(n_relevant)
    V = rng.permutation(np.repeat(np.arange(500), 2))[:, None].astype(dtype)  # pairs of ties
    model = reference.Model(np.array([[1], [-1], [0]], dtype), V)
    items = np.sort(rng.permutation(1000)[: 3 * n_relevant].reshape(3, -1)) if n_relevant < 300 \
        else np.sort(np.array([rng.permutation(1000)[:n_relevant] for _ in range(3)]))  # fmt: skip
    relevant = np.arange(4) * n_relevant, items.ravel().astype(np.int32)
    users, areas = np.arange(3, dtype=np.int32), np.empty(3)
    _core.ranking_auc(*native(model), users, relevant, None, areas, 0)
    expected = reference.ranking_auc(model, users, relevant)
    np.testing.assert_allclose(areas, expected, rtol=1e-14, atol=0)
    assert areas[2] == 0.5


# ---- the same bits at any number of threads ------------------------------------------------------


def test_all_measures_have_the_same_bits_at_any_number_of_threads(dtype):
    n_users, n_items = 5000, 300
    rng = np.random.default_rng(0)
    U, V = (rng.normal(size=(n, 9)).astype(dtype) for n in (n_users, n_items))
    relevant, seen = patterns(n_users, n_items)
    users = np.arange(n_users, dtype=np.int32)
    lists, _ = _core.recommend(U, V, None, None, 0.0, users, 12, None, 1)

    def compute(n_threads: int) -> list[bytes]:
        measures, areas = np.empty((n_users, 6)), np.empty(n_users)
        times = np.zeros(n_items, np.int64)
        _core.evaluate_recommendations(
            U, V, None, None, 0.0, users, 12, relevant, seen, measures, times, n_threads
        )
        _core.ranking_auc(U, V, None, None, 0.0, users, relevant, seen, areas, n_threads)
        given = _core.ranking_measures(lists, relevant, n_items, n_threads)
        means = [_core.mean_measures(x, n_threads) for x in (measures, areas[:, None], given)]
        return bits(measures, times, areas, given, *means)

    same_at_any_n_threads(compute)


# ---- bad input -----------------------------------------------------------------------------------


def call(function: str, **changes: Any) -> None:
    model = exact_model(4, 5, 2, "float32", biases=False)
    relevant = np.array([0, 1, 1, 2, 3]), np.array([0, 4, 2], np.int32)
    given: dict[str, Any] = {
        "users": np.array([0, 3], np.int32),
        "n": 3,
        "relevant": relevant,
        "seen": None,
        "out": np.empty((2, 6) if function == "evaluate_recommendations" else 2),
        "times": np.zeros(5, np.int64),
        **changes,
    }
    if function == "ranking_auc":
        _core.ranking_auc(
            *native(model), given["users"], given["relevant"], given["seen"], given["out"], 0
        )
    else:
        _core.evaluate_recommendations(
            *native(model),
            given["users"],
            given["n"],
            given["relevant"],
            given["seen"],
            given["out"],
            given["times"],
            0,
        )


INT, LONG = np.int32, np.int64


@pytest.mark.parametrize("function", ["evaluate_recommendations", "ranking_auc"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users": np.array([0, 4], INT)}, "user code 4 at position 1 is out of range"),
        ({"users": np.array([-1, 0], INT)}, "user code -1 at position 0 is out of range"),
        ({"relevant": (np.array([0, 1, 1, 2]), np.array([0, 4], INT))}, "relevant has shape"),
        ({"relevant": (np.array([0, 1, 1, 2, 4]), np.array([0, 1, 2], INT))}, "offsets must run"),
        ({"relevant": (np.array([0, 2, 2, 2, 2]), np.array([1, 0], INT))}, "item code 0 at"),
        ({"relevant": (np.array([0, 2, 2, 2, 2]), np.array([1, 1], INT))}, "merge duplicates"),
        ({"relevant": (np.array([0, 1, 1, 1, 1]), np.array([5], INT))}, "item code 5 at entry 0"),
        ({"relevant": (np.array([0, 1, 1, 1, 1]), np.array([-1], INT))}, "item code -1"),
        ({"relevant": (np.array([0, 9, 1, 1, 1]), np.array([1], INT))}, "offsets of user code 0"),
        ({"relevant": (np.array([0, 0, 0, 9, 1]), np.array([1], INT))}, "offsets of user code 3"),
        ({"seen": (np.array([0, 1]), np.array([1], INT))}, "seen has shape"),
        ({"seen": (np.array([0, 2, 2, 2, 2]), np.array([3, 2], INT))}, "seen: item code 2"),
    ],
)  # fmt: skip
def test_malformed_patterns_are_refused(function, changes, message):
    call(function)
    with pytest.raises(ValueError, match=message):
        call(function, **changes)


@pytest.mark.parametrize(
    ("function", "changes", "message"),
    [
        ("evaluate_recommendations", {"n": 0}, "n must be at least 1"),
        ("evaluate_recommendations", {"out": np.empty((2, 5))}, "measures has shape"),
        ("evaluate_recommendations", {"times": np.zeros(4, LONG)}, "times_recommended has 4"),
        ("ranking_auc", {"out": np.empty(3)}, "out has 3 entries, expected 2"),
    ],
)
def test_outputs_of_another_size_are_refused(function, changes, message):
    with pytest.raises(ValueError, match=message):
        call(function, **changes)


def test_scores_that_are_no_numbers_are_refused():
    model = exact_model(2, 3, 2, "float32", biases=False)
    model.item_factors[1] = np.nan
    relevant = np.array([0, 1, 2]), np.array([0, 1], np.int32)
    areas = np.empty(2)
    _core.ranking_auc(*native(model), np.array([0], np.int32), relevant, None, areas[:1], 0)
    with pytest.raises(ValueError, match="estimates nan for user code 1 and item code 1"):
        _core.ranking_auc(*native(model), np.array([0, 1], np.int32), relevant, None, areas, 0)


@pytest.mark.parametrize(
    ("lists", "relevant", "message"),
    [
        ([[1, 2], [2, 2]], ([0, 1, 1], [1]), "item code 2 stands twice in row 1"),
        ([[1, 2]], ([0, 1, 1], [1]), "recommended has 1 rows, relevant has 2"),
        ([[1, 2]], ([0, 2], [2, 1]), "strictly ascending"),
        ([[1, 2]], ([0, 1], [3]), "out of range"),
        (np.empty((1, 0)), ([0, 1], [1]), "at least one column"),
    ],
)
def test_bad_lists_are_refused(lists, relevant, message):
    rows = np.array(relevant[0]), np.array(relevant[1], np.int32)
    with pytest.raises(ValueError, match=message):
        _core.ranking_measures(np.array(lists, np.int32), rows, 3, 0)
