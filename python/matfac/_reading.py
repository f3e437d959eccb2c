"""Files of ratings: text through pandas' parser, Parquet through pyarrow."""

from __future__ import annotations

import codecs
import lzma
import os
import re
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matfac._columns import Choice, choose_columns, describe_column
from matfac._faults import find_fault
from matfac._ids import CodeArray, IdArray, StringEncoder, encode
from matfac._sniffing import N_LINES, TextLayout, sniff, split_line
from matfac._triplets import Triplets
from matfac._values import TimeArray, as_times, as_values, as_weights
from matfac._warnings import warn_user

if TYPE_CHECKING:
    import pandas as pd

#: Rows parsed at a time: the text of their ids is all that is held as Python objects.
_CHUNK_ROWS = 1 << 20
_PARQUET_ENDINGS = (".parquet", ".pq")
_FORMATS = ("text", "csv", "tsv", "parquet")
_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
#: With which some encodings begin; the longer ones first.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SEPARATOR_NAMES = {
    "\t": "tabs",
    ",": "commas",
    ";": "semicolons",
    " ": "spaces",
    "::": "'::'",
}


@dataclass(frozen=True)
class ReadGuess:
    """How a file was read: what was guessed and what was said, alike.

    Attributes
    ----------
    path : str
    format : str
        ``"text"`` or ``"parquet"``.
    separator : str or None
        None for Parquet; ``" "`` stands for any run of spaces and tabs.
    header : bool
        Whether the first line was taken as names.
    columns : dict
        Role (user, item, rating, timestamp, weight) -> the column's name, or its position from 0
        where the columns have no names.
    """

    path: str
    format: str
    separator: str | None
    header: bool
    columns: dict[str, str | int]

    def __str__(self) -> str:
        if self.separator is None:
            layout = "Parquet"
        else:
            name = _SEPARATOR_NAMES.get(self.separator, repr(self.separator))
            layout = f"text separated by {name}, {'with' if self.header else 'without'} a header"
        columns = ", ".join(
            f"{role} = {column!r}" if isinstance(column, str) else f"{role} = column {column}"
            for role, column in self.columns.items()
        )
        counted = (
            " (columns counted from 0)"
            if any(isinstance(c, int) for c in self.columns.values())
            else ""
        )
        return f"{self.path}: {layout}; {columns}{counted}"


@dataclass(frozen=True)
class ReadOptions:
    """What the caller of `Ratings.read` said."""

    format: str | None
    separator: str | None
    header: bool | None
    columns: dict[str, Choice]
    encoding: str
    string_ids: bool
    dtype: np.dtype[Any] | None


def read_triplets(path: str | os.PathLike[str], options: ReadOptions) -> tuple[Triplets, ReadGuess]:
    """Read a file; see `Ratings.read`."""
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"path={name!r}: expected a str or a path object")
    if options.format is not None and options.format not in _FORMATS:
        raise ValueError(
            f"format={options.format!r} is unknown; choose one of {', '.join(map(repr, _FORMATS))}"
        )
    for what, text in (("encoding", options.encoding), ("separator", options.separator)):
        if not isinstance(text, str) and (text is not None or what == "encoding"):
            raise TypeError(f"{what}={text!r}: expected a str")
    try:
        " ".encode(options.encoding)
    except LookupError as error:
        raise ValueError(f"encoding={options.encoding!r}: {error}") from None
    file = existing_file(name)
    with _rereadable(file) as source:
        if options.format == "parquet" or (
            options.format is None and file.suffix.lower() in _PARQUET_ENDINGS
        ):
            return _read_parquet(source, name, options)
        with _named_errors(name, options):
            return _read_text(source, name, options)


def existing_file(name: str) -> Path:
    """Return the path of a file. pandas would take some names for addresses."""
    file = Path(name).expanduser()
    if not name or not file.exists():
        raise FileNotFoundError(f"there is no file {name!r} (looked from {os.getcwd()!r})")
    if file.is_dir():
        raise IsADirectoryError(f"{name!r} is a folder; pass a file in it")
    return file


@contextmanager
def _rereadable(file: Path) -> Iterator[Path]:
    """Give a file that can be read more than once: of a pipe, a copy."""
    if file.is_file():
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="matfac-") as folder:
        copy = Path(folder, file.name)  # its ending tells of compression
        with open(file, "rb") as source, open(copy, "wb") as target:
            shutil.copyfileobj(source, target)
        yield copy


