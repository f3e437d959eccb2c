"""Splits, selections and other numberings of `Ratings`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matfac as mf


def some_ratings(n_users=20, n_items=30, nnz=200, seed=0, timestamps=True):
    generator = np.random.default_rng(seed)
    pairs = generator.choice(n_users * n_items, nnz, replace=False)
    return mf.Ratings.from_arrays(
        1000 + pairs // n_items,
        np.char.add("i", (pairs % n_items).astype(str)),
        generator.normal(3, 1, nnz),
        timestamps=generator.integers(0, 50, nnz) if timestamps else None,
    )


def rows_of(R):
    users, items, values = R.to_arrays()
    times = R.timestamps if R.timestamps is not None else np.zeros(R.nnz)
    return set(zip(users.tolist(), items.tolist(), values.tolist(), times.tolist(), strict=True))


# ---- split ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["random", "time"])
@pytest.mark.parametrize("fraction", [0.005, 0.2, 0.5, 0.77, 0.995])
def test_split_is_a_partition_of_the_exact_size(fraction, by):
    R = some_ratings()
    train, test = R.split(fraction, random_state=3, by=by)
    assert test.nnz == round(fraction * R.nnz) and train.nnz + test.nnz == R.nnz
    assert rows_of(train) | rows_of(test) == rows_of(R)
    for part in (train, test):
        assert part.shape == R.shape and part.dtype == R.dtype
        assert part.user_ids is R.user_ids or np.shares_memory(part.user_ids, R.user_ids)
        assert np.shares_memory(part.item_ids, R.item_ids)
        assert len(rows_of(part)) == part.nnz


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 2**32))
@settings(deadline=None, max_examples=50)
def test_split_of_any_size(nnz, fraction, seed):
    R = some_ratings(7, 9, nnz, seed=seed, timestamps=False)
    if round(fraction * nnz) in (0, nnz):
        with pytest.raises(ValueError, match="part empty"):
            R.split(fraction, random_state=seed)
        return
    train, test = R.split(fraction, random_state=seed)
    assert test.nnz == round(fraction * nnz)
    assert rows_of(train).isdisjoint(rows_of(test))
    assert rows_of(train) | rows_of(test) == rows_of(R)


def test_split_depends_on_random_state_alone():
    R = some_ratings()
    first = R.split(random_state=5)[1]
    np.random.seed(123)
    state = np.random.get_state()[1].tolist()
    second = R.split(random_state=5)[1]
    assert rows_of(first) == rows_of(second)
    assert np.random.get_state()[1].tolist() == state
    assert rows_of(R.split(random_state=6)[1]) != rows_of(first)
    assert rows_of(R.split(random_state=np.random.default_rng(5))[1]) == rows_of(first)
    generator = np.random.default_rng(5)
    draws = [rows_of(R.split(random_state=generator)[1]) for _ in range(2)]
    assert draws[0] == rows_of(first) and draws[1] != draws[0]
    assert rows_of(R.split()[1]) != rows_of(R.split()[1])


def test_split_draws_every_rating_equally_often():
    R = mf.Ratings.from_arrays([0] * 10, range(10))
    generator = np.random.default_rng(0)
    counts = np.zeros(10)
    for _ in range(2000):
        counts[R.split(0.3, random_state=generator)[1].items] += 1
    # 2000 draws with probability 0.3: a standard deviation of 20.5; five of them.
    assert np.abs(counts - 600).max() < 103


def test_split_by_time():
    R = some_ratings()
    train, test = R.split(0.25, by="time")
    assert train.timestamps.max() <= test.timestamps.min()
    assert np.sort(np.concatenate([train.timestamps, test.timestamps])).tolist() == sorted(
        R.timestamps
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"test_fraction": 0}, ValueError, "strictly between 0 and 1"),
        ({"test_fraction": 1}, ValueError, "strictly between 0 and 1"),
        ({"test_fraction": -0.1}, ValueError, "strictly between 0 and 1"),
        ({"test_fraction": 1.5}, ValueError, "strictly between 0 and 1"),
        ({"test_fraction": float("nan")}, ValueError, "strictly between 0 and 1"),
        ({"test_fraction": 0.001}, ValueError, "leaves the test part empty"),
        ({"test_fraction": 0.999}, ValueError, "leaves the training part empty"),
        ({"test_fraction": "0.2"}, TypeError, "expected a number"),
        ({"test_fraction": True}, TypeError, "expected a number"),
        ({"by": "user"}, ValueError, "by='user' is unknown; choose 'random' or 'time'"),
        ({"by": "time"}, ValueError, "no timestamps"),
        ({"random_state": -1}, ValueError, "random_state=-1 must be at least 0"),
        *(
            ({"random_state": state}, TypeError, "expected an integer, None or a NumPy generator")
            for state in ("x", 1.5, True, [1, 2])
        ),
    ],
)
def test_bad_splits(arguments, error, message):
    R = some_ratings(timestamps=False)
    with pytest.raises(error, match=message):
        R.split(**arguments)


# ---- select --------------------------------------------------------------------------------------


def test_select():
    R = some_ratings()
    mask = R.values > 3
    part = R.select(mask)
    assert part.shape == R.shape and part.nnz == mask.sum()
    assert rows_of(part) == {row for row in rows_of(R) if row[2] > 3}
    assert rows_of(R.select(mask.tolist())) == rows_of(part)
    folds = np.arange(R.nnz) % 3
    assert set.union(*(rows_of(R.select(folds == fold)) for fold in range(3))) == rows_of(R)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.arange(200), TypeError, "expected bool"),
        (np.ones(199, bool), ValueError, r"expected shape \(200,\)"),
        (np.ones((200, 1), bool), ValueError, r"expected shape \(200,\)"),
        (np.zeros(200, bool), ValueError, "no rating is selected"),
    ],
)
def test_bad_selections(mask, error, message):
    with pytest.raises(error, match=message):
        some_ratings().select(mask)


# ---- aligned_to ----------------------------------------------------------------------------------


def test_alignment_example_in_full():
    R = mf.Ratings.from_arrays(
        [1, 1, 2, 4, 4], ["a", "b", "b", "a", "z"], [1.0, 2, 3, 4, 5], timestamps=range(5)
    )
    aligned, n_unknown = R.aligned_to(
        user_ids=np.array([0, 1, 3, 4]), item_ids=np.array(["a", "aa", "b"])
    )
    assert n_unknown == 2  # user 2, and item z
    assert aligned.shape == (4, 3) and aligned.user_ids.tolist() == [0, 1, 3, 4]
    assert aligned.to_scipy().toarray().tolist() == [[0, 0, 0], [1, 0, 2], [0, 0, 0], [4, 0, 0]]
    assert aligned.timestamps.tolist() == [0, 1, 3]
    only_items, n_unknown = R.aligned_to(item_ids=np.array(["b", "z"]))
    assert n_unknown == 2 and only_items.user_ids.tolist() == [1, 2, 4]
    assert only_items.to_scipy().toarray().tolist() == [[2, 0], [3, 0], [0, 5]]


def test_alignment_to_its_own_ids_changes_nothing():
    R = some_ratings()
    assert R.aligned_to() == (R, 0)
    assert R.aligned_to(user_ids=R.user_ids.copy(), item_ids=R.item_ids.copy()) == (R, 0)


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_alignment_keeps_exactly_what_is_known(data):
    R = some_ratings(5, 6, 15, seed=data.draw(st.integers(0, 99)))
    users = sorted(data.draw(st.sets(st.integers(998, 1006), min_size=1)))
    items = sorted(data.draw(st.sets(st.sampled_from([f"i{n}" for n in range(9)]), min_size=1)))
    kept = {row for row in rows_of(R) if row[0] in users and row[1] in items}
    if not kept:
        with pytest.raises(ValueError, match="none of the 15 ratings"):
            R.aligned_to(user_ids=np.array(users), item_ids=np.array(items))
        return
    aligned, n_unknown = R.aligned_to(user_ids=np.array(users), item_ids=np.array(items))
    assert rows_of(aligned) == kept and n_unknown == 15 - len(kept)
    assert aligned.user_ids.tolist() == users and aligned.item_ids.tolist() == items


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ({"user_ids": np.array([3, 1])}, ValueError, "user_ids: must be in ascending order"),
        ({"user_ids": np.array([1, 1])}, ValueError, "user_ids: 1 stands at positions 0 and 1"),
        ({"user_ids": np.array(["a"])}, TypeError, "user_ids"),
        ({"item_ids": np.array([1])}, TypeError, "item_ids"),
        ({"item_ids": np.array(["j"])}, ValueError, "do the ids mean the same"),
    ],
)
def test_bad_alignments(ids, error, message):
    with pytest.raises(error, match=message):
        some_ratings().aligned_to(**ids)
