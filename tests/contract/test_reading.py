"""`Ratings.read`: every layout of the field, what was guessed, and files that are at fault."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matfac as mf
from matfac import _reading
from matfac._sniffing import split_line

DATA = Path(os.environ.get("MATFAC_DATA") or Path(__file__).parents[3] / "shared" / "data")


def triplets_of(R):
    users, items, values = R.to_arrays()
    pairs = zip(users.tolist(), items.tolist(), strict=True)
    return dict(zip(pairs, values.tolist(), strict=True))


@pytest.fixture
def write(tmp_path):
    def write(text, name="ratings.txt", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


# ---- real files ----------------------------------------------------------------------------------

REAL = [
    # file, separator, header, users, items, ratings, mean, timestamps
    ("ml-100k/u.data", "\t", False, 943, 1682, 100_000, 3.52986, True),
    ("ml-100k/u1.base", "\t", False, 943, 1650, 80_000, 3.52835, True),
    ("ml-100k/u1.test", "\t", False, 459, 1410, 20_000, 3.53590, True),
    ("ml-latest-small/ratings.csv", ",", True, 671, 9066, 100_004, 3.543608, True),
    ("libmf-demo/real_matrix.tr.txt", " ", False, None, None, 5000, None, False),
    ("libmf-demo/real_matrix.te.txt", " ", False, None, None, 794, None, False),
    ("libmf-demo/binary_matrix.tr.txt", " ", False, None, None, 4937, None, False),
    ("libmf-demo/binary_matrix.te.txt", " ", False, None, None, 1312, None, False),
    ("libmf-demo/all_one_matrix.tr.txt", " ", False, None, None, 5172, 1.0, False),
    ("libmf-demo/all_one_matrix.te.txt", " ", False, None, None, 1382, 1.0, False),
    ("hetrec2011-lastfm-2k/user_artists.dat", "\t", True, 1892, 17632, 92_834, 745.2439, False),
]


@pytest.mark.parametrize(
    ("name", "separator", "header", "n_users", "n_items", "nnz", "mean", "times"),
    REAL,
    ids=[row[0] for row in REAL],
)
def test_real_files(name, separator, header, n_users, n_items, nnz, mean, times):
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not among the data")
    R = mf.Ratings.read(DATA / name)
    assert R.nnz == nnz and R.dtype == np.float32
    assert R.source.separator == separator and R.source.header is header
    assert (R.timestamps is not None) is times
    assert R.user_ids.dtype == np.int64 and R.item_ids.dtype == np.int64
    if n_users is not None:
        assert R.shape == (n_users, n_items)
    if mean is not None:
        assert R.mean == pytest.approx(mean, abs=1e-4)
    # The same numbers through the plainest reader there is.
    lines = (DATA / name).read_text().splitlines()[int(header) :]
    rows = [split_line(line, separator) for line in lines]
    expected = {(int(row[0]), int(row[1])): np.float32(row[2]) for row in rows}
    assert triplets_of(R) == expected


# ---- layouts -------------------------------------------------------------------------------------

ROWS = [(7, 30, 4.5), (7, 10, 3), (-2, 30, 1e-3)]
EXPECTED = {(7, 30): 4.5, (7, 10): 3, (-2, 30): np.float32(1e-3).item()}


@pytest.mark.parametrize("times", [False, True])
@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", ["::", "\t", ",", ";", "|", " ", "   ", " \t "])
def test_every_separator(write, separator, header, ending, times):
    rows = [(*row, 978300760 + n) for n, row in enumerate(ROWS)] if times else ROWS
    lines = [separator.join(map(str, row)) for row in rows]
    names = ["userId", "movieId", "rating", "timestamp"][: 3 + times]
    if header:
        lines.insert(0, separator.join(names))
    R = mf.Ratings.read(write(ending.join(lines) + ending))
    assert triplets_of(R) == EXPECTED
    assert R.source.header is header
    assert R.source.separator == (separator.strip(" ") or " ")
    assert R.source.columns == dict(
        zip(["user", "item", "rating", "timestamp"], names if header else range(3 + times))  # noqa: B905
    )
    if times:
        assert R.timestamps.tolist() == [978300762, 978300761, 978300760]


def test_movielens_1m_layout(write):
    R = mf.Ratings.read(write("1::1193::5::978300760\n1::661::3::978302109\n", "ratings.dat"))
    assert triplets_of(R) == {(1, 1193): 5, (1, 661): 3}
    assert str(R.source).endswith(
        "ratings.dat: text separated by '::', without a header; user = column 0, item = column 1, "
        "rating = column 2, timestamp = column 3 (columns counted from 0)"
    )


def test_what_was_guessed_is_told(write):
    path = write("userId,movieId,rating\n1,2,3\n", "r.csv")
    R = mf.Ratings.read(path)
    assert R.source.path == str(path) and R.source.format == "text"
    assert str(R.source) == (
        f"{path}: text separated by commas, with a header; "
        "user = 'userId', item = 'movieId', rating = 'rating'"
    )
    assert pickle.loads(pickle.dumps(R)).source == R.source
    with pytest.raises(AttributeError):
        R.source.path = "elsewhere"


def test_one_line_is_enough(write):
    assert triplets_of(mf.Ratings.read(write("5 6 7"))) == {(5, 6): 7}


def test_blank_lines_byte_order_mark_and_space_around_fields(write):
    R = mf.Ratings.read(write("\ufeff\n 1 , 2 , 3 \n\n   \n1, 4 ,5\n\n"))
    assert triplets_of(R) == {(1, 2): 3, (1, 4): 5}


def test_quoted_fields(write):
    text = 'user,item,rating\n"O\'Neil, Anna","Say ""hi""",4\n"b",plain,"5"\n'
    R = mf.Ratings.read(write(text))
    assert triplets_of(R) == {("O'Neil, Anna", 'Say "hi"'): 4, ("b", "plain"): 5}


