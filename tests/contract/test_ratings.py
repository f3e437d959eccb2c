"""`Ratings` from arrays: raw ids, values, duplicates, what it gives out, and immutability."""

from __future__ import annotations

import copy
import datetime
import pickle
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matfac as mf
from matfac import _ids

INTEGER_DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
HAS_STRING_DTYPE = hasattr(np, "dtypes") and hasattr(np.dtypes, "StringDType")


def triplets_of(ratings):
    """The ratings as a dictionary (user, item) -> value."""
    users, items, values = ratings.to_arrays()
    pairs = zip(users.tolist(), items.tolist(), strict=True)
    return dict(zip(pairs, values.tolist(), strict=True))


# ---- what comes out ------------------------------------------------------------------------------


def test_small_example_in_full():
    R = mf.Ratings.from_arrays([7, 3, 7, -5], ["b", "c", "a", "b"], [1.5, 2, 3, 0])
    assert R.shape == (3, 3) and R.n_users == 3 and R.n_items == 3 and R.nnz == 4
    assert R.user_ids.tolist() == [-5, 3, 7] and R.user_ids.dtype == np.int64
    assert R.item_ids.tolist() == ["a", "b", "c"] and R.item_ids.dtype.kind == "U"
    assert R.offsets.tolist() == [0, 1, 2, 4] and R.offsets.dtype == np.int64
    assert R.items.tolist() == [1, 2, 0, 1] and R.items.dtype == np.int32
    assert R.values.tolist() == [0, 2, 3, 1.5]  # the explicit 0 is a rating
    assert R.mean == pytest.approx(6.5 / 4)
    assert R.timestamps is None and R.source is None
    assert repr(R) == "Ratings(3 users x 3 items, 4 ratings, float64)"


def test_one_rating():
    R = mf.Ratings.from_arrays(["only"], [9], np.float32([4]))
    assert R.shape == (1, 1) and R.nnz == 1 and R.dtype == np.float32
    assert triplets_of(R) == {("only", 9): 4}


def test_values_default_to_one():
    R = mf.Ratings.from_arrays([1, 2], [3, 4])
    assert R.values.tolist() == [1, 1] and R.dtype == np.float32


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (np.float64([1, 2]), None, np.float64),
        (np.float32([1, 2]), None, np.float32),
        (np.float16([1, 2]), None, np.float32),
        (np.int64([1, 2]), None, np.float32),
        (np.uint8([1, 2]), None, np.float32),
        ([1, 2], None, np.float32),
        ([1.0, 2.0], None, np.float64),
        ([Decimal(1), Fraction(2)], None, np.float64),
        (np.array([1, 2], dtype=">f8"), None, np.float64),
        (np.float64([1, 2]), "float32", np.float32),
        (np.float32([1, 2]), np.float64, np.float64),
        (None, "float64", np.float64),
    ],
)
def test_value_dtypes(values, dtype, expected):
    R = mf.Ratings.from_arrays([0, 0], [1, 2], values, dtype=dtype)
    assert R.dtype == expected and R.values.dtype == expected
    assert R.values.tolist() == ([1, 1] if values is None else [1, 2])


@pytest.mark.parametrize("kind", INTEGER_DTYPES)
def test_integer_ids_of_every_dtype(kind):
    R = mf.Ratings.from_arrays(np.array([100, 7, 100], kind), np.array([1, 2, 0], kind), [1, 2, 3])
    assert R.user_ids.tolist() == [7, 100] and R.user_ids.dtype == np.int64
    assert triplets_of(R) == {(100, 1): 1, (7, 2): 2, (100, 0): 3}


