"""Titles of items, from a file that has the item's id first and its title second."""

from __future__ import annotations

import csv
import io
from pathlib import Path


def read_titles(path: str) -> dict[str, str]:
    """Return raw item id (as text) -> title.

    The separator is the first of ``::``, tab, ``|``, ``;`` and comma that the first line has; only
    fields between commas may be quoted. Text that is not UTF-8 is taken as Latin-1 (MovieLens
    100k). A line of column names becomes an entry that no item asks for.
    """
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = text.split("\n")
    if not text.strip():
        raise ValueError(f"{path}: the file of titles is empty")
    separator = next((mark for mark in ("::", "\t", "|", ";", ",") if mark in lines[0]), None)
    if separator is None:
        raise ValueError(
            f"{path}: expected item ids and titles separated by '::', tab, '|', ';' or comma; the "
            f"first line is {lines[0][:60]!r}"
        )
    if separator == ",":
        try:
            rows = list(csv.reader(io.StringIO(text, newline="")))
        except csv.Error as error:
            raise ValueError(f"{path}: not a CSV file of item ids and titles: {error}") from None
    else:
        rows = [line.split(separator) for line in lines]
    return {row[0].strip(): row[1].strip() for row in rows if len(row) > 1}