def test_strings_without_a_header(write):
    R = mf.Ratings.read(write("alice matrix 5\nbob matrix 4\n"))
    assert triplets_of(R) == {("alice", "matrix"): 5, ("bob", "matrix"): 4}


def test_explicit_layout(write):
    path = write("3,x,1,2\n5,y,3,4\n")
    R = mf.Ratings.read(path, separator=",", header=False, rating=0, user=3, item=2)
    assert triplets_of(R) == {(2, 1): 3, (4, 3): 5} and R.timestamps is None
    path = write("a b c\n1 2 3\n")
    assert mf.Ratings.read(path, user="c", item="a", rating="b").source.columns == {
        "user": "c",
        "item": "a",
        "rating": "b",
    }
    path = write("1 2 3\n4 5 6\n")
    R = mf.Ratings.read(path, header=True)  # names that look like numbers
    assert triplets_of(R) == {(4, 5): 6}
    assert R.source.columns["user"] == "1"


def test_format_and_other_separators(write):
    path = write("1,5\t2\t3\n")
    assert triplets_of(mf.Ratings.read(path, format="tsv")) == {("1,5", 2): 3}
    path = write("1^2^3\n")
    assert triplets_of(mf.Ratings.read(path, separator="^")) == {(1, 2): 3}
    path = write("1;2,5;3\n")
    assert triplets_of(mf.Ratings.read(path, format="text")) == {(1, "2,5"): 3}


def test_columns_without_a_role(write):
    path = write("id,user,item,rating,comment\n9,1,2,3,so-so\n8,1,4,5,\n")
    assert triplets_of(mf.Ratings.read(path)) == {(1, 2): 3, (1, 4): 5}


def test_files_without_ratings(write):
    path = write("user item\n1 a\n2 b\n")
    R = mf.Ratings.read(path, rating=False)
    assert triplets_of(R) == {(1, "a"): 1, (2, "b"): 1} and R.source.header
    assert mf.Ratings.read(write("u1 a\nu2 b\n"), rating=False).nnz == 2
    assert mf.Ratings.read(write("u1 a\n"), rating=False).nnz == 1
    assert mf.Ratings.read(write("u1 3\n4 5\n"), rating=False).nnz == 2
    R = mf.Ratings.read(write("who what\n1 2\n1 b\n"), rating=False)
    assert triplets_of(R) == {(1, "2"): 1, (1, "b"): 1} and R.source.header