@pytest.mark.parametrize(
    "ids",
    [
        [10, -3, 10],
        (10, -3, 10),
        [np.int8(10), -3, np.uint64(10)],
        np.array([10, -3, 10], object),
        [10.0, -3.0, 10.0],
        np.float32([10, -3, 10]),
        pd.Series([10, -3, 10], index=[5, 6, 7]),
        pd.Series([10, -3, 10], dtype="Int64"),
        pd.Series([10, -3, 10], dtype="category"),
        pd.Index([10, -3, 10]),
        pl.Series([10, -3, 10]),
        pa.array([10, -3, 10]),
        pa.chunked_array([[10], [-3, 10]]),
        np.array([10, 0, -3, 0, 10, 0])[::2],
        np.ma.masked_array([10, -3, 10], mask=[False] * 3),
    ],
    ids=lambda ids: f"{type(ids).__module__}.{type(ids).__name__}",
)
def test_integers_in_every_container(ids):
    R = mf.Ratings.from_arrays(ids, [0, 1, 2], [1, 2, 3])
    assert R.user_ids.dtype == np.int64
    assert triplets_of(R) == {(10, 0): 1, (-3, 1): 2, (10, 2): 3}


STRINGS = ["Zoë", "amy", "", "Zoë"]


@pytest.mark.parametrize(
    "ids",
    [
        STRINGS,
        tuple(STRINGS),
        np.array(STRINGS),
        np.array(STRINGS, object),
        [np.str_(text) for text in STRINGS],
        pd.Series(STRINGS),
        pd.Series(STRINGS, dtype="string"),
        pd.Series(STRINGS, dtype="category"),
        pl.Series(STRINGS),
        pl.Series(STRINGS, dtype=pl.Categorical),
        pa.array(STRINGS),
        pa.chunked_array([STRINGS[:1], STRINGS[1:]]),
        pa.array(STRINGS).dictionary_encode(),
    ],
    ids=lambda ids: f"{type(ids).__module__}.{type(ids).__name__}",
)
def test_strings_in_every_container(ids):
    R = mf.Ratings.from_arrays(ids, [0, 1, 2, 3], [1, 2, 3, 4])
    assert R.user_ids.tolist() == ["", "Zoë", "amy"]
    assert triplets_of(R) == {("Zoë", 0): 1, ("amy", 1): 2, ("", 2): 3, ("Zoë", 3): 4}


@pytest.mark.skipif(not HAS_STRING_DTYPE, reason="StringDType came with NumPy 2")
def test_strings_of_variable_width():
    ids = np.array(STRINGS, dtype=np.dtypes.StringDType())
    R = mf.Ratings.from_arrays(ids, ids, [1, 2, 3, 4], duplicates="last")
    assert R.user_ids.tolist() == ["", "Zoë", "amy"]


def test_strings_ascend_by_code_point():
    strings = ["a", "B", "\U0001f600", "￿", "é", "b", "A", "10", "9", "a b"]
    R = mf.Ratings.from_arrays(strings, range(len(strings)))
    assert R.user_ids.tolist() == sorted(strings)
    assert [s.encode() for s in R.user_ids.tolist()] == sorted(s.encode() for s in strings)


def test_ids_beyond_a_chunk_and_far_apart(monkeypatch):
    monkeypatch.setattr(_ids, "_CHUNK", 3)
    generator = np.random.default_rng(0)
    far = generator.integers(-(2**62), 2**62, 50)[generator.integers(0, 50, 400)]
    for ids in (far, far.astype(str), far.astype(str).astype(object)):
        unique, codes = _ids.encode(ids)
        expected, inverse = np.unique(far if ids is far else far.astype(str), return_inverse=True)
        assert unique.tolist() == expected.tolist() and codes.tolist() == inverse.tolist()
        assert codes.dtype == np.int32
        assert _ids.lookup(unique, ids).tolist() == inverse.tolist()


# ---- properties ----------------------------------------------------------------------------------

some_ids = (
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-3, 5)),
    st.text(max_size=5).filter(lambda text: not text.endswith("\0")),
)


@st.composite
def distinct_triplets(draw):
    users, items = draw(st.sampled_from(some_ids)), draw(st.sampled_from(some_ids))
    pairs = draw(st.lists(st.tuples(users, items), min_size=1, max_size=40, unique=True))
    value = st.floats(-(2.0**99), 2.0**99, width=32)
    values = draw(st.lists(value, min_size=len(pairs), max_size=len(pairs)))
    return [u for u, _ in pairs], [i for _, i in pairs], values