def _read_parquet(file: Path, name: str, options: ReadOptions) -> tuple[Triplets, ReadGuess]:
    try:
        import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
        import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise ImportError(
            f"{name}: reading Parquet needs pyarrow; install it with: pip install 'matfac[parquet]'"
        ) from error
    from matfac._frames import take_columns

    try:
        names = list(pq.read_schema(file).names)
        again = [column for at, column in enumerate(names) if column in names[:at]]
        if again:
            raise ValueError(f"several columns have the name {again[0]!r}; rename them")
        roles = choose_columns(names, len(names), options.columns)
        table = pq.read_table(file, columns=[names[position] for position in roles.values()])
        order = {role: at for at, role in enumerate(roles)}
        columns = take_columns(table, order, options.columns["timestamp"] is not None)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{name}: this is no readable Parquet file ({error})") from None
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}: {error}") from None
    user_ids, users = encode(columns.users, f"{name}: users")
    item_ids, items = encode(columns.items, f"{name}: items")
    values = np.ones(len(users), np.float32) if columns.values is None else columns.values
    ratings = as_values(values, options.dtype, lambda at: f"row {at} (from 0) of {name}")
    guess = ReadGuess(name, "parquet", None, True, columns.names)
    triplets = Triplets(user_ids, item_ids, users, items, ratings, columns.times)
    triplets.place = _place_in(name)
    if columns.weights is not None:
        triplets.weights = as_weights(
            columns.weights, ratings.dtype, lambda at: f"row {at} (from 0) of {name}"
        )
    return triplets, guess


@contextmanager
def _named_errors(name: str, options: ReadOptions) -> Iterator[None]:
    """Make every complaint about a text file name the file and the remedy."""
    try:
        yield
    except UnicodeDecodeError as error:
        likely = next((e for mark, e in _MARKS.items() if error.object.startswith(mark)), "latin-1")
        raise ValueError(
            f"{name}: this is not text in {options.encoding!r} ({error}); pass "
            f"encoding={likely!r} or the encoding that it has, or check that it is a text file"
        ) from None
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(
            f"{name}: the compressed file is damaged ({error}); get it again"
        ) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(
            f"{name}: the compressed file is damaged ({error}); get it again"
        ) from None
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(name) else f"{name}: {text}") from None


# ---- text ---------------------------------------------------------------------------------------


def _read_text(file: Path, name: str, options: ReadOptions) -> tuple[Triplets, ReadGuess]:
    separator = options.separator
    if separator is None:
        separator = {"csv": ",", "tsv": "\t"}.get(options.format or "")
    first_lines = next(_raw_lines(file, options.encoding, N_LINES), [])
    layout = sniff(first_lines, separator, options.header, options.columns)
    parsed = _parse_or_explain(file, layout, options, first_lines)
    if parsed is None:
        # The fault is in a timestamp column that was only a guess: do without.
        column = describe_column(layout.roles["timestamp"], layout.names)
        roles = {role: at for role, at in layout.roles.items() if role != "timestamp"}
        layout = TextLayout(
            layout.separator, layout.n_fields, layout.names, layout.first_data_line, roles
        )
        parsed = _parse_or_explain(file, layout, options, first_lines)
        assert parsed is not None
        warn_user(
            f"{name}: column {column!r} does not hold a time in each line. The ratings are "
            "without times",
            UserWarning,
        )
    parsed.place = _place_in(name)
    columns = {role: describe_column(at, layout.names) for role, at in layout.roles.items()}
    return parsed, ReadGuess(name, "text", layout.separator, layout.names is not None, columns)


def _place_in(name: str) -> Callable[[int], str]:
    return lambda at: f"rating {at + 1:,} of {name}"


def _parse_or_explain(
    file: Path, layout: TextLayout, options: ReadOptions, first_lines: list[str]
) -> Triplets | None:
    """Parse at full speed; when that fails, look line by line for the reason and raise it.

    Returns None when nothing is wrong but the times, and nobody asked for those.
    """
    try:
        return _parse(file, layout, options, first_lines)
    except (UnicodeDecodeError, _NoRatings):
        raise
    except (ValueError, OverflowError) as error:
        must_have_times = options.columns["timestamp"] is not None
        lines = _raw_lines(file, options.encoding)
        fault = find_fault(lines, layout, np.dtype(options.dtype or np.float32), must_have_times)
        if fault is not None:
            raise ValueError(fault) from None
        if "timestamp" in layout.roles and not must_have_times:
            return None
        raise ValueError(f"the file cannot be parsed: {error}") from None


class _NoRatings(ValueError):
    """There is no line to find a fault in."""


def _parse(
    file: Path, layout: TextLayout, options: ReadOptions, first_lines: list[str]
) -> Triplets:
    """Parse the file; raises some ValueError when anything is wrong."""
    roles = layout.roles
    time_dtype = _time_dtype(layout, first_lines) if "timestamp" in roles else None
    encoders = {"user": StringEncoder(), "item": StringEncoder()}
    codes: dict[str, list[CodeArray]] = {"user": [], "item": []}
    values: list[NDArray[Any]] = []
    weights: list[NDArray[Any]] = []
    times: list[NDArray[Any]] = []
    for chunk in _chunks(file, layout, options, time_dtype):
        for role, encoder in encoders.items():
            codes[role].append(encoder.add(chunk[roles[role]].tolist()))
        if "rating" in roles:
            part = chunk[roles["rating"]].to_numpy()
            values.append(as_values(part, options.dtype or np.float32, str))
        if "weight" in roles:
            part = chunk[roles["weight"]].to_numpy()
            weights.append(as_weights(part, options.dtype or np.float32, str))
        if "timestamp" in roles:
            times.append(chunk[roles["timestamp"]].to_numpy())
    if not codes["user"]:
        raise _NoRatings("there is no rating in the file; expected one per line")
    user_ids, users = _typed_ids(encoders["user"], codes["user"], options.string_ids, "users")
    item_ids, items = _typed_ids(encoders["item"], codes["item"], options.string_ids, "items")
    ratings: NDArray[Any]
    ratings = np.concatenate(values) if values else np.ones(len(users), options.dtype or np.float32)
    stamps: TimeArray | None = as_times(np.concatenate(times)) if times else None
    given = np.concatenate(weights) if weights else None
    return Triplets(user_ids, item_ids, users, items, ratings, stamps, given)