@pytest.mark.parametrize(
    ("ending", "pack"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
def test_compressed_text(write, ending, pack):
    path = write(pack(b"1,2,3\n4,5,6\n"), f"ratings.csv{ending}")
    assert triplets_of(mf.Ratings.read(path)) == {(1, 2): 3, (4, 5): 6}


def test_zipped_text(tmp_path):
    path = tmp_path / "ratings.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ratings.csv", "1,2,3\n4,5,6\n")
    assert mf.Ratings.read(path).nnz == 2


@pytest.mark.parametrize("first", ["", "index", "Unnamed: 0", "__index_level_0__"])
def test_row_numbers_are_not_taken_for_users(write, first):
    path = write(f"{first},u,m,s\n0,1,2,3\n1,2,3,4\n")
    with pytest.raises(ValueError, match=r"the first seems to hold row numbers; choose with user="):
        mf.Ratings.read(path)
    R = mf.Ratings.read(path, user="u", item="m", rating="s")
    assert R.user_ids.tolist() == [1, 2] and R.values.tolist() == [3, 4]
    named = mf.Ratings.read(write(f"{first},user,item,rating\n0,1,2,3\n1,2,3,4\n"))
    assert named.user_ids.tolist() == [1, 2]


@pytest.mark.parametrize("encoding", ["klingon", "base64"])
def test_unknown_encodings_are_refused(write, encoding):
    with pytest.raises(ValueError, match=f"^encoding='{encoding}': "):
        mf.Ratings.read(write("1,2,3\n"), encoding=encoding)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(write, encoding):
    path = write("1,2,3\n", encoding=encoding)
    with pytest.raises(ValueError, match=f"pass encoding='{encoding}'"):
        mf.Ratings.read(path)
    assert mf.Ratings.read(path, encoding=encoding).nnz == 1


@pytest.mark.parametrize(
    "wrong", [{"header": "no"}, {"string_ids": "no"}, {"separator": 3}, {"encoding": None}]
)
def test_options_of_the_wrong_type_are_refused(write, wrong):
    (name,) = wrong
    with pytest.raises(TypeError, match=f"{name}="):
        mf.Ratings.read(write("1,2,3\n"), **wrong)


def test_parquet_with_two_columns_of_one_name_is_refused(tmp_path):
    table = pa.table([[1], [2], [3.0], [4.0]], names=["user", "item", "rating", "rating"])
    pq.write_table(table, tmp_path / "r.parquet")
    with pytest.raises(ValueError, match="several columns have the name 'rating'; rename them"):
        mf.Ratings.read(tmp_path / "r.parquet", rating=3)


def test_decimal_commas_are_explained(write):
    with pytest.raises(ValueError, match=r"'3,5' is not a number \(decimals have a point\)"):
        mf.Ratings.read(write("user;item;rating\n1;2;3,5\n"))


def test_encodings(write):
    path = write("Zoë,1,2\nAmy,3,4\n", encoding="latin-1")
    assert mf.Ratings.read(path, encoding="latin-1").user_ids.tolist() == ["Amy", "Zoë"]
    with pytest.raises(ValueError, match=r"ratings\.txt: .*'utf-8'.*encoding='latin-1'"):
        mf.Ratings.read(path)
    late = write(b"1,1,1\n" * 300_000 + b"Zo\xeb,1,2\n")
    with pytest.raises(ValueError, match="encoding='latin-1'"):
        mf.Ratings.read(late, duplicates="last")


# ---- ids and numbers -----------------------------------------------------------------------------


def users_of(write, ids, **options):
    text = "".join(f"{user},{n},1\n" for n, user in enumerate(ids))
    return mf.Ratings.read(write(text), header=False, **options).user_ids.tolist()


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["17", "-3", "0"], [-3, 0, 17]),
        (["17", "abc"], ["17", "abc"]),
        (["007", "7"], ["007", "7"]),
        (["+7", "7"], ["+7", "7"]),
        (["-0", "0"], ["-0", "0"]),
        (["1e3", "1000"], ["1000", "1e3"]),
        (["7.0", "7"], ["7", "7.0"]),
        (["12e4", "75e1"], ["12e4", "75e1"]),
        (["True", "False"], ["False", "True"]),
        (["NA", "null", "nan", "None", "inf", "N/A"], ["N/A", "NA", "None", "inf", "nan", "null"]),
        (["9223372036854775807", "1"], [1, 2**63 - 1]),
        (["9223372036854775808", "1"], ["1", "9223372036854775808"]),
        (["2020-01-01", "2020-01-02"], ["2020-01-01", "2020-01-02"]),
        (["\u0664", "\u0665"], ["\u0664", "\u0665"]),
        (["1 ", " 1", "1"], [1]),
    ],
)
def test_ids_become_integers_only_when_all_are_written_as_such(write, ids, expected):
    assert users_of(write, ids) == expected