@given(distinct_triplets())
@settings(deadline=None)
def test_round_trip_and_order(triplets):
    users, items, values = triplets
    R = mf.Ratings.from_arrays(users, items, np.float32(values))
    given_pairs = dict(zip(zip(users, items, strict=True), values, strict=True))
    assert triplets_of(R) == given_pairs
    assert R.user_ids.tolist() == sorted(set(users))
    assert R.item_ids.tolist() == sorted(set(items))
    again = mf.Ratings.from_arrays(*R.to_arrays())
    for name in ("offsets", "items", "values", "user_ids", "item_ids"):
        np.testing.assert_array_equal(getattr(again, name), getattr(R, name))


@given(distinct_triplets(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_the_rows_does_not_matter(triplets, random):
    R = mf.Ratings.from_arrays(*triplets)
    rows = list(zip(*triplets, strict=True))
    random.shuffle(rows)
    shuffled = mf.Ratings.from_arrays(*map(list, zip(*rows, strict=True)))
    for name in ("offsets", "items", "values", "user_ids", "item_ids"):
        np.testing.assert_array_equal(getattr(shuffled, name), getattr(R, name))


@given(distinct_triplets())
@settings(deadline=None)
def test_codes_of_the_ids_are_their_positions(triplets):
    R = mf.Ratings.from_arrays(*triplets)
    assert R.user_codes(R.user_ids).tolist() == list(range(R.n_users))
    assert R.item_codes(R.item_ids.tolist()).tolist() == list(range(R.n_items))


# ---- bad input -----------------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([1, None], ValueError, "position 1 is missing"),
        (["a", None], ValueError, "position 1 is missing"),
        (["a", NAN], ValueError, "position 1 is missing"),
        ([1.0, NAN], ValueError, "position 1 is missing"),
        (np.array([1, NAN]), ValueError, "position 1 is missing"),
        (pd.Series([1, None], dtype="Int64"), ValueError, "position 1 is missing"),
        (pd.Series(["a", None], dtype="string"), ValueError, "position 1 is missing"),
        (pl.Series([1, None]), ValueError, "position 1 is missing"),
        (pl.Series(["a", None]), ValueError, "position 1 is missing"),
        (pa.array(["a", None]), ValueError, "position 1 is missing"),
        (np.ma.masked_array([1, 2], mask=[False, True]), ValueError, "position 1 is missing"),
        ([1.0, 2.5], ValueError, r"2\.5 at position 1 is not a whole number"),
        (np.array([1, INF]), ValueError, "inf at position 1 is not a whole number"),
        (np.array([1, 2.0**60]), ValueError, "at position 1 is too large"),
        (np.array([1, 2**63], "uint64"), ValueError, "9223372036854775808 at position 1 is too"),
        ([1, 2**70], ValueError, "at position 1 is too large"),
        ([1, "a"], ValueError, "'a' at position 1 is of type str, but 1 at position 0"),
        (["a", 1], ValueError, "1 at position 1 is of type int"),
        ([1, True], TypeError, "True at position 1 is of type bool"),
        ([b"a", b"b"], TypeError, "b'a' at position 0 is of type bytes"),
        (["a", b"b"], TypeError, "b'b' at position 1 is of type bytes"),
        ([1, (2, 3)], TypeError, r"\(2, 3\) at position 1 is of type tuple"),
        (np.array([True, False]), TypeError, "at position 0 is a bool"),
        (np.array([b"a", b"b"]), TypeError, "at position 0 is bytes"),
        (np.array([1j, 2]), TypeError, "complex"),
        (np.array(["2020-01-01", "2020-01-02"], "M8[D]"), TypeError, "a date"),
        ([datetime.date(2020, 1, 1)] * 2, TypeError, "type date"),
        (np.array([[1, 2]]), ValueError, r"shape \(1, 2\)"),
        (np.array(1), ValueError, r"shape \(\)"),
        ("ab", TypeError, "put a single id into a list"),
        (5, TypeError, "put a single id into a list"),
        ({1, 2}, TypeError, "got set"),
        (["a", "b\0"], ValueError, "position 1 ends with a NUL"),
        (["a", "\ud800"], ValueError, "position 1 is no valid Unicode"),
        (["a", "b" * 2000], ValueError, "position 1 has 2,000 characters"),
    ],
)
@pytest.mark.parametrize("side", ["users", "items"])
def test_bad_ids(side, ids, error, message):
    arguments = {"users": [0, 1], "items": [0, 1], side: ids}
    with pytest.raises(error, match=message) as caught:
        mf.Ratings.from_arrays(arguments["users"], arguments["items"], [1, 2])
    assert side in str(caught.value)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([1, NAN], ValueError, r"nan at position 1 \(user 'b', item 20\) is not finite"),
        (np.float32([INF, 1]), ValueError, r"inf at position 0 \(user 'a', item 10\)"),
        ([1, -INF], ValueError, "-inf at position 1"),
        ([1, None], ValueError, "position 1 .* is missing"),
        (pd.Series([1, None], dtype="Int64"), ValueError, "position 1"),
        (np.ma.masked_array([1, 2], mask=[False, True]), ValueError, "position 1 is masked"),
        ([1, "2"], TypeError, "'2' at position 1 .* is of type str"),
        (np.array(["1", "2"]), TypeError, "which is no rating"),
        ([True, False], TypeError, "True at position 0"),
        (np.array([True, False]), TypeError, "a rating of 0 is not the same as no rating"),
        ([1, 2j], TypeError, "type complex"),
        (np.array([1, np.complex64(2)], object), TypeError, "type complex64"),
        (np.array([1, np.True_], object), TypeError, "type bool"),
        ([1, 10**400], ValueError, "position 1 .* too large for float64"),
        ([[1], [2]], ValueError, r"shape \(2, 1\)"),
        ([1], ValueError, "1 were given for 2"),
        ([1, 2, NAN], ValueError, "3 were given for 2"),
        (3.5, TypeError, "one-dimensional"),
        ("12", TypeError, "one-dimensional"),
    ],
)
def test_bad_values(values, error, message):
    with pytest.raises(error, match=message):
        mf.Ratings.from_arrays(["a", "b"], [10, 20], values)


