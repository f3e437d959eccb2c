"""The splitters of `matfac.model_selection`."""

from __future__ import annotations

import numpy as np
import pytest

import matfac as mf
from matfac import _splitters
from matfac import model_selection as ms

FIXED = [
    ms.KFold(4),
    ms.KFold(3, shuffle=False),
    ms.ShuffleSplit(3, test_fraction=0.3),
    ms.UserSplit(0.3),
    ms.UserSplit(n_test=2, n_splits=2),
    ms.UserSplit(0.25, by="time"),
    ms.LeaveOneOut(),
    ms.LeaveOneOut("time"),
    ms.TimeSplit(),
    ms.TimeSplit(3, test_fraction=0.1),
]
each_splitter = pytest.mark.parametrize("splitter", FIXED, ids=repr)


def make_ratings(seed: int = 0) -> mf.Ratings:
    """Users with one rating, with two, and with many; several ratings at the same time."""
    rng = np.random.default_rng(seed)
    counts = np.concatenate([[1, 1, 2, 2, 3], rng.integers(1, 25, 40)])
    users = np.repeat(np.arange(len(counts)), counts)
    items = np.concatenate([rng.permutation(30)[:count] for count in counts])
    values = rng.integers(1, 6, len(users)).astype(np.float32)
    times = rng.integers(0, len(users) // 2, len(users))
    names = [f"user {n:02}" for n in users]
    return mf.Ratings.from_arrays(names, items, values, timestamps=times)


@pytest.fixture(scope="module")
def R():
    return make_ratings()


def pairs_of(part: mf.Ratings) -> set:
    users, items, values = part.to_arrays()
    times = part.timestamps if part.timestamps is not None else np.zeros(part.nnz)
    return set(zip(users.tolist(), items.tolist(), values.tolist(), times.tolist(), strict=True))


def same(a: mf.Ratings, b: mf.Ratings) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("offsets", "items", "values", "timestamps", "user_ids", "item_ids")
    )


# ---- what all splitters promise ------------------------------------------------------------------


@each_splitter
def test_parts_are_apart_and_keep_shape_and_ids(splitter, R):
    divisions = list(splitter.split(R))
    assert len(divisions) == splitter.get_n_splits() == splitter.get_n_splits(R)
    for train, test in divisions:
        assert train.nnz > 0 and test.nnz > 0
        assert not pairs_of(train) & pairs_of(test)
        assert pairs_of(train) | pairs_of(test) <= pairs_of(R)
        if not isinstance(splitter, ms.TimeSplit):
            assert train.nnz + test.nnz == R.nnz
        for part in (train, test):
            assert np.shares_memory(part.user_ids, R.user_ids)
            assert np.array_equal(part.user_ids, R.user_ids)
            assert np.array_equal(part.item_ids, R.item_ids)
            assert part.dtype == R.dtype


@each_splitter
def test_the_same_state_divides_the_same_way(splitter, R):
    first, second = list(splitter.split(R)), list(splitter.split(R))
    for a, b in zip(first, second, strict=True):
        assert same(a[0], b[0]) and same(a[1], b[1])


@pytest.mark.parametrize(
    "splitter", [s for s in FIXED if getattr(s, "random_state", None) == 0], ids=repr
)
def test_other_states_divide_otherwise(splitter, R):
    if getattr(splitter, "by", None) == "time" or not getattr(splitter, "shuffle", True):
        return
    first = next(splitter.split(R))
    other = type(splitter)(**{**splitter.get_params(), "random_state": 1})
    assert not same(first[1], next(other.split(R))[1])
    fresh = type(splitter)(**{**splitter.get_params(), "random_state": None})
    assert not same(next(fresh.split(R))[1], next(fresh.split(R))[1])
    generator = np.random.default_rng(0)
    passed = type(splitter)(**{**splitter.get_params(), "random_state": generator})
    assert same(first[1], next(passed.split(R))[1])
    assert not same(first[1], next(passed.split(R))[1])