def test_string_ids_on_request(write):
    assert users_of(write, ["10", "9"], string_ids=True) == ["10", "9"]


def test_ids_that_change_kind_far_below(write, monkeypatch):
    monkeypatch.setattr(_reading, "_CHUNK_ROWS", 64)
    ids = [str(n) for n in range(500)]
    assert users_of(write, ids) == list(range(500))
    assert users_of(write, [*ids, "x"]) == sorted([*ids, "x"])


def test_numbers_are_read_exactly(write):
    generator = np.random.default_rng(0)
    values = generator.normal(size=3000) * 10.0 ** generator.integers(-20, 20, 3000)
    text = "".join(f"1 {n} {value!r}\n" for n, value in enumerate(values.tolist()))
    R = mf.Ratings.read(write(text), dtype="float64")
    assert R.dtype == np.float64 and R.values.tolist() == values.tolist()
    assert mf.Ratings.read(write(text)).values.tolist() == np.float32(values).tolist()


def test_duplicates_follow_the_policy(write):
    path = write("1 2 3 50\n1 2 5 40\n")
    with pytest.warns(mf.DuplicateRatingsWarning, match="user 1 rated item 2"):
        assert mf.Ratings.read(path).timestamps.tolist() == [40]
    R = mf.Ratings.read(path, duplicates="mean")
    assert triplets_of(R) == {(1, 2): 4} and R.timestamps.tolist() == [50]
    with pytest.raises(ValueError, match="repeat"):
        mf.Ratings.read(path, duplicates="error")
    with pytest.raises(ValueError, match="is unknown"):
        mf.Ratings.read(path, duplicates="max")


text_ids = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=6
)


@given(
    st.lists(
        st.tuples(text_ids, text_ids, st.integers(-9, 9)), min_size=1, unique_by=lambda r: r[:2]
    )
)
@settings(deadline=None, max_examples=60)
def test_what_a_csv_writer_writes_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "ratings.csv"
    frame = pd.DataFrame(rows, columns=["user", "item", "rating"])
    frame.to_csv(path, index=False, quoting=1)
    R = mf.Ratings.read(path, separator=",", header=True, string_ids=True)
    assert triplets_of(R) == {(user, item): value for user, item, value in rows}


# ---- timestamps ----------------------------------------------------------------------------------


def test_dates_and_fractions(write):
    R = mf.Ratings.read(
        write("user,item,rating,date\n1,2,3,2020-05-01 10:00:00\n1,4,3,2020-04-01\n")
    )
    assert R.timestamps.tolist() == [
        np.datetime64(t, "us").tolist() for t in ("2020-05-01T10:00", "2020-04-01")
    ]
    assert mf.Ratings.read(write("1 2 3 10.5\n1 3 3 11\n")).timestamps.tolist() == [10.5, 11]


def test_a_column_that_holds_no_times_is_left_out_if_it_was_a_guess(write):
    path = write("1,2,3,good\n1,4,5,bad\n")
    with pytest.warns(UserWarning, match="column 3 does not hold a time in each line"):
        R = mf.Ratings.read(path)
    assert R.timestamps is None and "timestamp" not in R.source.columns
    with pytest.raises(ValueError, match="line 1: the timestamp 'good' is neither"):
        mf.Ratings.read(path, timestamp=3)
    assert mf.Ratings.read(path, timestamp=False).nnz == 2
    path = write("1,2,3,5\n" * 60 + "1,3,5,x\n")
    with pytest.warns(UserWarning, match="column 3 does not hold a time in each line"):
        assert mf.Ratings.read(path, duplicates="last").timestamps is None


# ---- files at fault ------------------------------------------------------------------------------

