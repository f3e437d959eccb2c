"""How a text file of ratings is laid out, guessed from its first lines."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from matfac._columns import WITHOUT_RATINGS, Choice, Roles, choose_columns, recognises
from matfac._ids import shorten

#: How many lines are looked at.
N_LINES = 50
#: In the order in which they are preferred. The blank stands for any run of spaces and tabs.
SEPARATORS = ("::", "\t", ",", ";", "|", " ")


@dataclass(frozen=True)
class TextLayout:
    """How to cut a text file into columns."""

    separator: str
    n_fields: int
    names: tuple[str, ...] | None  # of the columns, when the first line holds them
    first_data_line: int  # number of the first line that may hold a rating, from 1
    roles: Roles


def split_line(line: str, separator: str) -> list[str]:
    """Cut a line into its fields, without the space around them."""
    if separator == "::":
        return [field.strip() for field in line.split(separator)]
    if separator == " ":
        line = " ".join(line.split()) if '"' not in line else line.replace("\t", " ")
    try:
        rows = list(csv.reader([line.strip(" ")], delimiter=separator, skipinitialspace=True))
    except csv.Error:  # a NUL, or a field beyond all measure
        rows = [[line]]
    return [field.strip() for field in rows[0]] if rows else []


def is_blank(line: str, separator: str | None = None) -> bool:
    """Whether the parser skips this line: a tab is blank space unless it separates fields."""
    return not line.strip() and not (separator == "\t" and "\t" in line)


def is_number(field: str) -> bool:
    """Whether a field reads as a number (NaN and infinity too: they are numbers gone wrong)."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # Python's own spelling of 1_000


def sniff(
    lines: list[str], separator: str | None, header: bool | None, wanted: Mapping[str, Choice]
) -> TextLayout:
    """Find the layout of a file from its first lines (blank ones included).

    Raises ValueError, without naming the file, when there is none.
    """
    numbered = [(number, line) for number, line in enumerate(lines, 1) if not is_blank(line)]
    if not numbered:
        raise ValueError("the file is empty; expected one rating per line")
    n_least = 2 if wanted.get("rating") is False else 3
    if separator is None:
        separator = _guess_separator([line for _, line in numbered], n_least)
    elif separator not in SEPARATORS and (len(separator) != 1 or separator in '"\r\n'):
        raise ValueError(
            f"separator={separator!r}: expected one character, '::', or ' ' for any run of spaces "
            "and tabs"
        )
    rows = [split_line(line, separator) for _, line in numbered]
    names = tuple(rows[0]) if _has_header(rows, header, wanted) else None
    body = rows if names is None else rows[1:]
    if not body:
        raise ValueError(
            "there is no rating: the file holds only a header; expected one rating per line"
        )
    n_fields = _usual_length(body)
    if names is not None and len(names) != n_fields:
        raise ValueError(
            f"line {numbered[0][0]}: the header has {len(names)} names, but the lines below have "
            f"{n_fields} fields: {numbered[0][1]!r}; correct the header, or pass separator=... or "
            "header=False"
        )
    if n_fields < n_least:
        needed = "user and item" if n_least == 2 else "user, item and rating"
        pairs = f", or {WITHOUT_RATINGS}" if n_fields == 2 else ""
        number, line = numbered[0]
        raise ValueError(
            f"line {number}: too few columns, {n_fields} where {needed} are needed: "
            f"{shorten(line)}; pass separator=... if the columns are separated otherwise{pairs}"
        )
    first_data_line = numbered[0][0] if names is None else numbered[0][0] + 1
    roles = choose_columns(names, n_fields, wanted)
    return TextLayout(separator, n_fields, names, first_data_line, roles)


def _guess_separator(lines: list[str], n_least: int) -> str:
    """Return the separator that cuts the most lines into the same, sufficient number of fields."""
    scores = []
    for separator in SEPARATORS:
        lengths = Counter(len(split_line(line, separator)) for line in lines)
        enough = max((count for length, count in lengths.items() if length >= n_least), default=0)
        some = max((count for length, count in lengths.items() if length >= 2), default=0)
        scores.append((enough, some))
    if max(scores) == (0, 0):
        return " "
    return SEPARATORS[scores.index(max(scores))]


def _has_header(rows: list[list[str]], header: bool | None, wanted: Mapping[str, Choice]) -> bool:
    if header is not None:
        return header
    first = rows[0]
    if any(isinstance(choice, str) and choice in first for choice in wanted.values()):
        return True
    if any(is_number(field) for field in first):
        return False
    # Without a rating there need not be any number in a line.
    return (
        wanted.get("rating") is not False or recognises(first) or _has_column_of_numbers(rows[1:])
    )


def _has_column_of_numbers(rows: list[list[str]]) -> bool:
    """Whether a column holds numbers only."""
    columns = list(zip(*rows, strict=False))
    return any(all(is_number(field) for field in column) for column in columns)


def _usual_length(rows: list[list[str]]) -> int:
    return Counter(len(row) for row in rows).most_common(1)[0][0]
