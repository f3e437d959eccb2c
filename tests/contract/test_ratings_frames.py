"""`Ratings` from data frames of every make."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import matfac as mf
from matfac._columns import choose_columns

COLUMNS = {
    "userId": [7, 3, 7],
    "movieId": ["b", "c", "a"],
    "rating": [1.5, 2.0, 3.0],
    "timestamp": [30, 10, 20],
}
MAKES = {
    "pandas": pd.DataFrame,
    "pandas-arrow": lambda columns: pd.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow"),
    "pandas-nullable": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "polars": pl.DataFrame,
    "arrow": pa.table,
}


@pytest.fixture(params=MAKES)
def make(request):
    return MAKES[request.param]


def test_every_make(make):
    R = mf.Ratings.from_frame(make(COLUMNS))
    assert R.user_ids.tolist() == [3, 7] and R.item_ids.tolist() == ["a", "b", "c"]
    assert R.to_scipy().toarray().tolist() == [[0, 0, 2], [3, 1.5, 0]]
    assert R.timestamps.tolist() == [10, 20, 30] and R.dtype == np.float64


def test_order_and_further_columns_do_not_matter(make):
    columns = {"title": ["x", "y", "z"], **{name: COLUMNS[name] for name in reversed(COLUMNS)}}
    R = mf.Ratings.from_frame(make(columns))
    assert R.to_scipy().toarray().tolist() == [[0, 0, 2], [3, 1.5, 0]]


def test_pandas_index_is_not_taken_for_a_column():
    frame = pd.DataFrame(COLUMNS, index=[9, 9, 9])
    assert mf.Ratings.from_frame(frame).nnz == 3


def test_columns_by_position(make):
    R = mf.Ratings.from_frame(make({f"c{n}": values for n, values in enumerate(COLUMNS.values())}))
    assert R.item_ids.tolist() == ["a", "b", "c"] and R.timestamps.tolist() == [10, 20, 30]


def test_columns_by_choice(make):
    frame = make({**COLUMNS, "stars": [5, 5, 5]})
    R = mf.Ratings.from_frame(frame, rating="stars", timestamp=False)
    assert R.values.tolist() == [5, 5, 5] and R.timestamps is None
    R = mf.Ratings.from_frame(frame, rating=2)
    assert R.values.tolist() == [2, 3, 1.5]
    R = mf.Ratings.from_frame(frame, user="movieId", item="userId", rating=False)
    assert R.user_ids.tolist() == ["a", "b", "c"] and R.values.tolist() == [1, 1, 1]


def test_integer_column_names():
    R = mf.Ratings.from_frame(pd.DataFrame([[1, 2, 3.0], [4, 5, 6.0]]))
    assert R.nnz == 2
    frame = pd.DataFrame([[3.0, 2, 1], [6.0, 5, 4]], columns=[2, 1, 0])
    assert mf.Ratings.from_frame(frame, user=0, item=1, rating=2).values.tolist() == [3, 6]


@pytest.mark.parametrize("role", ["userId", "movieId", "rating"])
def test_nulls_are_refused_with_their_row(make, role):
    columns = {**COLUMNS, role: [COLUMNS[role][0], COLUMNS[role][1], None]}
    with pytest.raises(ValueError, match=f"row 2 \\(from 0\\) of column '{role}' is missing"):
        mf.Ratings.from_frame(make(columns))


def test_a_nan_that_is_no_null():
    with pytest.raises(ValueError, match=r"nan at position 1 \(user 3, item 'c'\) is not finite"):
        mf.Ratings.from_frame(pl.DataFrame({**COLUMNS, "rating": [1.0, float("nan"), 2.0]}))


def test_policy_and_dtype_are_passed_on(make):
    columns = {name: values * 2 for name, values in COLUMNS.items()}
    with pytest.raises(ValueError, match="repeat"):
        mf.Ratings.from_frame(make(columns), duplicates="error")
    R = mf.Ratings.from_frame(make(columns), duplicates="sum", dtype="float32")
    assert R.values.tolist() == [4, 6, 3] and R.dtype == np.float32


@pytest.mark.parametrize(
    "times",
    [
        [datetime.datetime(2020, 1, day) for day in (3, 1, 2)],
        [datetime.date(2020, 1, day) for day in (3, 1, 2)],
        ["2020-01-03", "2020-01-01", "2020-01-02"],
    ],
)
def test_dates(make, times):
    R = mf.Ratings.from_frame(make({**COLUMNS, "timestamp": times}))
    assert R.timestamps.dtype.kind == "M"
    expected = np.array(["2020-01-01", "2020-01-02", "2020-01-03"], R.timestamps.dtype)
    np.testing.assert_array_equal(R.timestamps, expected)


def test_time_zones_become_utc():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    frame = pd.DataFrame(
        {**COLUMNS, "timestamp": [datetime.datetime(2020, 1, 1, 12, tzinfo=zone)] * 3}
    )
    R = mf.Ratings.from_frame(frame)
    assert R.timestamps[0] == np.datetime64("2020-01-01T10:00")


def test_a_guessed_timestamp_that_holds_no_times_is_left_out(make):
    columns = {**COLUMNS, "timestamp": ["now", "then", "soon"]}
    with pytest.warns(UserWarning, match="'timestamp' holds no times: .* without times"):
        assert mf.Ratings.from_frame(make(columns)).timestamps is None
    with pytest.raises(ValueError, match="column 'timestamp' holds no times"):
        mf.Ratings.from_frame(make(columns), timestamp="timestamp")


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (pl.DataFrame(COLUMNS).lazy(), TypeError, r"collect it first"),
        (COLUMNS, TypeError, "expected a data frame, got dict"),
        (np.ones((3, 3)), TypeError, "expected a data frame, got ndarray"),
        (pd.DataFrame(COLUMNS)[:0], ValueError, "there are no ratings"),
        (pd.DataFrame({"user": [1], "item": [2]}), ValueError, "which column is the rating"),
        (pl.DataFrame({**COLUMNS, "rating": [True, False, True]}), TypeError, "no rating"),
        (pl.DataFrame({**COLUMNS, "rating": ["1", "2", "3"]}), TypeError, "pass numbers"),
        (pl.DataFrame({**COLUMNS, "rating": ["1", "2", "3"]}), TypeError, "column 'rating': '1'"),
        (pd.DataFrame({**COLUMNS, "rating": [1, np.inf, 3]}), ValueError, "^column 'rating': inf"),
        (pd.DataFrame({"user": [1], "item": [2]}), ValueError, "or rating=False if each row"),
        (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), ValueError, "'a' 2 times; rename"),
        (pd.DataFrame([[0, 1, 2, 3]], columns=["index", *"ums"]), ValueError, "row numbers"),
        (pl.DataFrame({**COLUMNS, "userId": [1.5, 2, 3]}), ValueError, "not a whole number"),
        (pl.DataFrame({**COLUMNS, "userId": [True, False, True]}), TypeError, "no id"),
    ],
)  # fmt: skip
def test_bad_frames(frame, error, message):
    with pytest.raises(error, match=message):
        mf.Ratings.from_frame(frame)


# ---- which column is which -----------------------------------------------------------------------

ANY = {"user": None, "item": None, "rating": None, "timestamp": None}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["user", "item", "rating"], [0, 1, 2, None]),
        (["userId", "movieId", "rating", "timestamp"], [0, 1, 2, 3]),
        (["userID", "artistID", "weight"], [0, 1, 2, None]),
        (["User-ID", "ISBN", "Book-Rating"], [0, 1, 2, None]),
        (["reviewerID", "asin", "overall", "unixReviewTime"], [0, 1, 2, 3]),
        (["Time", "score", "ITEM_ID", "User Id", "extra"], [3, 2, 1, 0]),
        (["a", "b", "c"], [0, 1, 2, None]),
        (["a", "b", "c", "d"], [0, 1, 2, 3]),
        (["user", "x", "rating", "y"], [0, 1, 2, 3]),
        (["", "user", "item", "value"], [1, 2, 3, None]),
        (["user", "item", "rating", "comment"], [0, 1, 2, None]),
    ],
)
def test_columns_are_guessed(names, expected):
    roles = choose_columns(names, len(names), ANY)
    assert [roles.get(role) for role in ANY] == expected


@pytest.mark.parametrize(
    ("names", "choice", "message"),
    [
        (["user", "user_id", "item", "rating"], {}, "could be the user: 'user' and 'user_id'"),
        (["user", "item", "rating", "score"], {}, "could be the rating: 'rating' and 'score'"),
        (["user", "item", "rating", "time", "date"], {}, "timestamp=False for none"),
        (["a", "b"], {}, "cannot tell which column is the user and which the item"),
        (["a", "b", "c", "d", "e"], {}, r"The 5 columns are 'a', 'b', 'c', 'd', 'e'"),
        (["item", "x", "rating"], {}, "cannot tell which column is the user"),
        (["a", "b", "c"], {"user": "z"}, "user='z': there is no such column"),
        (["a", "b", "c"], {"user": 3}, r"positions are 0 \.\. 2"),
        (["a", "b", "c"], {"user": -1}, r"positions are 0 \.\. 2"),
        (["a", "b", "c"], {"user": "b"}, "cannot tell which"),
        (["a", "b", "c"], {"user": "b", "item": "b"}, "is the column of user already"),
        (["a", "a", "b"], {"user": "a"}, "several columns have this name"),
        (None, {"user": "a"}, "columns have no names"),
    ],
)
def test_columns_that_cannot_be_told(names, choice, message):
    with pytest.raises(ValueError, match=message):
        choose_columns(names, 3 if names is None else len(names), {**ANY, **choice})


@pytest.mark.parametrize("choice", [{"user": False}, {"item": True}, {"rating": 1.0}])
def test_choices_of_a_wrong_type(choice):
    with pytest.raises(TypeError, match="the name or the position of a column"):
        choose_columns(["a", "b", "c"], 3, {**ANY, **choice})