GOOD = "".join(f"{n},{n + 1},3\n" for n in range(100))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "1,2,nan",
            "line 101: the rating 'nan' is not finite: '1,2,nan'; correct or remove the line",
        ),
        ("1,2,inf", "line 101: the rating 'inf' is not finite"),
        ("1,2,-Infinity", "line 101: the rating '-Infinity' is not finite"),
        ("1,2,1e999", "line 101: the rating '1e999' is not finite"),
        ("1,2,1e39", "line 101: the rating '1e39' is too large for float32"),
        ("1,2,good", "line 101: the rating 'good' is not a number"),
        ("1,2,NA", "line 101: the rating 'NA' is not a number"),
        ("1,2,3_0", "line 101: the rating '3_0' is not a number"),
        ("1,2,", "line 101: the rating is missing"),
        ("1,2", r"line 101: too few columns \(2 where 3 were expected\): '1,2'"),
        ("hello", "line 101: too few columns"),
        (",2,3", "line 101: the user is missing"),
        ("1, ,3", "line 101: the item is missing"),
        ('1,"",3', "line 101: the item is missing"),
        ("1,2,3,4", r"line 101: too many columns \(4 where 3 were expected\)"),
        ("1,2,3,4,5,6", "line 101: too many columns"),
        ("1;2;3", "line 101: too few columns"),
        ("1," + "x" * 2000 + ",3", "line 101: the item has 2,000 characters"),
        ('"1,2,3', "line 101: too few columns"),
    ],
)
def test_lines_at_fault_are_named(write, line, message):
    with pytest.raises(ValueError, match=message) as caught:
        mf.Ratings.read(write(GOOD + line + "\n" + GOOD), duplicates="last")
    assert "ratings.txt: line" in str(caught.value)


@pytest.mark.parametrize(
    "line", ["1,2,nan", "1,2,x", "1,2", "1,2,3,4", "1,2,3,4,5", ",2,3", "1,2,"]
)
@pytest.mark.parametrize("before", [0, 1, 9, 10, 11, 20])
def test_lines_at_fault_anywhere_in_a_chunk(write, monkeypatch, line, before):
    monkeypatch.setattr(_reading, "_CHUNK_ROWS", 10)
    good = [f"{n},{n + 1},3" for n in range(30)]
    good.insert(before, line)
    with pytest.raises(ValueError, match=rf"line {before + 3}: "):
        # Blank lines count as lines.
        mf.Ratings.read(write("\nuser,item,rating\n" + "\n".join(good)), duplicates="last")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1::2::nan::4", "the rating 'nan' is not finite"),
        ("1:2::3::4", "too few columns"),
        ("1::2::3:4::5", "the rating '3:4' is not a number"),
        ("1::2::3::4::5", "too many columns"),
        ("1::::3::4", "the item is missing"),
        ("1::2:x::3::4", ""),
    ],
)
def test_faults_between_double_colons(write, line, message):
    text = "1::2::3::4\n1::3::3::4\n" + line + "\n1::4::3::4\n"
    with pytest.raises(ValueError, match=f"line 3: {message}" if message else "cannot be parsed"):
        mf.Ratings.read(write(text), duplicates="last")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n  \n\n", "the file is empty"),
        ("user,item,rating\n", "only a header"),
        ("hello\n", "only a header|too few columns"),
        ("hello\nworld\n", "too few columns"),
        ("1,2\n3,4\n", "line 1: too few columns, 2 where user, item and rating are needed: '1,2'"),
        ("1\n2\n", "line 1: too few columns"),
        ("user,item,rating,when\n1,2,3\n", "the header has 4 names, but the lines below have 3"),
        ("1,2,3,4,5\n1,2,3,4,5\n", "cannot tell which column is the user"),
        ("a,b,user,user_id,e\n1,2,3,4,5\n", "could be the user: 'user' and 'user_id'"),
        ("1,2,x\n", "line 1: the rating 'x' is not a number"),
        ("1,2,nan\n", "line 1: the rating 'nan' is not finite"),
    ],
)
def test_files_at_fault(write, text, message):
    path = write(text)
    with pytest.raises(ValueError, match=message) as caught:
        mf.Ratings.read(path)
    assert str(caught.value).startswith(str(path))


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*nowhere\.csv'"):
        mf.Ratings.read(tmp_path / "nowhere.csv")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        mf.Ratings.read(str(tmp_path / "nowhere.parquet"))
    with pytest.raises(IsADirectoryError, match="is a folder"):
        mf.Ratings.read(tmp_path)
    with pytest.raises(TypeError):
        mf.Ratings.read(5)


