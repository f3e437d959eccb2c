"""Rankings to the bit: what is asked together, how, and by how many threads changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import SIZES
from matfac import _core

N_ITEMS = 5000


def parameters(
    n_factors: int, dtype: str, *, biases: bool = True, seed: int = 0
) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    U, V = (rng.normal(size=(n, n_factors)).astype(dtype) for n in (230, N_ITEMS))
    if not biases:
        return U, V, None, None, 0.0
    return U, V, *(rng.normal(size=len(x)).astype(dtype) for x in (U, V)), 3.5


def pattern(rows: int, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Seen items, (offsets, items); the first row saw everything, the second nothing."""
    mask = np.random.default_rng(seed).random((rows, N_ITEMS)) < share
    mask[0], mask[1] = True, False
    return np.append(0, np.cumsum(mask.sum(axis=1))), np.nonzero(mask)[1].astype(np.int32)


def part(seen: tuple[np.ndarray, np.ndarray], rows: slice) -> tuple[np.ndarray, np.ndarray]:
    offsets = seen[0][rows.start : rows.stop + 1]
    return offsets - offsets[0], seen[1][offsets[0] : offsets[-1]]


def estimates(model: tuple[Any, ...], users: np.ndarray) -> np.ndarray:
    """What `predict` says of all pairs."""
    out = np.empty(len(users) * N_ITEMS, model[0].dtype)
    items = np.tile(np.arange(N_ITEMS, dtype=np.int32), len(users))
    _core.predict(*model, np.repeat(users, N_ITEMS), items, out, 0)
    return out.reshape(len(users), N_ITEMS)


