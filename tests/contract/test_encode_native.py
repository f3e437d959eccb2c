"""Numbering ids natively against its twin, a dictionary and a sort."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matfac as mf
from matfac import _core, _ids

LONG = "a string that is longer than what fits into a view"
STRINGS = ["Zoë", "amy", "", LONG, "Zoë", LONG + "!", "\U0001f600", "￿", "amy"]


def twin(ids):
    """What `encode` must give, as lists."""
    unique = sorted(set(ids))
    code_of = {label: code for code, label in enumerate(unique)}
    return unique, [code_of[label] for label in ids]


def assert_numbered(ids, plain):
    unique, codes = _ids.encode(ids)
    assert (unique.tolist(), codes.tolist()) == twin(plain)
    assert codes.dtype == np.int32
    kind = np.str_ if isinstance(plain[0], str) else np.int64
    assert np.issubdtype(unique.dtype, kind) and unique.dtype.isnative
    assert _ids.lookup(unique, ids).tolist() == codes.tolist()


text = st.text(max_size=12).filter(lambda string: not string.endswith("\0"))


@given(st.lists(text, min_size=1, max_size=30))
@settings(deadline=None)
def test_strings_of_every_alphabet(strings):
    for ids in (
        strings,
        np.array(strings, object),
        np.array(strings),
        np.array(strings).astype(">U13"),
        pa.array(strings),
        pl.Series(strings),
    ):
        assert_numbered(ids, strings)


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9), min_size=1, max_size=30))
@settings(deadline=None)
def test_integers_of_every_size(integers):
    assert_numbered(integers, integers)
    assert_numbered(np.array(integers), integers)


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", ">u2", "i4", ">i4", "u4", "i8", ">i8", "u8"])
def test_integer_dtypes(kind):
    ids = np.array([100, 7, 100, 3, 120, 0], kind)
    assert_numbered(ids, ids.tolist())
    assert_numbered(ids[::-2], ids[::-2].tolist())


# More than any table of one thread takes, so that several are merged.
N_MANY = 100_000


@pytest.mark.parametrize("n_distinct", [3, 500, 60_000])
def test_many_ids_in_parallel(n_distinct):
    numbers = np.random.default_rng(0).integers(0, n_distinct, N_MANY)
    labels = np.array([f"{'x' * (k % 5)}{k}" for k in range(n_distinct)])
    far = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, n_distinct)
    strings = labels[numbers]
    expected = np.unique(strings, return_inverse=True)
    for ids in (strings, strings.astype(object), strings.tolist(), pa.array(strings)):
        unique, codes = _ids.encode(ids)
        np.testing.assert_array_equal(unique, expected[0])
        np.testing.assert_array_equal(codes, expected[1])
    for numbered in (numbers, numbers.astype(np.int32), far[numbers]):
        unique, codes = _ids.encode(numbered)
        expected = np.unique(numbered, return_inverse=True)
        np.testing.assert_array_equal(unique, expected[0])
        np.testing.assert_array_equal(codes, expected[1])


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_any_number_of_threads(n_threads):
    numbers = np.random.default_rng(0).integers(-(2**40), 2**40, 500)
    ids = numbers[np.random.default_rng(1).integers(0, 500, N_MANY)]
    strings = ids.astype(str)
    for result in (
        _core.encode_fixed_width(strings, 99, n_threads),
        _core.encode_objects(strings.tolist(), 99, n_threads),
        _core.encode_arrow(pa.chunked_array([strings]).__arrow_c_stream__(), 99, n_threads),
    ):
        unique, codes = result
        np.testing.assert_array_equal(unique[codes], strings)
        np.testing.assert_array_equal(unique, np.unique(strings))
    unique, codes = _core.encode_integers(ids, n_threads)
    np.testing.assert_array_equal(unique[codes], ids)
    np.testing.assert_array_equal(unique, np.unique(ids))
    np.testing.assert_array_equal(_core.lookup_integers(unique, ids, n_threads), codes)


def test_strings_that_differ_at_the_end_only():
    strings = ["x" * 1000 + str(k) for k in range(50)] * 3
    for ids in (strings, np.array(strings), pa.array(strings)):
        assert_numbered(ids, strings)


# ---- Arrow ---------------------------------------------------------------------------------------


#: Columns of strings that lie in memory without an object each.
NATIVE_COLUMNS = [
    pa.array(STRINGS),
    pa.array(STRINGS, pa.large_string()),
    pa.array(STRINGS, pa.string_view()),
    pa.array(["left", "out", *STRINGS, "too"])[2:-1],
    pa.array(["left", "out", *STRINGS, "too"], pa.string_view())[2:-1],
    pa.array([None, *STRINGS])[1:],
    pa.chunked_array([STRINGS[:2], [], STRINGS[2:]]),
    pa.array(STRINGS).dictionary_encode(),
    pa.array(["left out", *STRINGS, None]).dictionary_encode()[1:-1],
    pa.array(STRINGS, pa.large_string()).dictionary_encode(),
    pa.chunked_array([pa.array(part).dictionary_encode() for part in (STRINGS[:3], STRINGS[3:])]),
    pl.Series(STRINGS),
    pl.Series(["left out", *STRINGS])[1:],
    pl.Series(STRINGS).cast(pl.Categorical),
    pl.Series(STRINGS, dtype=pl.Enum(["left out", *dict.fromkeys(STRINGS)])),
    pd.Series(STRINGS, dtype="str", index=range(5, 5 + len(STRINGS))),
    pd.Series(STRINGS, dtype="str").array,
    pd.Index(STRINGS, dtype="str"),
    pd.array(STRINGS, dtype=pd.StringDtype("pyarrow")),
    pd.Series(STRINGS, dtype=pd.StringDtype("pyarrow")),
    pd.array(STRINGS, dtype=pd.ArrowDtype(pa.large_string())),
    pd.Series(STRINGS, dtype=pd.ArrowDtype(pa.string())),
    pd.array(STRINGS, dtype=pd.ArrowDtype(pa.dictionary(pa.int16(), pa.string()))),
    pd.Categorical(STRINGS),
    pd.Categorical(pd.Index(STRINGS, dtype=object)),
    pd.Categorical(STRINGS, categories=["left out", *dict.fromkeys(STRINGS)], ordered=True),
    pd.Series(STRINGS, dtype="category", index=range(5, 5 + len(STRINGS))),
    pd.CategoricalIndex(STRINGS),
]


def name_of(column):
    kind = getattr(column, "type", None) or column.dtype
    return f"{type(column).__module__}.{type(column).__name__} of {str(kind)[:20]}"


@pytest.mark.parametrize("column", NATIVE_COLUMNS, ids=name_of)
def test_columns_of_strings_are_read_where_they_lie(column, monkeypatch):
    """None of them is made into an array of objects first: at most a few categories are."""
    few = len(set(STRINGS)) + 1
    objects = _core.encode_objects

    def encode_few(ids, max_length):
        assert len(ids) <= few < len(STRINGS)
        return objects(ids, max_length)

    monkeypatch.setattr(_core, "encode_objects", encode_few)
    monkeypatch.setattr(_ids, "_plain", None)
    assert_numbered(column, STRINGS)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(STRINGS, dtype=pd.StringDtype("python")),
        pd.Series(STRINGS, dtype=object),
        pd.Series(STRINGS, dtype=object).array,
    ],
    ids=name_of,
)
def test_objects_in_frames(column):
    assert_numbered(column, STRINGS)


def test_frames_hand_their_columns_over_as_they_are(monkeypatch):
    asked, encode = [], _ids.encode
    monkeypatch.setattr(_ids, "encode", lambda ids, what: asked.append(ids) or encode(ids, what))
    for frame in (
        pd.DataFrame({"user": pd.Series(STRINGS, dtype="str"), "item": pd.Categorical(STRINGS)}),
        pl.DataFrame({"user": STRINGS, "item": pl.Series(STRINGS).cast(pl.Categorical)}),
        pa.table({"user": STRINGS, "item": pa.array(STRINGS).dictionary_encode()}),
    ):
        R = mf.Ratings.from_frame(frame, rating=False, duplicates="last")
        assert R.user_ids.tolist() == R.item_ids.tolist() == sorted(set(STRINGS))
    assert len(asked) == 6 and not any(isinstance(ids, np.ndarray) for ids in asked)


@pytest.mark.parametrize(
    "column",
    [
        pd.Categorical([30, 10, 30]),
        pd.Categorical(pd.Index([30, 10, 30], dtype=object)),
        pd.Series([30, 10, 30], dtype="category"),
        pd.array([30, 10, 30], dtype="int64[pyarrow]"),
        pd.array([30, 10, 30], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.int64()))),
        pd.array([30, 10, 30], dtype="Int64"),
        pa.array([30, 10, 30]).dictionary_encode(),
        pa.chunked_array([pa.array([30, 10, 30]).dictionary_encode()]),
    ],
    ids=name_of,
)
def test_integers_in_frames(column):
    assert_numbered(column, [30, 10, 30])


@pytest.mark.parametrize(
    "column",
    [
        pd.Categorical(["a", None, "b"]),
        pd.Series(["a", None, "b"], dtype="category"),
        pa.array(["a", None, "b"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["a", None, "b"])),
        pl.Series(["a", None, "b"]).cast(pl.Categorical),
        pd.array(["a", None, "b"], dtype="str"),
    ],
    ids=name_of,
)
def test_missing_categories_are_named_by_their_place(column):
    with pytest.raises(ValueError, match="the id at position 1 is missing"):
        _ids.encode(column)


def test_categories_that_are_no_ids_are_named_by_their_place():
    long = "x" * 1025
    for make in (pd.Categorical, lambda ids: pa.array(ids).dictionary_encode()):
        with pytest.raises(ValueError, match="position 2 has 1,025 characters"):
            _ids.encode(make(["b", "a", long]))
        query = make(["b", "c", long, "a"])
        assert _ids.lookup(np.array(["a", "b"]), query).tolist() == [1, -1, -1, 0]


@pytest.mark.parametrize("make", [pa.array, pl.Series, lambda ids: pd.Series(ids, dtype="str")])
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", None, "b"], "position 1 is missing"),
        (["a", "b\0"], "'b.x00' at position 1 ends with a NUL"),
        (["a", "b", "é" * 1025], "position 2 has 1,025 characters"),
    ],
)
def test_strings_in_frames_that_are_no_ids(make, ids, message):
    with pytest.raises(ValueError, match=message):
        _ids.encode(make(ids), "users")
    assert _ids.encode(make(["é" * 1024]))[0].tolist() == ["é" * 1024]


def test_arrow_columns_that_hold_no_strings():
    for column in (pa.array([3, 1]), pa.chunked_array([[3], [1]]), pl.Series([3, 1])):
        assert_numbered(column, [3, 1])
    with pytest.raises(TypeError, match="expected a capsule named arrow_array_stream"):
        _core.encode_arrow(pa.array([1]).__arrow_c_array__()[1], 99)


# ---- objects -------------------------------------------------------------------------------------


class Label(str):
    """A string of a class of its own."""


def test_objects_that_are_strings():
    labels = [Label("b"), np.str_("a"), "b"]
    assert_numbered(labels, ["b", "a", "b"])
    assert_numbered(np.array(labels, object)[::-1], ["b", "a", "b"])
    assert _core.encode_objects(["a", 1], 99) is None
    assert _core.encode_objects(np.empty(2, object), 99) is None
    for refused in (
        ("a",),
        np.array(["a"]),
        np.array([["a"]], object),
        np.array(["a", "b", "c"], object)[::2],
    ):
        with pytest.raises(TypeError, match="a list or a contiguous one-dimensional array"):
            _core.encode_objects(refused, 99)


def test_an_object_that_is_no_string_is_found_wherever_it_stands():
    for at in (0, N_MANY // 2, N_MANY - 1):
        ids: list[object] = ["a"] * N_MANY
        ids[at] = 7
        with pytest.raises(ValueError, match="position"):
            _ids.encode(ids)


def test_no_reference_is_kept_or_lost():
    strings = [f"id {k}" for k in range(40)]
    before = [sys.getrefcount(string) for string in strings]
    for _ in range(3):
        _ids.encode(strings)
        _ids.encode(np.array(strings, object))
    assert [sys.getrefcount(string) for string in strings] == before


# ---- NumPy's fixed width -------------------------------------------------------------------------


def test_fixed_width():
    assert_numbered(np.array(STRINGS)[::2], STRINGS[::2])
    assert _ids.encode(np.array(["b", "a"], "U40"))[0].dtype == np.dtype("U1")
    assert _ids.encode(np.array(["", ""]))[0].tolist() == [""]
    inner = ["a\0b", "a", "a\0"]
    assert _ids.encode(np.array(inner))[0].tolist() == ["a", "a\0b"]
    with pytest.raises(TypeError, match="contiguous one-dimensional array of NumPy strings"):
        _core.encode_fixed_width(np.array(["a", "b", "c"])[::2], 99)
    lone = np.array([0xD800, ord("a")], np.uint32).view("U1")
    with pytest.raises(ValueError, match="position 0 is no valid Unicode"):
        _ids.encode(lone)


# ---- looking up ----------------------------------------------------------------------------------


def test_unknown_strings_are_never_cut_into_known_ones():
    known = np.array(["ab", "abc", "b"])
    query = ["abcd", "ab", "ab\0", "", "b", "bb", "abc", "abc" + "x" * 3000]
    expected = [-1, 0, -1, -1, 2, -1, 1, -1]
    assert _ids.lookup(known, query).tolist() == expected
    assert _ids.lookup(known, query[3:7]).tolist() == expected[3:7]
    assert _ids.lookup(known, np.array(query[3:7])).tolist() == expected[3:7]
    assert _ids.lookup(known, pa.array(query[3:7])).tolist() == expected[3:7]


@pytest.mark.parametrize("n_query", [5, 5000])
def test_unknown_integers(n_query):
    known = np.array([-(2**63), -5, 0, 7, 2000, 2**63 - 1])
    query = np.random.default_rng(0).choice([*known.tolist(), 1, -6, 2001, 2**62], n_query)
    for ids in (known, known[1:-1], known[:0]):
        code_of = {label: code for code, label in enumerate(ids.tolist())}
        expected = [code_of.get(label, -1) for label in query.tolist()]
        assert _ids.lookup(ids, query).tolist() == expected


def test_strings_among_integers_name_the_first():
    for query in (["x", "y"], np.array(["x", "y"]), pa.array(["x", "y"]), pd.Series(["x"], [3])):
        with pytest.raises(TypeError, match="'x' at position 0 is among strings"):
            _ids.lookup(np.array([1, 2]), query)