@pytest.mark.parametrize("name", ["r.csv.gz", "r.csv.bz2", "r.csv.xz", "r.parquet"])
# Named, since the compressed bytes hold the time: each process would name its own test.
@pytest.mark.parametrize(
    "content",
    [b"1,2,3\n", gzip.compress(b"1,2,3\n" * 1000)[:30], b""],
    ids=["text", "truncated", "empty"],
)
def test_damaged_files(write, name, content):
    path = write(content, name)
    with pytest.raises(ValueError, match=r"damaged|Parquet|is empty") as caught:
        mf.Ratings.read(path)
    assert str(caught.value).startswith(str(path))


def test_binary_content(write):
    path = write(bytes(range(256)) * 20)
    with pytest.raises(ValueError, match=r"ratings\.txt"):
        mf.Ratings.read(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "excel"}, "format='excel' is unknown; choose one of 'text'"),
        ({"separator": ",,"}, "separator=',,': expected one character"),
        ({"separator": '"'}, "expected one character"),
        ({"separator": ""}, "expected one character"),
        ({"separator": "\t", "header": False}, "line 1: too few columns, 1 where"),
        ({"user": "name"}, "there is no such column"),
        ({"user": 5}, r"positions are 0 \.\. 2"),
        ({"dtype": "int32"}, "'float32' or 'float64'"),
    ],
)
def test_bad_options(write, options, message):
    with pytest.raises(ValueError, match=message):
        mf.Ratings.read(write("1,2,3\n"), **options)


# ---- Parquet -------------------------------------------------------------------------------------


@pytest.fixture
def table():
    return pa.table(
        {
            "comment": ["x", "y", "z"],
            "userId": [7, 3, 7],
            "movieId": ["b", "c", "a"],
            "rating": pa.array([1.5, 2, 3], pa.float32()),
            "timestamp": [30, 10, 20],
        }
    )


@pytest.mark.parametrize("name", ["r.parquet", "r.PQ", "r.data"])
def test_parquet(tmp_path, table, name):
    pq.write_table(table, tmp_path / name)
    R = mf.Ratings.read(tmp_path / name, format="parquet" if name == "r.data" else None)
    assert triplets_of(R) == {(7, "b"): 1.5, (3, "c"): 2, (7, "a"): 3}
    assert R.dtype == np.float32 and R.timestamps.tolist() == [10, 20, 30]
    assert R.source.columns == {
        "user": "userId",
        "item": "movieId",
        "rating": "rating",
        "timestamp": "timestamp",
    }
    assert str(R.source).startswith(f"{tmp_path / name}: Parquet; user = 'userId'")


def test_parquet_choices(tmp_path, table):
    path = tmp_path / "r.parquet"
    pq.write_table(table, path)
    R = mf.Ratings.read(
        path, user="movieId", item=1, rating=False, timestamp=False, dtype="float64"
    )
    assert R.values.tolist() == [1, 1, 1] and R.dtype == np.float64 and R.timestamps is None
    assert R.item_ids.tolist() == [3, 7]
    by_position = table.drop_columns("comment").rename_columns(["a", "b", "c", "d"])
    pq.write_table(by_position, path)
    assert mf.Ratings.read(path).timestamps.tolist() == [10, 20, 30]
    strings = by_position.set_column(3, "d", pa.array(["p", "q", "r"]))
    pq.write_table(strings, path)
    with pytest.warns(UserWarning, match="column 'd' holds no times"):
        R = mf.Ratings.read(path)
    assert R.timestamps is None and "timestamp" not in R.source.columns


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("rating", [1.0, None, 2.0], "row 1 .* of column 'rating' is missing"),
        ("rating", [1.0, float("nan"), 2.0], r"nan at row 1 \(from 0\)"),
        ("userId", [1, 2, None], "row 2 .* of column 'userId' is missing"),
        ("userId", [1.5, 2, 3], "1.5 at position 0 is not a whole number"),
    ],
)
def test_parquet_at_fault(tmp_path, table, column, values, message):
    path = tmp_path / "r.parquet"
    pq.write_table(
        table.set_column(table.schema.get_field_index(column), column, pa.array(values)), path
    )
    with pytest.raises(ValueError, match=message) as caught:
        mf.Ratings.read(path)
    assert str(path) in str(caught.value)


def test_parquet_without_pyarrow(tmp_path, table, monkeypatch):
    path = tmp_path / "r.parquet"
    pq.write_table(table, path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'matfac\[parquet\]'"):
        mf.Ratings.read(path)
