"""What the commands take in: files of ratings and of pairs, raw ids, the place of the output."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from errno import ELOOP
from itertools import chain, count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matfac import ModelFileError, Ratings, _core
from matfac._cli._options import reading_from
from matfac._ids import IdArray


def read_ratings(path: str, options: argparse.Namespace) -> Ratings:
    """Read a file of ratings and say how it was read."""
    ratings = Ratings.read(path, **reading_from(options))
    say(f"read {ratings.source}")
    say(f"     {ratings}")
    return ratings


def read_pairs(options: argparse.Namespace) -> tuple[IdArray, IdArray]:
    """Return raw users and items of a file, in its order."""
    from matfac._reading import ReadOptions, read_triplets

    chosen = reading_from(options)
    columns = {"user": chosen.pop("user"), "item": chosen.pop("item")}
    columns |= {"rating": False, "timestamp": False, "weight": False}
    pairs, guess = read_triplets(options.pairs, ReadOptions(columns=columns, dtype=None, **chosen))
    say(f"read {guess}")
    return pairs.user_ids[pairs.users], pairs.item_ids[pairs.items]


def in_kind_of(ratings: Ratings, user_ids: IdArray, item_ids: IdArray) -> Ratings:
    """Return ratings with ids of the same kind as these, integers or strings.

    A file of held-out ratings may by chance hold plain integers only, where the training ratings
    held strings.
    """
    if (ratings.user_ids.dtype.kind, ratings.item_ids.dtype.kind) == (
        user_ids.dtype.kind,
        item_ids.dtype.kind,
    ):
        return ratings
    users, items, values = ratings.to_arrays()
    return Ratings.from_arrays(
        ids_in_kind_of(users, user_ids, "user"),
        ids_in_kind_of(items, item_ids, "item"),
        values,
        weights=ratings.weights,
    )


def ids_in_kind_of(ids: IdArray, known: IdArray, what: str) -> IdArray:
    """Return raw ids as integers or as strings, whichever the known ones are.

    Integers were read from plain text (17, not 017), which `str` gives back.
    """
    if ids.dtype.kind == known.dtype.kind:
        return ids
    if known.dtype.kind == "U":
        return ids.astype(np.str_)
    return _integers(ids.tolist(), known, what)


def _integers(texts: Iterable[str], known: IdArray, what: str) -> NDArray[np.int64]:
    numbers = []
    for text in texts:
        try:
            number = int(text)
        except ValueError:
            number = 2**63
        if str(number) != text or not -(2**63) <= number < 2**63:
            raise ValueError(
                f"{what} {text!r}: the {what}s of this model are integers, such as {known[0]}"
            )
        numbers.append(number)
    return np.array(numbers, np.int64)


def checked_output(
    path: str,
    inputs: Iterable[str | None],
    overwritten: str = "the model would overwrite the ratings",
) -> Path:
    """Refuse a place that cannot or should not be written to, before any work is done."""
    if not path or path.endswith(os.sep):
        raise ValueError("the output has no name; name a file")
    output = Path(path)
    folder = output.parent
    if output.is_symlink():  # written is what it leads to
        target = Path(os.path.realpath(output))
        if target.is_symlink():
            raise OSError(ELOOP, "the output is a symbolic link that leads nowhere", str(output))
        folder = target.parent
    if output.is_dir():
        raise IsADirectoryError(21, "the output is a folder; name a file", str(output))
    if not folder.is_dir():
        raise FileNotFoundError(2, "the folder of the output does not exist", str(folder))
    if output.exists() and not output.is_file():
        raise ValueError(f"{output}: the output is not a regular file; name one")
    read = [Path(given) for given in inputs if given is not None]
    if output.exists() and any(file.exists() and output.samefile(file) for file in read):
        raise ValueError(f"{output}: {overwritten}; name another file")
    if not os.access(output if output.exists() else folder, os.W_OK):
        raise PermissionError(13, "the output cannot be written to", str(output))
    return output


def refuse_foreign(output: Path) -> None:
    """Refuse to replace a file that is no model: it may be worth more than one."""
    if output.exists() and output.stat().st_size > 0:
        try:
            _core.ModelFile(str(output), False)
        except ModelFileError:
            raise ValueError(
                f"{output}: this file is no model, and would be lost; name another file, or remove "
                "it first"
            ) from None


def free_name(path: Path) -> Path:
    """Return the path if nothing is there, else one beside it where nothing is."""
    names = (f"{path.stem}-interrupted{n or ''}{path.suffix}" for n in count())
    candidates = (path.with_name(name) for name in names)
    return next(p for p in chain([path], candidates) if not os.path.lexists(p))


def warn(text: str) -> None:
    """Tell the person at the terminal what may not be as it was meant."""
    say(f"matfac: warning: {text}")


def say(text: str) -> None:
    """Tell the person at the terminal, beside the results."""
    print(text, file=sys.stderr)