def test_values_too_large_for_float32():
    values = np.array([1, 1e300])
    with pytest.raises(ValueError, match=r"1e\+300 at position 1 .* too large for float32"):
        mf.Ratings.from_arrays([0, 1], [0, 1], values, dtype="float32")
    R = mf.Ratings.from_arrays([0, 1], [0, 1], values)
    with pytest.raises(ValueError, match="too large for float32"):
        R.astype("float32")


@pytest.mark.parametrize("dtype", ["int32", "float16", "complex64"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(ValueError, match="'float32' or 'float64'"):
        mf.Ratings.from_arrays([0], [0], [1], dtype=dtype)


@pytest.mark.parametrize("empty", [[], np.array([]), np.array([], int), np.array([], str)])
def test_no_ratings(empty):
    with pytest.raises(ValueError, match="there are no ratings"):
        mf.Ratings.from_arrays(empty, empty, [])


def test_different_lengths():
    with pytest.raises(ValueError, match="2 users and 3 items"):
        mf.Ratings.from_arrays([1, 2], [1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="timestamps: 1 were given for 2"):
        mf.Ratings.from_arrays([1, 2], [1, 2], [1, 2], timestamps=[5])


def test_counts_that_codes_cannot_number():
    _ids.check_count(2**31 - 1, "users")
    with pytest.raises(ValueError, match="2,147,483,648 of them are too many; codes are 32-bit"):
        _ids.check_count(2**31, "users")


# ---- duplicates ----------------------------------------------------------------------------------

DUPLICATED = ([5, 5, 4, 5], ["x", "y", "x", "x"], [1.0, 2.0, 3.0, 5.0])


@pytest.mark.parametrize(
    ("policy", "kept"), [("first", 1), ("last", 5), ("mean", 3), ("sum", 6), (None, 5)]
)
@pytest.mark.filterwarnings("ignore::matfac.DuplicateRatingsWarning")
def test_duplicate_policies(policy, kept):
    R = mf.Ratings.from_arrays(*DUPLICATED, duplicates=policy)
    assert triplets_of(R) == {(4, "x"): 3, (5, "x"): kept, (5, "y"): 2}


def test_the_default_policy_warns_and_shows_the_first_pair():
    with pytest.warns(mf.DuplicateRatingsWarning) as caught:
        mf.Ratings.from_arrays(*DUPLICATED)
    message = str(caught[0].message)
    assert message.startswith("1 rating repeats")
    assert "user 5 rated item 'x' at position 0 (1) and again at position 3 (5)" in message
    assert caught[0].filename == __file__  # the caller's line, not one of ours


@pytest.mark.parametrize("policy", ["first", "last", "mean", "sum"])
def test_a_stated_policy_does_not_warn(policy):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mf.Ratings.from_arrays(*DUPLICATED, duplicates=policy)


def test_duplicates_as_an_error():
    with pytest.raises(ValueError, match=r"user 5 rated item 'x' at position 0 \(1\) and again"):
        mf.Ratings.from_arrays(*DUPLICATED, duplicates="error")
    mf.Ratings.from_arrays([1, 1], [1, 2], duplicates="error")


def test_unknown_policy():
    with pytest.raises(ValueError, match="duplicates='max' is unknown; choose one of 'error'"):
        mf.Ratings.from_arrays(*DUPLICATED, duplicates="max")


def test_a_sum_that_leaves_the_range():
    values = np.float32([3e38, 3e38])
    with pytest.raises(ValueError, match="merged rating"):
        mf.Ratings.from_arrays([1, 1], [1, 1], values, duplicates="sum")


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-9, 9)), min_size=1),
    st.sampled_from(["first", "last", "mean", "sum"]),
)
@settings(deadline=None)
def test_duplicate_policies_against_a_dictionary(rows, policy):
    collected = {}
    for user, item, value in rows:
        collected.setdefault((user, item), []).append(value)
    fold = {
        "first": lambda values: values[0],
        "last": lambda values: values[-1],
        "mean": lambda values: sum(values) / len(values),
        "sum": sum,
    }[policy]
    users, items, values = zip(*rows, strict=True)
    R = mf.Ratings.from_arrays(users, items, np.float64(values), duplicates=policy)
    found = triplets_of(R)
    assert found.keys() == collected.keys()
    for pair, values in collected.items():
        assert found[pair] == pytest.approx(fold(values), rel=1e-12)


