"""`datasets.make_ratings`: what is generated looks like ratings."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import bits
from matfac.datasets import make_ratings


@pytest.mark.parametrize(
    ("n_users", "n_items", "n_ratings"),
    [
        (1, 1, 1),
        (1, 50, 50),
        (50, 1, 20),
        (7, 9, 63),  # every pair
        (7, 9, 62),
        (1000, 10, 3),
        (3, 20_000, 50),
        (400, 300, 100_000),
        (3000, 2000, 150_000),
    ],
)
def test_sizes_are_as_asked_and_pairs_are_distinct(n_users, n_items, n_ratings):
    R = make_ratings(n_users, n_items, n_ratings, random_state=0)
    assert R.shape == (n_users, n_items) and R.nnz == n_ratings
    assert R.dtype == np.float32 and R.items.dtype == np.int32 and R.offsets.dtype == np.int64
    users, items, _ = R.to_arrays()
    assert len(np.unique(users * n_items + items)) == n_ratings
    assert np.array_equal(R.user_ids, np.arange(n_users))
    assert np.array_equal(R.item_ids, np.arange(n_items))


@pytest.fixture(scope="module")
def R():
    return make_ratings(5000, 2000, 300_000, random_state=1)


def test_a_seed_gives_the_same_ratings(R):
    def content(R):
        return bits(R.offsets, R.items, R.values)

    def small(random_state):
        return content(make_ratings(300, 200, 5000, random_state=random_state))

    assert content(make_ratings(5000, 2000, 300_000, random_state=1)) == content(R)
    assert small(3) == small(3) != small(4)
    assert small(np.int64(3)) == small(np.random.default_rng(3)) == small(3)
    assert small(None) != small(None)
    generator = np.random.default_rng(3)
    assert small(generator) != small(generator)


def test_ratings_are_half_stars_around_three_and_a_half(R):
    assert set(np.unique(R.values)) <= set(np.arange(1, 11) / 2)
    assert len(np.unique(R.values)) == 10
    assert 3.3 < R.mean < 3.8
    assert 0.9 < np.std(R.values.astype(float)) < 1.2


def test_few_items_and_users_hold_many_ratings(R):
    by_item = np.sort(np.bincount(R.items, minlength=2000))[::-1]
    by_user = np.sort(np.diff(R.offsets))[::-1]
    assert by_item[:200].sum() > 0.4 * R.nnz  # a tenth of the items
    assert by_item[1000:].sum() < 0.2 * R.nnz  # the rarer half
    assert by_user[:500].sum() > 0.3 * R.nnz
    assert by_user[0] <= 0.4 * 2000 + 1
    assert by_user[-1] >= 10  # nobody is without ratings, at this density


def test_users_and_items_are_biased(R):
    users, items, values = R.to_arrays()
    for codes in (users, items):
        means = np.bincount(codes, values) / np.maximum(np.bincount(codes), 1)
        often = np.bincount(codes) > 50
        assert 0.3 < np.std(means[often]) < 0.7


def test_users_come_across_what_they_like(R):
    # Popular items are liked a little better.
    counts = np.bincount(R.items, minlength=2000)
    means = np.bincount(R.items, R.values, 2000) / np.maximum(counts, 1)
    often = counts > 20
    assert np.corrcoef(np.log(counts[often]), means[often])[0, 1] > 0.2


@pytest.mark.parametrize(
    ("sizes", "error", "match"),
    [
        ((0, 5, 5), ValueError, "n_users=0 must be at least 1"),
        ((5, -1, 5), ValueError, "n_items=-1 must be at least 1"),
        ((5, 5, 0), ValueError, "n_ratings=0 must be at least 1"),
        ((5, 5, -7), ValueError, "n_ratings=-7 must be at least 1"),
        ((5, 5, 26), ValueError, "n_ratings=26: 5 users and 5 items make only 25 pairs"),
        ((2**31, 5, 5), ValueError, "n_users=2147483648 is out of range"),
        ((5, 5, 2**70), ValueError, "n_ratings=.* out of range"),
        ((5.0, 5, 5), TypeError, "n_users=5.0: expected an integer"),
        ((5, True, 5), TypeError, "n_items=True: expected an integer"),
        ((5, 5, "5"), TypeError, "n_ratings='5': expected an integer"),
        ((5, 5, None), TypeError, "n_ratings=None: expected an integer"),
        ((5, 5, np.float64(3)), TypeError, "n_ratings=.*: expected an integer"),
    ],
    ids=str,
)
def test_bad_sizes_are_refused(sizes, error, match):
    with pytest.raises(error, match=match):
        make_ratings(*sizes)


@pytest.mark.parametrize(
    ("random_state", "error"), [(-1, ValueError), ("a", TypeError), (True, TypeError)]
)
def test_a_bad_random_state_is_refused(random_state, error):
    with pytest.raises(error, match="random_state="):
        make_ratings(5, 5, 5, random_state=random_state)