def _chunks(
    file: Path, layout: TextLayout, options: ReadOptions, time_dtype: type[Any] | None
) -> Iterator[dict[int, pd.Series[Any]]]:
    """Parse chunk by chunk; yields the columns by position, those without a role left out."""
    import pandas as pd

    double = layout.separator == "::"
    step = 2 if double else 1  # the parser cuts at single characters: '::' encloses an empty column
    width = step * (layout.n_fields - 1) + 1
    must_be_empty = [*(range(1, width, 2) if double else ()), width]
    # One more column takes what is too much: the parser itself does not check each chunk's first
    # line. The dtypes are stated, so that it guesses none from a part of the file.
    dtypes: dict[int, Any] = dict.fromkeys(range(width + 1), object)
    for role in ("rating", "weight"):
        if role in layout.roles:
            dtypes[step * layout.roles[role]] = np.float64
    if time_dtype is not None:
        dtypes[step * layout.roles["timestamp"]] = time_dtype
    reader = pd.read_csv(
        file,
        sep={"::": ":", " ": r"\s+"}.get(layout.separator, layout.separator),
        header=None,
        names=list(range(width + 1)),
        index_col=False,
        skiprows=layout.first_data_line - 1,
        dtype=dtypes,
        na_filter=False,  # "NA" and "null" are ids
        skipinitialspace=True,
        quoting=3 if double else 0,
        encoding=options.encoding,
        chunksize=_CHUNK_ROWS,
        engine="c",
        **_exact_floats(pd.__version__),
    )
    with reader:
        while (chunk := _next_chunk(reader)) is not None:
            if any(set(chunk[column]) != {""} for column in must_be_empty):
                raise ValueError("a line has too many columns")
            yield {at: chunk[step * at] for at in layout.roles.values()}


def _next_chunk(reader: Any) -> pd.DataFrame | None:
    with warnings.catch_warnings():
        # The parser warns when it drops fields beyond the last column; the column before tells.
        warnings.simplefilter("ignore")
        chunk: pd.DataFrame | None = next(reader, None)
    return chunk


def _exact_floats(pandas_version: str) -> dict[str, Any]:
    """Ask for correctly rounded numbers; since 3.1 they are the default and asking deprecated."""
    major, minor = (int(part) for part in pandas_version.split(".")[:2])
    return {} if (major, minor) >= (3, 1) else {"float_precision": "round_trip"}


def _time_dtype(layout: TextLayout, first_lines: list[str]) -> type[Any]:
    """Whole numbers and other numbers are parsed as such, which is fast; all else as text."""
    at = layout.roles["timestamp"]
    lines = first_lines[layout.first_data_line - 1 :]
    rows = [split_line(line, layout.separator) for line in lines]
    fields = [row[at] for row in rows if len(row) > at]
    for parse, dtype in ((int, np.int64), (float, np.float64)):
        try:
            for field in fields:
                parse(field)
        except ValueError:
            continue
        return dtype
    return object


def _typed_ids(
    encoder: StringEncoder, codes: list[CodeArray], string_ids: bool, what: str
) -> tuple[IdArray, CodeArray]:
    """Return unique ids, ascending, and final codes: integers if all ids are written as such."""
    provisional = np.concatenate(codes)
    strings = [string.strip() for string in encoder.strings]
    if "" in strings:
        raise ValueError(f"{what}: an id is missing")
    is_plain = _PLAIN_INTEGER.fullmatch
    as_integers = not string_ids and all(is_plain(string) for string in strings)
    distinct: object = strings
    if as_integers:
        numbers = list(map(int, strings))
        if all(-(2**63) <= number < 2**63 for number in numbers):
            distinct = numbers
    # The distinct ids are encoded once more: this sorts them, and joins those that differ in space.
    unique, final = encode(distinct, what)
    return unique, final[provisional]


def _raw_lines(file: Path, encoding: str, n_rows: int | None = None) -> Iterator[list[str]]:
    """Yield the lines as they stand, blank ones included, in chunks.

    The parser opens, decompresses and decodes the file as it does for the ratings; the separator is
    a character that no text holds, so that every line is one field.
    """
    import pandas as pd

    try:
        reader = pd.read_csv(
            file,
            sep="\x01",
            quoting=3,
            header=None,
            names=[0],
            index_col=False,
            dtype=object,
            na_filter=False,
            skip_blank_lines=False,
            encoding=encoding,
            chunksize=n_rows or _CHUNK_ROWS,
            engine="c",
        )
    except pd.errors.EmptyDataError:
        return
    with reader:
        while (chunk := _next_chunk(reader)) is not None:
            yield chunk[0].tolist()
