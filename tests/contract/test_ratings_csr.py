"""`Ratings` from compressed rows and SciPy: copies only where they must be, and then a warning."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import scipy.sparse as sp

import matfac as mf

DENSE = np.array([[0, 2, 0, 4], [0, 0, 0, 0], [1.5, 0, 0, 3]])
FORMATS = ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]


def csr(dtype="float32"):
    return sp.csr_array(DENSE.astype(dtype))


def snapshot(matrix):
    """Everything that a caller could notice to have changed."""
    arrays = [getattr(matrix, name, None) for name in ("indptr", "indices", "data", "row", "col")]
    return [(id(a), a.tolist(), a.dtype, a.flags.writeable) for a in arrays if a is not None]


@pytest.fixture
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# ---- without a copy ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [sp.csr_array, sp.csr_matrix])
@pytest.mark.usefixtures("no_warnings")
def test_a_good_csr_matrix_is_read_where_it_lies(make, dtype):
    X = make(DENSE.astype(dtype))
    before = snapshot(X)
    R = mf.Ratings.from_csr(X)
    assert np.shares_memory(R.items, X.indices) and np.shares_memory(R.values, X.data)
    assert R.items.ctypes.data == X.indices.ctypes.data
    assert R.values.ctypes.data == X.data.ctypes.data
    assert snapshot(X) == before and X.data.flags.writeable
    assert R.shape == (3, 4) and R.dtype == dtype
    assert R.user_ids.tolist() == [0, 1, 2] and R.item_ids.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(R.to_scipy().toarray(), DENSE)


@pytest.mark.usefixtures("no_warnings")
def test_arrays_are_read_where_they_lie():
    offsets, items = np.array([0, 2, 2, 4]), np.array([1, 3, 0, 3], np.int32)
    values = np.float64([2, 4, 1.5, 3])
    R = mf.Ratings.from_csr_arrays(offsets, items, values, 4)
    for given, held in ((offsets, R.offsets), (items, R.items), (values, R.values)):
        assert given.ctypes.data == held.ctypes.data
        assert given.flags.writeable and not held.flags.writeable


@pytest.mark.usefixtures("no_warnings")
def test_read_only_input_and_slack_are_fine():
    X = csr()
    X.indices = np.append(X.indices, np.int32([77, 77]))
    X.data = np.append(X.data, np.float32([np.nan, 0]))
    for array in (X.indptr, X.indices, X.data):
        array.flags.writeable = False
    R = mf.Ratings.from_csr(X)
    assert R.nnz == 4 and R.values.ctypes.data == X.data.ctypes.data


def test_the_ratings_keep_the_memory_alive():
    X = csr()
    R = mf.Ratings.from_csr(X)
    values = R.values
    del X, R
    assert values.tolist() == [2, 4, 1.5, 3]


def test_explicit_zeros_are_ratings():
    X = csr()
    X.data[:] = 0
    assert mf.Ratings.from_csr(X).nnz == 4


# ---- with a copy ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("make", ["array", "matrix"])
def test_every_format(name, make):
    X = getattr(sp, f"{name}_{make}")(DENSE)
    before = snapshot(X)
    expected = (
        nullcontext() if name == "csr" else pytest.warns(mf.CopyWarning, match=f"{name.upper()} ->")
    )
    with expected:
        R = mf.Ratings.from_csr(X)
    assert R.nnz == 4 and R.shape == (3, 4)
    np.testing.assert_array_equal(R.to_scipy().toarray(), DENSE)
    assert snapshot(X) == before


def unsorted():
    X = csr()
    X.indices[:2], X.data[:2] = X.indices[:2][::-1].copy(), X.data[:2][::-1].copy()
    return X


def with_dtype(**dtypes):
    X = csr()
    for name, dtype in dtypes.items():
        setattr(X, name, getattr(X, name).astype(dtype))
    return X


def strided():
    X = csr()
    X.data = np.repeat(X.data, 2)[::2]
    return X


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (unsorted, "not in ascending order"),
        (lambda: with_dtype(indices="int64", indptr="int64"), "int64 -> int32"),
        (lambda: with_dtype(data="float16"), "float16 -> float32"),
        (lambda: with_dtype(data=">f4"), ">f4 -> float32"),
        (strided, "not contiguous"),
    ],
)
def test_costly_copies_warn_and_leave_the_original_alone(make, reason):
    X = make()
    before = snapshot(X)
    with pytest.warns(mf.CopyWarning, match=reason) as caught:
        R = mf.Ratings.from_csr(X)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert snapshot(X) == before
    np.testing.assert_array_equal(R.to_scipy().toarray(), DENSE)


@pytest.mark.usefixtures("no_warnings")
def test_wider_offsets_alone_are_no_costly_copy():
    X = with_dtype(indptr="int64")
    R = mf.Ratings.from_csr(X)
    assert np.shares_memory(R.offsets, X.indptr) and np.shares_memory(R.values, X.data)


def test_a_dtype_that_is_asked_for():
    with pytest.warns(mf.CopyWarning, match="float32 -> float64"):
        R = mf.Ratings.from_csr(csr(), dtype="float64")
    assert R.dtype == np.float64


# ---- duplicates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["csr", "csc", "coo"])
@pytest.mark.parametrize(
    ("policy", "kept"), [("first", 1), ("last", 4), ("mean", 2.5), ("sum", 5), (None, 4)]
)
def test_duplicates_are_not_added_up_unasked(name, policy, kept):
    if name == "coo":
        X = sp.coo_array(([1.0, 7, 4], ([0, 1, 0], [2, 0, 2])), shape=(2, 3))
    elif name == "csr":
        X = sp.csr_array(([1.0, 4, 7], [2, 2, 0], [0, 2, 3]), shape=(2, 3))
    else:
        X = sp.csc_array(([7.0, 1, 4], [1, 0, 0], [0, 1, 1, 3]), shape=(2, 3))
    before = snapshot(X)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        R = mf.Ratings.from_csr(X, duplicates=policy)
    kinds = {warning.category for warning in caught}
    assert kinds == {mf.CopyWarning} | ({mf.DuplicateRatingsWarning} if policy is None else set())
    assert R.to_scipy().toarray().tolist() == [[0, 0, kept], [7, 0, 0]]
    assert snapshot(X) == before
    with pytest.raises(ValueError, match="user 0 rated item 2 at position"):
        mf.Ratings.from_csr(X, duplicates="error")


# ---- ids -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_warnings")
def test_ids_in_ascending_order_cost_no_copy():
    X = csr()
    R = mf.Ratings.from_csr(X, user_ids=["a", "b", "c"], item_ids=[-1, 5, 7, 9])
    assert R.user_ids.tolist() == ["a", "b", "c"] and R.item_ids.tolist() == [-1, 5, 7, 9]
    assert np.shares_memory(R.values, X.data)


@pytest.mark.parametrize("name", ["csr", "csc", "coo"])
def test_ids_in_another_order_are_sorted_with_the_rows(name):
    X = csr().asformat(name)
    users, items = ["c", "a", "b"], [9, 7, 5, -1]
    with pytest.warns(mf.CopyWarning):
        R = mf.Ratings.from_csr(X, user_ids=users, item_ids=items)
    assert R.user_ids.tolist() == ["a", "b", "c"] and R.item_ids.tolist() == [-1, 5, 7, 9]
    expected = DENSE[np.argsort(users)][:, np.argsort(items)]
    np.testing.assert_array_equal(R.to_scipy().toarray(), expected)


@pytest.mark.parametrize("name", ["csr", "coo"])
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ({"user_ids": [1, 2]}, "user_ids: 2 ids were given for 3"),
        ({"item_ids": [1, 2, 3, 4, 5]}, "item_ids: 5 ids were given for 4"),
        ({"user_ids": [1, 2, 1]}, "user_ids: 1 stands at positions 0 and 2"),
        ({"item_ids": ["a", "b", "c", "b"]}, "item_ids: 'b' stands at positions 1 and 3"),
        ({"user_ids": [1, 2, None]}, "user_ids: the id at position 2 is missing"),
    ],
)
@pytest.mark.filterwarnings("ignore::matfac.CopyWarning")
def test_bad_ids(name, ids, message):
    with pytest.raises(ValueError, match=message):
        mf.Ratings.from_csr(csr().asformat(name), **ids)


# ---- bad input -----------------------------------------------------------------------------------


def broken(**arrays):
    X = csr()
    for name, array in arrays.items():
        setattr(X, name, np.asarray(array, dtype=getattr(X, name).dtype))
    return X


@pytest.mark.parametrize("unsorted_ids", [False, True])
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"indices": [1, 4, 0, 3]},
            r"items: 4 at position 1 is out of range; it must be in 0 \.\. 3",
        ),
        ({"indices": [1, 3, -1, 3]}, "items: -1 at position 2 is out of range"),
        ({"indptr": [1, 2, 2, 4]}, "the first must be 0, got 1"),
        ({"indptr": [0, 3, 2, 4]}, "must never fall, got 3 at position 1 and 2 after it"),
        ({"indptr": [0, 2, 2, 9]}, "the last is 9, but there are 4"),
        ({"indptr": [0, 2, 2, -1]}, "must never fall"),
        ({"indptr": [0, 2, 4]}, "3 entries for 3 rows; there must be one more"),
        ({"indptr": []}, "0 entries for 3 rows"),
        ({"indices": [1, 3, 0]}, "there must be as many of both|the last is 4"),
        ({"data": [1, 2, 3]}, "there must be as many of both"),
        ({"data": [1, np.nan, 2, 3]}, r"nan at position 1 \(row 0, column 3\) is not finite"),
        ({"data": [1, 2, 3, np.inf]}, r"inf at position 3 \(row 2, column 3\) is not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore::matfac.CopyWarning")
def test_malformed_csr_is_refused(arrays, message, unsorted_ids):
    ids = {"user_ids": [3, 1, 2], "item_ids": [9, 8, 7, 6]} if unsorted_ids else {}
    with pytest.raises(ValueError, match=message):
        mf.Ratings.from_csr(broken(**arrays), **ids)


@pytest.mark.parametrize(
    ("name", "attribute", "array", "message"),
    [
        ("csc", "indices", [2, 0, 0, 3], "row indices|users|out of range"),
        ("csc", "indices", [2, 0, -1, 2], "row indices|users|out of range"),
        ("csc", "indptr", [0, 1, 2, 1, 4], "must never fall"),
        ("csc", "indptr", [0, 1, 2, 2, 900], "the last is 900"),
        ("csc", "indptr", [0, 1, 4], "3 entries for 4 columns"),
        ("coo", "row", [0, 0, 3, 2], "out of range"),
        ("coo", "col", [1, -3, 0, 3], "out of range"),
        ("coo", "data", [1, 2, np.nan, 3], "nan at position 2"),
        ("bsr", "indices", [0, 99, 0, 1], "out of range|the last is"),
    ],
)
@pytest.mark.parametrize("unsorted_ids", [False, True])
@pytest.mark.filterwarnings("ignore::matfac.CopyWarning")
def test_other_malformed_matrices_are_refused(name, attribute, array, message, unsorted_ids):
    X = getattr(sp, f"{name}_matrix")(DENSE)
    setattr(X, attribute, np.asarray(array, getattr(X, attribute).dtype))
    ids = {"user_ids": [3, 1, 2], "item_ids": [9, 8, 7, 6]} if unsorted_ids else {}
    with pytest.raises(ValueError, match=message):
        mf.Ratings.from_csr(X, **ids)


def test_64_bit_codes_are_checked_before_they_are_narrowed():
    items = np.array([2**32 + 1, 3, 0, 3])
    with pytest.raises(ValueError, match="items: 4294967297 at position 0 is out of range"):
        mf.Ratings.from_csr_arrays(np.array([0, 1, 4]), items, np.ones(4, np.float32), 4)


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        (DENSE, TypeError, "nothing tells a missing rating from a rating of 0"),
        (np.matrix(DENSE), TypeError, "numpy.nonzero"),
        ([[1, 2]], TypeError, "expected a SciPy sparse matrix, got list"),
        (None, TypeError, "got NoneType"),
        (sp.csr_array((3, 4)), ValueError, "there are no ratings"),
        (sp.coo_array((3, 4)), ValueError, "there are no ratings"),
        (csr().astype(bool), TypeError, "say what True and False are worth"),
        (csr().astype(complex), TypeError, "complex"),
    ],
)
def test_what_is_no_matrix_of_ratings(matrix, error, message):
    with pytest.raises(error, match=message):
        mf.Ratings.from_csr(matrix)


@pytest.mark.parametrize("shape", [(2**31, 1), (1, 2**31)])
def test_too_many_rows_or_columns(shape):
    X = sp.coo_array(([1.0], ([0], [0])), shape=shape)
    with pytest.raises(ValueError, match="codes are 32-bit"):
        mf.Ratings.from_csr(X)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_items": 2**31}, ValueError, "codes are 32-bit"),
        ({"n_items": 3}, ValueError, "items: 3 at position 1 is out of range"),
        ({"n_items": 0}, ValueError, "at least one item"),
        ({"n_items": 4.0}, TypeError, "n_items=4.0"),
        ({"items": [1, 3, 0, 3]}, TypeError, "items: expected a NumPy array, got list"),
        ({"items": np.float32([1, 3, 0, 3])}, TypeError, "items: expected integers"),
        ({"offsets": np.float64([0, 2, 2, 4])}, TypeError, "offsets: expected integers"),
        ({"offsets": np.array([0, 2, 2, 3])}, ValueError, "the last is 3, but there are 4"),
        ({"offsets": np.array([], int)}, ValueError, "got none"),
        ({"offsets": np.array([[0, 4]])}, ValueError, r"shape \(1, 2\)"),
        ({"values": np.ones((4, 1))}, ValueError, r"shape \(4, 1\)"),
        ({"values": np.array(["a"] * 4)}, TypeError, "no rating"),
        ({"offsets": np.array([0]), "items": np.array([], np.int32), "values": np.array([])},
         ValueError, "there are no ratings"),
    ],
)  # fmt: skip
def test_bad_csr_arrays(change, error, message):
    arguments = {
        "offsets": np.array([0, 2, 2, 4]),
        "items": np.array([1, 3, 0, 3], np.int32),
        "values": np.ones(4, np.float32),
        "n_items": 4,
        **change,
    }
    with pytest.raises(error, match=message):
        mf.Ratings.from_csr_arrays(**arguments)


# ---- SciPy's side --------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_warnings")
def test_to_scipy_shares_memory_and_round_trips():
    R = mf.Ratings.from_arrays([3, 1, 3], ["b", "a", "a"], [1.0, 2, 3])
    X = R.to_scipy()
    assert isinstance(X, sp.csr_array) and X.shape == R.shape
    assert np.shares_memory(X.data, R.values) and np.shares_memory(X.indices, R.items)
    assert not X.data.flags.writeable
    assert (X @ np.ones(2)).tolist() == [2, 4]
    again = mf.Ratings.from_csr(X, user_ids=R.user_ids, item_ids=R.item_ids)
    assert np.shares_memory(again.values, R.values)
    assert again.offsets.tolist() == R.offsets.tolist()


def test_scipy_and_frames_are_imported_only_when_they_are_used():
    code = """
        import sys
        import numpy as np
        import matfac as mf
        R = mf.Ratings.from_arrays([1, 2], ["a", "b"], np.float32([1, 2]))
        R = mf.Ratings.from_csr_arrays(R.offsets, R.items, R.values, 2)
        R.split(0.5, random_state=0)
        try:
            mf.Ratings.from_csr(np.eye(2))
        except TypeError:
            pass
        else:
            raise SystemExit("a dense matrix went through")
        heavy = {"scipy", "pandas", "polars", "pyarrow", "narwhals", "tqdm"} & set(sys.modules)
        raise SystemExit(f"imported {heavy}" if heavy else 0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
