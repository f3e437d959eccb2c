"""Raw ids and codes.

A *raw id* is what the caller calls a user or an item: an integer or a string. A *code* is its row
in a factor matrix, an ``int32`` from 0. Codes follow the ascending order of the unique raw ids
(strings by code point), so they do not depend on the order in which ratings come.

Everything that turns one into the other goes through `encode` and `lookup`.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import compress
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matfac import _core

#: Unique raw ids in ascending order: dtype int64 or str (``<U``).
IdArray: TypeAlias = NDArray[Any]
#: Codes: dtype int32; -1 stands for "unknown".
CodeArray: TypeAlias = NDArray[np.int32]

#: Codes are 32-bit, so that a side holds fewer than this many users or items.
MAX_COUNT = 2**31
#: Longest string id, in characters. String ids lie in arrays of fixed width: one runaway id would
#: make every other as long as itself.
MAX_ID_LENGTH = 1024

_CHUNK = 1 << 20
#: How pandas, polars and pyarrow call a dtype of strings that Arrow may hold, and one of codes and
#: their strings.
_STRING_DTYPE = re.compile(r"(large_)?str(ing)?(_view)?(\[pyarrow\])?", re.IGNORECASE)
_DICTIONARY_DTYPE = re.compile(r"(dictionary<values=(large_)?string(_view)?,|Categorical|Enum\()")
_LARGEST_EXACT_FLOAT = 2.0**53
_NOT_IDS = {
    "b": "a bool",
    "S": "bytes",
    "c": "a complex number",
    "M": "a date",
    "m": "a time difference",
    "V": "a record",
}
_REMEDY = "pass integers or strings (for example ids.astype(str))"


def encode(ids: object, what: str = "ids") -> tuple[IdArray, CodeArray]:
    """Number the raw ids.

    Parameters
    ----------
    ids : one-dimensional array or sequence
        Integers (any dtype that fits into 64 bits, negative ones too), floats that are all whole
        numbers, or strings (NumPy ``U``, ``StringDType`` or objects, lists, pandas, polars or Arrow
        columns, categorical ones too).
    what : str
        How messages call the ids, for example ``"user ids"``.

    Returns
    -------
    unique_ids : ndarray of int64 or str
        Ascending.
    codes : ndarray of int32
        ``unique_ids[codes]`` are the ids.

    Raises
    ------
    ValueError
        For a missing, fractional or too large id, a mixture of integers and strings, a string that
        no model file could hold, an array that is not one-dimensional. The position is named.
    TypeError
        For objects that are no ids: bool, bytes, dates, ...

    Notes
    -----
    O(n) for n ids, and O(d log d) for the d distinct ones unless they are integers that lie
    densely; parallel. Arrays of integers and strings are read where they lie, Arrow columns and
    pandas' arrays of them too.
    """
    container = _container(ids, what)
    native = _encode_strings(container)
    if native is not None:
        return native
    plain = _plain(container, what)
    if isinstance(plain, np.ndarray) and plain.dtype.kind == "i":
        unique, codes = _core.encode_integers(plain)
        return unique, codes
    # Some string can be no id; here is found which one.
    encoder = StringEncoder()
    parts = [encoder.add(chunk) for chunk in _chunks_of_strings(plain)]
    return encoder.finish(np.concatenate(parts) if parts else np.empty(0, np.int32), what)


def lookup(unique_ids: IdArray, query: object, what: str = "ids") -> CodeArray:
    """Return the codes of raw ids, -1 for those that are unknown.

    Parameters
    ----------
    unique_ids : ndarray of int64 or str
        Ascending, as `encode` returns them.
    query : one-dimensional array or sequence
        As for `encode`; may be empty.

    Raises
    ------
    TypeError
        When strings are looked up among integers or the reverse: such a query can only be a
        mistake, and answering "unknown" to all of it would hide it.

    Notes
    -----
    O(n) where the known integers lie densely or the query is longer than their range, else
    O(n log n_ids); strings are compared once per distinct string in the query. Parallel.
    """
    container = _container(query, what)
    distinct = _encode_strings(container)
    # What stands for the query: it has the same kind of ids, and the same first one.
    plain = distinct[0].take(distinct[1][:1]) if distinct is not None else _plain(container, what)
    if len(plain) == 0:
        return np.empty(0, np.int32)
    is_integer = isinstance(plain, np.ndarray) and plain.dtype.kind == "i"
    if is_integer != (unique_ids.dtype.kind == "i"):
        known, asked = ("integers", "strings") if not is_integer else ("strings", "integers")
        raise TypeError(
            f"{what}: {_first(plain)!r} at position 0 is among {asked}, but the known ids are "
            f"{known}; convert the query (for example with "
            f".astype({'int' if known == 'integers' else 'str'}))"
        )
    if is_integer:
        known_ids = np.ascontiguousarray(unique_ids, np.int64)
        return _core.lookup_integers(known_ids, np.ascontiguousarray(plain, np.int64))
    if distinct is None:
        # Some string can be no id, and so is unknown.
        encoder = StringEncoder()
        codes = np.concatenate([encoder.add(chunk) for chunk in _chunks_of_strings(plain)])
        possible = np.array([not _fault_of(string) for string in encoder.strings])
        strings = np.array(list(compress(encoder.strings, possible)), np.str_)
        found = np.full(len(possible), -1, np.int32)
        found[possible] = _find_strings(unique_ids, strings)
        return found.take(codes)
    strings, codes = distinct
    return _find_strings(unique_ids, strings).take(codes)


def given_ids(ids: object | None, count: int, what: str) -> tuple[IdArray, CodeArray | None]:
    """Return ids given one per row: the unique ids, ascending, and each row's code.

    The codes are None when the rows are in ascending order already. ``ids=None`` stands for
    0 .. count - 1.
    """
    check_count(count, what)
    if ids is None:
        return np.arange(count, dtype=np.int64), None
    unique, codes = encode(ids, what)
    if len(codes) != count:
        raise ValueError(
            f"{what}: {len(codes):,} ids were given for {count:,} of them; give one each"
        )
    if len(unique) != count:
        order = np.argsort(codes, kind="stable")
        at = int(np.flatnonzero(np.diff(codes[order]) == 0)[0])
        raise ValueError(
            f"{what}: {unique[codes[order[at]]].item()!r} stands at positions {order[at]} and "
            f"{order[at + 1]}; every id must be different"
        )
    in_order = bool(np.all(codes[1:] > codes[:-1]))
    return unique, None if in_order else codes


def check_count(count: int, what: str) -> None:
    """Refuse more users or items than 32-bit codes can number."""
    if count >= MAX_COUNT:
        raise ValueError(
            f"{what}: {count:,} of them are too many; codes are 32-bit, so that there must be "
            f"fewer than {MAX_COUNT:,}"
        )


class StringEncoder:
    """Numbers strings in the order of their first appearance, chunk by chunk.

    `finish` turns these provisional codes into final ones. Memory beyond the codes is one table of
    the distinct strings.
    """

    def __init__(self) -> None:
        self._table: defaultdict[str, int] = defaultdict()
        self._table.default_factory = self._table.__len__

    @property
    def strings(self) -> list[str]:
        """The distinct strings in the order of their provisional codes."""
        return list(self._table)

    def add(self, strings: list[str]) -> CodeArray:
        """Return the provisional codes of more strings."""
        return np.fromiter(map(self._table.__getitem__, strings), np.int32, len(strings))

    def finish(self, codes: CodeArray, what: str = "ids") -> tuple[IdArray, CodeArray]:
        """Return the unique strings, ascending, and the final codes of provisional ones."""
        strings = self.strings
        check_count(len(strings), what)
        for code, string in enumerate(strings):
            fault = _fault_of(string)
            if fault:
                position = int(np.argmax(codes == code))
                raise ValueError(f"{what}: {shorten(string)} at position {position} {fault}")
        order = sorted(range(len(strings)), key=strings.__getitem__)
        unique = np.array([strings[code] for code in order], dtype=np.str_)
        return unique, _ranks(order)[codes]


def _ranks(order: Iterable[int]) -> CodeArray:
    permutation = np.asarray(order, np.int64)
    ranks = np.empty(len(permutation), np.int32)
    ranks[permutation] = np.arange(len(permutation), dtype=np.int32)
    return ranks


def _fault_of(string: str) -> str:
    """Return why a string cannot be an id, or nothing."""
    if len(string) > MAX_ID_LENGTH:
        return (
            f"has {len(string):,} characters, and an id has at most {MAX_ID_LENGTH:,}; shorten it "
            "or use numbers"
        )
    if string.endswith("\0"):
        return "ends with a NUL character, which NumPy strings cannot hold; strip it"
    try:
        string.encode()
    except UnicodeEncodeError:
        return (
            "is no valid Unicode text (a lone surrogate), so that no file could hold it; correct it"
        )
    return ""


def _encode_strings(container: Any) -> tuple[IdArray, CodeArray] | None:
    """Number strings natively; None if there are none, or if one of them can be no id."""
    result: tuple[IdArray, CodeArray] | None = None
    if hasattr(container, "categories"):
        result = _encode_categories(container)
    elif not isinstance(container, np.ndarray | list):
        result = _core.encode_arrow(container.__arrow_c_stream__(), MAX_ID_LENGTH)
    elif isinstance(container, list) or container.dtype.kind == "O":
        if not len(container) or isinstance(container[0], str):
            result = _core.encode_objects(container, MAX_ID_LENGTH)
    elif container.dtype.kind == "T":
        result = _core.encode_objects(container.tolist(), MAX_ID_LENGTH)
    elif container.dtype.kind == "U" and container.dtype.itemsize > 0:
        native_order = container.dtype.newbyteorder("=")
        fixed = np.ascontiguousarray(container, dtype=native_order)
        result = _core.encode_fixed_width(fixed, MAX_ID_LENGTH)
    return result


def _encode_categories(categorical: Any) -> tuple[IdArray, CodeArray] | None:
    """Number the strings of a pandas categorical, which has each of them once."""
    used, places = _core.encode_integers(categorical.codes.astype(np.int32))
    if len(used) and used[0] < 0:
        return None  # something is missing
    native = _encode_strings(_container(categorical.categories.take(used), "categories"))
    return None if native is None else (native[0], native[1].take(places))


def _find_strings(unique_ids: IdArray, query: IdArray) -> CodeArray:
    codes = np.full(len(query), -1, np.int32)
    if len(unique_ids) == 0:
        return codes
    # A longer string would be cut when the widths are made the same, perhaps into a known one.
    possible = np.char.str_len(query) <= unique_ids.dtype.itemsize // 4
    candidates = query[possible].astype(unique_ids.dtype)
    position = np.searchsorted(unique_ids, candidates)
    position[position == len(unique_ids)] = 0
    codes[possible] = np.where(unique_ids[position] == candidates, position, -1)
    return codes


def _chunks_of_strings(strings: NDArray[Any] | list[Any]) -> Iterator[list[str]]:
    for start in range(0, len(strings), _CHUNK):
        chunk = strings[start : start + _CHUNK]
        yield chunk if isinstance(chunk, list) else chunk.tolist()


def _container(ids: object, what: str) -> Any:
    """Return ids as an array of one dimension, a list, or a column of strings (see there)."""
    if (
        isinstance(ids, str | bytes)
        or not isinstance(ids, Iterable)
        or isinstance(ids, set | frozenset | dict)
    ):
        raise TypeError(
            f"{what}: expected a one-dimensional array or list, got {type(ids).__name__} "
            f"({shorten(ids)}); put a single id into a list"
        )
    if isinstance(ids, np.ma.MaskedArray):
        if np.ma.getmaskarray(ids).any():
            _refuse_missing("masked", int(np.argmax(np.ma.getmaskarray(ids))), what)
        ids = ids.data
    if not hasattr(ids, "__array__") and not isinstance(ids, range):
        return ids if type(ids) is list else list(ids)
    column = None if isinstance(ids, np.ndarray) else _column_of_strings(ids)
    if column is not None:
        return column
    array = np.asarray(ids)
    if array.ndim != 1:
        raise ValueError(
            f"{what}: expected one dimension, got shape {array.shape}; pass one column"
        )
    return np.ascontiguousarray(array) if array.dtype.kind == "O" else array


def _column_of_strings(ids: Any) -> Any:
    """Return an Arrow column of strings, or of codes and their strings, or a pandas categorical.

    None if ids are nothing of the kind. NumPy would make an object of every string. The column is
    not asked for its strings yet; whether all of them are there and valid is seen when they are
    numbered.
    """
    dtype = getattr(ids, "dtype", getattr(ids, "type", None))
    if hasattr(dtype, "na_value"):  # pandas: a series and an index hold an array
        ids = getattr(ids, "array", ids)
        categories = getattr(dtype, "categories", None)
        if categories is not None:
            kind = str(categories.dtype)
            return ids if kind == "object" or _STRING_DTYPE.fullmatch(kind) else None
        # It has strings of its own as well, which it would have to convert.
        if getattr(dtype, "storage", "pyarrow") != "pyarrow" or not hasattr(ids, "__arrow_array__"):
            return None
    name = str(dtype)
    if not _STRING_DTYPE.fullmatch(name) and not _DICTIONARY_DTYPE.match(name):
        return None
    if hasattr(dtype, "na_value"):
        ids = ids.__arrow_array__()
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(ids, pyarrow.Array):
        ids = pyarrow.chunked_array([ids])
    return ids if hasattr(ids, "__arrow_c_stream__") else None


def _plain(container: Any, what: str) -> NDArray[Any] | list[Any]:
    """Return ids as an array of integers, of strings of fixed width, or as a list of strings."""
    if isinstance(container, list):
        return _plain_from_objects(container, what)
    if not isinstance(container, np.ndarray):
        names = ("to_pylist", "to_list", "tolist")  # Arrow's, polars' and pandas'
        to_list = next(getattr(container, name) for name in names if hasattr(container, name))
        return _plain_from_objects(to_list(), what)
    array = container
    kind = array.dtype.kind
    if kind in "iu":
        return _plain_from_integers(array, what)
    if kind == "f":
        return _plain_from_floats(array, what)
    if kind == "U":
        return array
    if kind in "OT":
        return _plain_from_objects(array.tolist(), what)
    name = _NOT_IDS.get(kind, "of a strange type")
    shown = f"{array[0]!r} at position 0" if len(array) else f"dtype {array.dtype}"
    raise TypeError(f"{what}: {shown} is {name}, which is no id; {_REMEDY}")


def _plain_from_integers(array: NDArray[Any], what: str) -> NDArray[Any]:
    if array.dtype.kind == "u" and array.dtype.itemsize == 8 and len(array):
        at = int(array.argmax())
        if int(array[at]) >= 2**63:
            _refuse_large(array[at].item(), at, what)
    narrow = array.dtype.itemsize < 4 or array.dtype.newbyteorder("=") == np.int32
    return np.ascontiguousarray(array, np.int32 if narrow else np.int64)


def _plain_from_floats(array: NDArray[Any], what: str) -> NDArray[np.int64]:
    missing = np.isnan(array)
    if missing.any():
        _refuse_missing("nan", int(missing.argmax()), what)
    fractional = ~np.isfinite(array) | (array != np.rint(array))
    if fractional.any():
        at = int(fractional.argmax())
        raise ValueError(
            f"{what}: {array[at].item()!r} at position {at} is not a whole number; {_REMEDY}, or "
            "check that the right column was passed"
        )
    large = np.abs(array) > _LARGEST_EXACT_FLOAT
    if large.any():
        _refuse_large(array[large.argmax()].item(), int(large.argmax()), what)
    return array.astype(np.int64)


def _plain_from_objects(values: list[Any], what: str) -> NDArray[Any] | list[Any]:
    families = {_family(kind) for kind in set(map(type, values))}
    if families <= {"string"}:
        return values
    if families == {"integer"}:
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError:
            at = next(i for i, value in enumerate(values) if not -(2**63) <= int(value) < 2**63)
            _refuse_large(values[at], at, what)
    if not families <= {"integer", "float"}:
        _refuse_objects(values, what)
    return _plain_from_floats(np.array(values, dtype=np.float64), what)


def _family(kind: type[Any]) -> str:
    if issubclass(kind, str):
        return "string"
    if issubclass(kind, bool | np.bool_):
        return "bool"
    if issubclass(kind, int | np.integer):
        return "integer"
    if issubclass(kind, float | np.floating):
        return "float"
    # pandas' markers are recognised by name, so that pandas need not be imported.
    return "missing" if kind is type(None) or kind.__name__ in ("NAType", "NaTType") else "other"


def _refuse_objects(values: list[Any], what: str) -> NoReturn:
    """Name the first entry that keeps a sequence from being ids of one kind."""
    numbers = {"integer", "float"}
    first = _family(type(values[0]))
    for at, value in enumerate(values):
        family = _family(type(value))
        if family == "missing" or (family == "float" and value != value):
            _refuse_missing(repr(value), at, what)
        if family in ("bool", "other"):
            raise TypeError(
                f"{what}: {shorten(value)} at position {at} is of type {type(value).__name__}, "
                f"which is no id; {_REMEDY}"
            )
        if family != first and not {family, first} <= numbers:
            raise ValueError(
                f"{what}: {shorten(value)} at position {at} is of type {type(value).__name__}, "
                f"but {shorten(values[0])} at position 0 is of type {type(values[0]).__name__}; "
                "ids must be of one kind: make all of them strings, or all integers"
            )
    raise AssertionError("no entry is at fault")  # the caller saw several families


def _refuse_missing(shown: str, at: int, what: str) -> NoReturn:
    raise ValueError(
        f"{what}: the id at position {at} is missing ({shown}); drop that rating or give it an id"
    )


def _refuse_large(value: object, at: int, what: str) -> NoReturn:
    raise ValueError(
        f"{what}: {value!r} at position {at} is too large for an exact 64-bit integer; pass the "
        "ids as strings (ids.astype(str))"
    )


def _first(ids: NDArray[Any] | list[Any]) -> object:
    return ids[0].item() if isinstance(ids, np.ndarray) else ids[0]


def shorten(value: object) -> str:
    """Return a value as messages show it."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