# ---- time stamps ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("first", [30, 40, 20]),
        ("last", [30, 10, 20]),
        ("mean", [30, 40, 20]),
        ("sum", [30, 40, 20]),
    ],
)
def test_timestamps_follow_the_rating_kept(policy, expected):
    R = mf.Ratings.from_arrays(*DUPLICATED, timestamps=[40, 20, 30, 10], duplicates=policy)
    assert R.timestamps.tolist() == expected and R.timestamps.dtype == np.int64


DAYS = ["2020-01-02", "2020-01-01"]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (np.uint32([2, 1]), np.int64([2, 1])),
        ([2.0, 1.0], np.int64([2, 1])),
        ([2.5, 1.0], np.float64([2.5, 1])),
        (["2020-01-02", "2020-01-01 10:30:00"], np.array(["2020-01-02", "2020-01-01T10:30"], "M8")),
        (np.array(DAYS, "M8[D]"), np.array(DAYS, "M8[D]")),
        ([datetime.datetime.fromisoformat(day) for day in DAYS], np.array(DAYS, "M8[us]")),
        (pd.to_datetime(DAYS), np.array(DAYS, "M8[ns]")),
    ],
)
def test_timestamp_kinds(times, expected):
    R = mf.Ratings.from_arrays([0, 1], [0, 1], timestamps=times)
    assert R.timestamps.dtype.kind == expected.dtype.kind
    np.testing.assert_array_equal(R.timestamps, expected)
    assert not R.timestamps.flags.writeable


@pytest.mark.parametrize(
    ("times", "error"),
    [
        ([1, NAN], ValueError),
        ([1, None], ValueError),
        (["2020-01-01", "soon"], ValueError),
        (np.array(["2020-01-01", "NaT"], "M8[s]"), ValueError),
        ([datetime.datetime.now(datetime.timezone.utc)] * 2, ValueError),
        (np.array([2**63, 1], "uint64"), ValueError),
        (np.array([1e30, 1]), ValueError),
        ([True, False], TypeError),
        (np.array([True, False]), TypeError),
        (np.array([1j, 2]), TypeError),
        (7, TypeError),
    ],
)
def test_bad_timestamps(times, error):
    with pytest.raises(error, match="timestamps"):
        mf.Ratings.from_arrays([0, 1], [0, 1], timestamps=times)