@each_splitter
def test_splitters_have_parameters_as_estimators_do(splitter):
    learn = pytest.importorskip("sklearn.base")
    copy = learn.clone(splitter, safe=False)
    assert copy.get_params() == splitter.get_params()
    assert repr(splitter).startswith(type(splitter).__name__ + "(")


def test_other_forms_of_ratings_are_divided_too(R):
    train, test = next(ms.KFold(3).split(R.to_scipy()))
    assert isinstance(train, mf.Ratings) and train.nnz + test.nnz == R.nnz
    with pytest.raises(TypeError, match="ratings: expected Ratings"):
        ms.KFold(3).split([[1, 2]])


# ---- each of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [True, False])
def test_folds_are_a_partition_of_equal_parts(R, shuffle):
    tests = [test for _, test in ms.KFold(4, shuffle=shuffle).split(R)]
    assert set().union(*map(pairs_of, tests)) == pairs_of(R)
    assert sum(test.nnz for test in tests) == R.nnz
    sizes = [test.nnz for test in tests]
    assert max(sizes) - min(sizes) <= 1


def test_folds_that_are_dealt_out_have_their_share_of_every_user(R):
    for train, test in ms.KFold(4, shuffle=False).split(R):
        counts = np.diff(R.offsets)
        assert np.all(np.abs(np.diff(test.offsets) - counts / 4) < 1)
        assert np.all(np.diff(train.offsets)[counts > 1] > 0)


def test_a_repeated_split_repeats_the_split_of_ratings(R):
    generator = np.random.default_rng(5)
    for train, test in ms.ShuffleSplit(3, test_fraction=0.3, random_state=5).split(R):
        expected = R.split(0.3, random_state=generator)
        assert same(train, expected[0]) and same(test, expected[1])


def test_a_share_of_each_user(R):
    counts = np.diff(R.offsets)
    for fraction in (0.1, 0.5, 0.99):
        train, test = next(ms.UserSplit(fraction).split(R))
        given = np.minimum(np.rint(fraction * counts), counts - 1)
        assert np.array_equal(np.diff(test.offsets), given)
        assert np.all(np.diff(train.offsets) >= 1)


def test_a_number_of_each_user_and_none_of_those_with_too_few(R):
    counts = np.diff(R.offsets)
    for n_test in (1, 2, 10):
        _, test = next(ms.UserSplit(n_test=n_test).split(R))
        assert np.array_equal(np.diff(test.offsets), np.where(counts > n_test, n_test, 0))


def test_users_are_divided_alike_however_many_are_taken_at_a_time(R, monkeypatch):
    expected = [next(splitter.split(R))[1] for splitter in FIXED[3:8]]
    for size in (1, 7, 100):
        monkeypatch.setattr(_splitters, "_SORTED_AT_ONCE", size)
        for splitter, test in zip(FIXED[3:8], expected, strict=True):
            assert same(next(splitter.split(R))[1], test)


def test_one_of_each_user(R):
    for splitter in (ms.LeaveOneOut(), ms.LeaveOneOut("time")):
        _, test = next(splitter.split(R))
        assert np.array_equal(np.diff(test.offsets), (np.diff(R.offsets) >= 2).astype(int))


def test_each_of_a_users_ratings_is_as_likely_to_be_left_out():
    R = mf.Ratings.from_arrays([0] * 5 + [1] * 3, [0, 1, 2, 3, 4, 0, 1, 2])
    drawn = [test for _, test in ms.LeaveOneOut(n_splits=3000).split(R)]
    first = np.bincount([test.items[0] for test in drawn]) / 3000
    second = np.bincount([test.items[1] for test in drawn]) / 3000
    assert np.all(np.abs(first - 1 / 5) < 0.04) and np.all(np.abs(second - 1 / 3) < 0.04)
    together = np.bincount([test.items[0] * 3 + test.items[1] for test in drawn]) / 3000
    assert np.all(np.abs(together - 1 / 15) < 0.03)


