"""Titles of items, from a file that has the item's id first and its title second."""

from __future__ import annotations

from pathlib import Path


def read_titles(path: str) -> dict[str, str]:
    """Return raw item id (as text) -> title.

    The separator is the first of tab, ``|``, ``;`` and comma that the first line has; quoting is
    CSV's. Text that is not UTF-8 is taken as Latin-1 (MovieLens 100k).
    """
    import pandas as pd

    content = Path(path).read_bytes()
    if not content.strip():
        raise ValueError(f"{path}: the file of titles is empty")
    try:
        content.decode()
        encoding = "utf-8-sig"
    except UnicodeDecodeError:
        encoding = "latin-1"
    first_line = content.split(b"\n", 1)[0].decode(encoding)
    separator = next((mark for mark in "\t|;," if mark in first_line), None)
    if separator is None:
        raise ValueError(
            f"{path}: expected item ids and titles separated by tab, '|', ';' or comma; the first "
            f"line is {first_line[:60]!r}"
        )
    table = pd.read_csv(
        path,
        sep=separator,
        header=None,
        usecols=[0, 1],
        names=["item", "title"],
        dtype=str,
        encoding=encoding,
        keep_default_na=False,
        quoting=0 if separator == "," else 3,
    )
    return dict(zip(table["item"].tolist(), table["title"].tolist(), strict=True))