def ranked(scores: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n best of each row, ties by the lower code, what is -inf left out."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :n].astype(np.int32)
    best = np.take_along_axis(scores, order, axis=1)
    order[np.isneginf(best)] = -1
    missing = ((0, 0), (0, n - order.shape[1]))
    return (
        np.pad(order, missing, constant_values=-1),
        np.pad(best, missing, constant_values=-np.inf),
    )


def assert_same(found: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    assert np.array_equal(found[0], expected[0])
    assert found[1].dtype == expected[1].dtype and np.array_equal(found[1], expected[1])


@pytest.mark.parametrize("biases", [True, False], ids=["biases", "bare"])
@pytest.mark.parametrize("n_factors", [*SIZES, 2, 3, 64])
def test_scores_are_the_bits_of_predict(n_factors, biases, dtype):
    model = parameters(n_factors, dtype, biases=biases)
    users = np.random.default_rng(1).integers(-1, len(model[0]), 61).astype(np.int32)
    users[5] = -1
    scores = estimates(model, users)
    seen = pattern(len(users), 0.1)
    unseen = scores.copy()
    unseen[np.repeat(np.arange(len(users)), np.diff(seen[0])), seen[1]] = -np.inf
    for n in (1, 10, 100):
        assert_same(_core.recommend(*model, users, n, None, 0), ranked(scores, n))
        assert_same(_core.recommend(*model, users, n, seen, 0), ranked(unseen, n))


@pytest.mark.parametrize("n", [1, 15, 16, 17, 2400, 2600, N_ITEMS - 1, N_ITEMS, N_ITEMS + 9])
def test_any_number_of_items(n, dtype):
    model = parameters(9, dtype)
    users = np.arange(-1, 20, dtype=np.int32)
    assert_same(_core.recommend(*model, users, n, None, 0), ranked(estimates(model, users), n))


@pytest.mark.parametrize("n_items", [1, 2, 15, 16, 17, 63, 64, 65, 100, 129])
def test_any_size_of_the_catalogue(n_items, dtype):
    U, V, b, c, mean = parameters(11, dtype)
    users = np.arange(40, dtype=np.int32)
    scores = estimates((U, V, b, c, mean), users)[:, :n_items]
    for n in (1, 7, 70):
        found = _core.recommend(
            U, V[:n_items].copy(), b, c[:n_items].copy(), mean, users, n, None, 0
        )
        assert_same(found, ranked(scores, n))


@pytest.mark.parametrize("n_users", [1, 2, 3, 4, 6, 7, 12, 13, 15, 16, 25, 100, 230])
def test_neither_company_nor_threads_matter(n_users, dtype):
    model = parameters(33, dtype)
    users = np.arange(230, dtype=np.int32)[::-1].copy()
    seen = pattern(230, 0.05)
    for n in (10, 200):
        expected = _core.recommend(*model, users, n, seen, 1)
        for n_threads in (1, 2, 5):
            for start in range(0, 230, max(n_users, 37)):
                rows = slice(start, min(start + n_users, 230))
                found = _core.recommend(*model, users[rows], n, part(seen, rows), n_threads)
                assert_same(found, (expected[0][rows], expected[1][rows]))


def test_threads_share_the_items_of_a_large_catalogue(dtype):
    """Few queries, and enough to do for several threads; whole numbers, so that there are ties."""
    rng = np.random.default_rng(3)
    U, V = (rng.integers(-2, 3, (n, 32)).astype(dtype) for n in (20, 120_000))
    seen = np.arange(0, 20 * 9000 + 1, 9000), np.tile(np.arange(0, 90_000, 10, dtype=np.int32), 20)
    users = np.arange(20, dtype=np.int32)
    for n in (1, 300):
        scores = U @ V.T
        for first in (0, 1, 2):
            scores[first, seen[1][:9000]] = -np.inf
        expected = ranked(scores[:3], n)
        for count in (1, 3, 20):
            for n_threads in (1, 2, 5):
                found = _core.recommend(
                    U, V, None, None, 0.0, users[:count], n, part(seen, slice(0, count)), n_threads
                )
                rows = slice(0, min(count, 3))
                assert_same(
                    (found[0][rows], found[1][rows]), (expected[0][rows], expected[1][rows])
                )


@pytest.mark.parametrize("n_queries", [1, 3, 7, 50])
def test_similar_items_alone_or_together(n_queries, dtype):
    V = parameters(20, dtype)[1]
    V[[7, 4000]] = 0
    V[[9, 4500]] = V[12]  # three of the same direction
    queries = np.random.default_rng(2).integers(0, N_ITEMS, 50).astype(np.int32)
    queries[:4] = 7, 9, 4500, 12
    expected = _core.similar_items(V, queries, 30, 1)
    assert expected[0][1, :2].tolist() == [12, 4500] and expected[0][2, :2].tolist() == [9, 12]
    assert np.all(expected[1] <= 1) and np.all(expected[1][0] == 0)
    for n_threads in (1, 2, 5):
        found = _core.similar_items(V, queries[:n_queries], 30, n_threads)
        assert_same(found, (expected[0][:n_queries], expected[1][:n_queries]))


def test_equal_scores_go_by_code_however_the_work_is_divided(dtype):
    V = np.zeros((N_ITEMS, 3), dtype)
    V[::7] = 1
    U = np.array([[1, 1, 1], [-1, -1, -1], [0, 0, 0]], dtype)
    for users in ([0], [1], [2], [0, 1, 2], [2, 1, 0] * 40):
        codes = np.array(users, np.int32)
        scores = (U @ V.T)[codes]
        for n in (5, 1000, N_ITEMS):
            for n_threads in (1, 2, 5):
                found = _core.recommend(U, V, None, None, 0.0, codes, n, None, n_threads)
                assert_same(found, ranked(scores, n))


def test_the_best_come_last(dtype):
    """Every item enters the ranking for a while: it is cut back all the time."""
    V = np.arange(N_ITEMS, dtype=dtype)[:, None]
    U = np.array([[1], [2]], dtype)
    seen = np.array([0, 1, 2]), np.array([N_ITEMS - 2, N_ITEMS - 1], np.int32)
    ids, scores = _core.recommend(U, V, None, None, 0.0, np.array([0, 1], np.int32), 4, seen, 1)
    assert ids.tolist() == [[4999, 4997, 4996, 4995], [4998, 4997, 4996, 4995]]
    assert np.array_equal(scores, ids * U)


def test_a_score_of_minus_infinity_is_not_an_item():
    largest = np.finfo("float32").max
    U = np.array([[largest]], "float32")
    V = np.array([[-2], [1], [-3], [0.5]], "float32")
    ids, scores = _core.recommend(U, V, None, None, 0.0, np.array([0], np.int32), 4, None, 1)
    assert ids.tolist() == [[1, 3, -1, -1]]
    assert scores[0, :2].tolist() == [largest, largest / 2] and np.all(np.isneginf(scores[0, 2:]))


SCRIPT = """
import hashlib, sys
import numpy as np
from matfac import _core
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    U, V = (rng.normal(size=(n, 37)).astype(dtype) for n in (50, 3000))
    users = np.arange(50, dtype=np.int32)
    out = np.empty(50, dtype)
    _core.predict(U, V, None, None, 0.0, users, users, out, 1)
    together = _core.recommend(U, V, None, None, 0.0, users, 10, None, 1)
    alone = _core.recommend(U, V, None, None, 0.0, users[:1], 10, None, 1)
    digest = hashlib.sha256()
    for array in (out, *together, *alone):
        digest.update(array.tobytes())
    print(digest.hexdigest())
"""


def test_levels_that_fuse_agree_to_the_bit():
    """Lanes are items, so the width of a register is no part of the sum; one rounding or two is."""
    free = {name: value for name, value in os.environ.items() if name != "MATFAC_ISA"}
    fused = [name for name in mf.runtime_info()["instruction_sets"] if name != "baseline"]
    # Forced to each level with fused arithmetic, and left to choose the best.
    printed = {
        level: subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=free if level == "best" else {**free, "MATFAC_ISA": level},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for level in (*fused, "best")
    }
    assert len(set(printed.values())) == 1, printed