@pytest.mark.parametrize(
    "splitter", [ms.UserSplit(0.4, by="time"), ms.UserSplit(n_test=3, by="time")], ids=repr
)
def test_the_latest_of_each_user(R, splitter):
    train, test = next(splitter.split(R))
    for user in range(R.n_users):
        before = train.timestamps[slice(*train.offsets[user : user + 2])]
        after = test.timestamps[slice(*test.offsets[user : user + 2])]
        assert len(after) == 0 or before.max() <= after.min()


def test_the_latest_of_all(R):
    train, test = next(ms.TimeSplit(test_fraction=0.25).split(R))
    expected = R.split(0.25, by="time")
    assert same(train, expected[0]) and same(test, expected[1])

    divisions = list(ms.TimeSplit(3, test_fraction=0.1).split(R))
    n_test = round(0.1 * R.nnz)
    for i, (train, test) in enumerate(divisions):
        assert test.nnz == n_test and train.nnz == R.nnz - (3 - i) * n_test
        assert train.timestamps.max() <= test.timestamps.min()
        if i:
            last = divisions[i - 1]
            assert pairs_of(train) == pairs_of(last[0]) | pairs_of(last[1])


# ---- bad input of splitters ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("splitter", "error", "message"),
    [
        (ms.KFold(1), ValueError, "n_splits=1 must be at least 2"),
        (ms.KFold(10**6), ValueError, "n_splits=1000000: there are only .* ratings"),
        (ms.KFold(2.0), TypeError, "n_splits=2.0: expected an integer"),
        (ms.KFold(3, shuffle="yes"), TypeError, "shuffle='yes': expected True or False"),
        (ms.KFold(3, random_state="x"), TypeError, "random_state='x'"),
        (ms.ShuffleSplit(0), ValueError, "n_splits=0 must be at least 1"),
        (ms.ShuffleSplit(test_fraction=1), ValueError, "test_fraction=1: must lie strictly"),
        (ms.UserSplit(0.0), ValueError, "test_fraction=0.0: must lie strictly between 0 and 1"),
        (ms.UserSplit("x"), TypeError, "test_fraction='x': expected a number"),
        (ms.UserSplit(1e-9), ValueError, "no user has enough ratings to give one"),
        (ms.UserSplit(n_test=0), ValueError, "n_test=0 must be at least 1"),
        (ms.UserSplit(n_test=99), ValueError, "n_test=99: no user has more than 99 ratings"),
        (ms.UserSplit(by="date"), ValueError, "by='date' is unknown; choose 'random' or 'time'"),
        (ms.UserSplit(by="time", n_splits=2), ValueError, "n_splits must be 1"),
        (ms.LeaveOneOut("time", n_splits=3), ValueError, "n_splits must be 1"),
        (ms.LeaveOneOut("last"), ValueError, "by='last' is unknown"),
        (ms.TimeSplit(5, test_fraction=0.2), ValueError, "leave nothing to train the first on"),
        (ms.TimeSplit(0), ValueError, "n_splits=0 must be at least 1"),
        (ms.TimeSplit(test_fraction=2.0), ValueError, "must lie strictly between 0 and 1"),
    ],
    ids=lambda value: repr(value) if isinstance(value, ms.KFold.__base__) else None,
)
def test_bad_splitters_are_refused_before_the_first_pair(splitter, error, message, R):
    with pytest.raises(error, match=message):
        splitter.split(R)


@pytest.mark.parametrize(
    "splitter", [ms.TimeSplit(), ms.LeaveOneOut("time"), ms.UserSplit(by="time")], ids=repr
)
def test_ratings_without_times_are_not_divided_by_time(splitter):
    R = mf.Ratings.from_arrays([1, 1, 2], [1, 2, 1])
    with pytest.raises(ValueError, match="these ratings have no timestamps"):
        splitter.split(R)


def test_the_only_rating_of_a_user_is_not_left_out():
    R = mf.Ratings.from_arrays([1, 2], [1, 1])
    with pytest.raises(ValueError, match="no user has two ratings"):
        ms.LeaveOneOut().split(R)