# ---- codes ---------------------------------------------------------------------------------------


def test_codes_of_unknown_ids():
    R = mf.Ratings.from_arrays([10, 20, 40], ["b", "dd", "a"])
    codes = R.user_codes([20, 0, 40, 41, -10, 10, 30, 20])
    assert codes.tolist() == [1, -1, 2, -1, -1, 0, -1, 1] and codes.dtype == np.int32
    codes = R.item_codes(["dd", "d", "ddd", "", "a", "z", "A", "b\0"])
    assert codes.tolist() == [2, -1, -1, -1, 0, -1, -1, -1]
    assert R.item_codes(np.array(["dd", "a", "longer than any"])).tolist() == [2, 0, -1]
    assert R.user_codes([]).tolist() == [] and R.item_codes(np.array([], int)).tolist() == []


def test_a_query_of_the_wrong_kind_is_refused():
    R = mf.Ratings.from_arrays([1, 2], ["1", "2"])
    with pytest.raises(
        TypeError, match=r"users: '1' at position 0 is among strings.*astype\(int\)"
    ):
        R.user_codes(["1"])
    with pytest.raises(TypeError, match=r"items: 1 at position 0 is among integers.*astype\(str\)"):
        R.item_codes([1])
    with pytest.raises(ValueError, match="users: the id at position 1 is missing"):
        R.user_codes([1, None])
    with pytest.raises(TypeError, match="put a single id into a list"):
        R.user_codes(1)


# ---- immutability --------------------------------------------------------------------------------


def test_everything_given_out_is_read_only():
    R = mf.Ratings.from_arrays(*DUPLICATED, timestamps=range(4), duplicates="last")
    for name in ("offsets", "items", "values", "user_ids", "item_ids", "timestamps"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(R, name)[0] = getattr(R, name)[0]
        with pytest.raises(AttributeError):
            setattr(R, name, None)
    with pytest.raises(AttributeError, match="immutable"):
        R.anything = 1
    with pytest.raises(AttributeError, match="immutable"):
        del R._native
    with pytest.raises(TypeError, match="from_arrays"):
        mf.Ratings([1], [2], [3])


def test_later_changes_of_the_input_do_not_reach_in():
    users, items, values = np.array([1, 2]), np.array([1, 2]), np.float32([3, 4])
    times = np.array([5, 6])
    R = mf.Ratings.from_arrays(users, items, values, timestamps=times)
    for array in (users, items, values, times):
        assert array.flags.writeable
        array[:] = 99
    assert triplets_of(R) == {(1, 1): 3, (2, 2): 4} and R.timestamps.tolist() == [5, 6]


def test_astype():
    R = mf.Ratings.from_arrays([1, 2], [3, 4], np.float32([0.1, 2]), timestamps=[7, 8])
    wide = R.astype("float64")
    assert wide.dtype == np.float64 and wide.values[0] == np.float32(0.1)
    assert np.shares_memory(wide.items, R.items) and np.shares_memory(wide.offsets, R.offsets)
    assert wide.timestamps.tolist() == [7, 8]
    assert R.astype(np.float32) is R and R.dtype == np.float32


@pytest.mark.parametrize(
    "again", [lambda R: pickle.loads(pickle.dumps(R)), copy.copy, copy.deepcopy]
)
def test_pickle_and_copy(again):
    R = mf.Ratings.from_arrays(*DUPLICATED, timestamps=range(4), duplicates="last")
    other = again(R)
    assert isinstance(other, mf.Ratings) and repr(other) == repr(R)
    for name in ("offsets", "items", "values", "user_ids", "item_ids", "timestamps"):
        np.testing.assert_array_equal(getattr(other, name), getattr(R, name))
        assert not getattr(other, name).flags.writeable
    assert R == R and other != R and len({R, other}) == 2  # equal is the same object
