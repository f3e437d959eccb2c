"""The ratings that every contender gets: generated once, kept as .npy files in a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

#: MovieLens 20M.
FULL_SHAPE = (138_493, 26_744, 20_000_000)
TEST_FRACTION = 0.1
SEED = 0
#: Sweeps that make the factors which items are ranked by: trained ones, as their scores spread.
FACTOR_SWEEPS = 3


@dataclass(frozen=True)
class Shape:
    """Of the training ratings."""

    n_users: int
    n_items: int
    n_train: int
    n_test: int


def sizes_at(scale: float) -> tuple[int, int, int]:
    """Users, items and ratings: so many ratings less, the shape and the density kept."""
    n_users, n_items, n_ratings = FULL_SHAPE
    side = scale**0.5
    return round(n_users * side), round(n_items * side), round(n_ratings * scale)


def provide(folder: Path, scale: float) -> Path:
    """Return the folder with the ratings of this scale, generating them if they are not there."""
    home = folder / f"ratings-{scale:g}-seed-{SEED}"
    if not (home / "shape.json").is_file():
        _in_a_process("ratings", home, scale)
    return home


def provide_factors(home: Path, n_factors: int) -> None:
    """Have factors fitted to the ratings, if they are not there."""
    if not (home / f"factors-{n_factors}-items.npy").is_file():
        _in_a_process("factors", home, n_factors)


def _in_a_process(what: str, home: Path, argument: float) -> None:
    # Not in this one: it is to stay small, and to load no library that a contender needs.
    command = [sys.executable, "-m", "benchmarks.data", what, str(home), str(argument)]
    subprocess.run(command, check=True)


def generate(home: Path, scale: float) -> None:
    import matfac as mf

    home.mkdir(parents=True, exist_ok=True)
    ratings = mf.datasets.make_ratings(*sizes_at(scale), random_state=SEED)
    train, test = ratings.split(TEST_FRACTION, random_state=SEED)
    for name, part in (("train", train), ("test", test)):
        np.save(home / f"{name}-offsets.npy", part.offsets)
        np.save(home / f"{name}-items.npy", part.items)
        np.save(home / f"{name}-values.npy", part.values)
    shape = Shape(train.n_users, train.n_items, train.nnz, test.nnz)
    (home / "shape.json").write_text(json.dumps(asdict(shape)))


def fit_factors(home: Path, n_factors: int) -> None:
    import matfac as mf

    work = Data(home)
    model = mf.MatrixFactorization(
        n_factors, solver="als", biases=False, max_iter=FACTOR_SWEEPS, verbose=False
    ).fit(work.ratings("train"))
    np.save(home / f"factors-{n_factors}-users.npy", model.user_factors_)
    np.save(home / f"factors-{n_factors}-items.npy", model.item_factors_)


class Data:
    """The folder's contents, read when asked for."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @cached_property
    def shape(self) -> Shape:
        return Shape(**json.loads((self.home / "shape.json").read_text()))

    def csr(self, part: str = "train") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Offsets (int64), items (int32) and values (float32), by user."""
        names = ("offsets", "items", "values")
        offsets, items, values = (np.load(self.home / f"{part}-{name}.npy") for name in names)
        return offsets, items, values

    def triplets(self, part: str = "train") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Users, items (codes, int32) and values, one entry a rating, by user."""
        offsets, items, values = self.csr(part)
        users = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
        return users, items, values

    def scipy(self, part: str = "train"):
        """A csr_matrix of float32 with 32-bit indices, as most libraries want it."""
        from scipy.sparse import csr_matrix

        offsets, items, values = self.csr(part)
        shape = (self.shape.n_users, self.shape.n_items)
        return csr_matrix((values, items, offsets.astype(np.int32)), shape=shape)

    def ratings(self, part: str = "train"):
        """matfac's Ratings of the codes."""
        import matfac as mf

        return mf.Ratings.from_csr_arrays(*self.csr(part), self.shape.n_items)

    def choices(self, part: str = "train"):
        """matfac's Ratings of the codes, all of the strength 1."""
        import matfac as mf

        offsets, items, values = self.csr(part)
        return mf.Ratings.from_csr_arrays(offsets, items, np.ones_like(values), self.shape.n_items)

    def random_factors(self, n_factors: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(SEED)
        std = np.float32(n_factors**-0.5)
        shapes = (self.shape.n_users, n_factors), (self.shape.n_items, n_factors)
        users, items = (std * rng.standard_normal(s, dtype=np.float32) for s in shapes)
        return users, items

    def fitted_factors(self, n_factors: int) -> tuple[np.ndarray, np.ndarray]:
        users, items = (
            np.load(self.home / f"factors-{n_factors}-{side}.npy") for side in ("users", "items")
        )
        return users, items

    def raw_ids(self, kind: str, order: str) -> tuple[Any, Any, np.ndarray]:
        """Raw ids of users and items and the values, one entry a rating.

        kind: "integer" (with gaps among the items, as in MovieLens), "string" (NumPy's, of fixed
        width), "object" (Python strings, equal ones the same object, as a reader of files makes
        them) or "pandas string" (its own arrays). order: "by user" or "shuffled".
        """
        users, items, values = self.triplets()
        if order == "shuffled":
            places = np.random.default_rng(SEED).permutation(len(values))
            users, items, values = users[places], items[places], values[places]
        user_ids, item_ids = self._ids(kind, "u", users, 1), self._ids(kind, "i", items, 5)
        return user_ids, item_ids, values

    @staticmethod
    def _ids(kind: str, letter: str, codes: np.ndarray, gap: int) -> Any:
        numbers = 1 + gap * np.arange(codes.max() + 1, dtype=np.int64)
        if kind == "integer":
            return numbers[codes]
        texts = np.char.add(letter, numbers.astype(str))
        if kind == "string":
            return texts[codes]
        objects = texts.astype(object)[codes]
        if kind == "object":
            return objects
        import pandas as pd

        return pd.array(objects, dtype="str")

    def text_file(self, part: str = "train") -> Path:
        """Lines "user item rating", for programs that read files; written once."""
        path = self.home / f"{part}.txt"
        if not path.is_file():
            users, items, values = self.triplets(part)
            unfinished = path.with_suffix(".part")
            with unfinished.open("w") as file:
                for start in range(0, len(values), 1 << 18):
                    part_of = slice(start, start + (1 << 18))
                    columns = (a[part_of].tolist() for a in (users, items, values))
                    file.writelines(map("%d %d %g\n".__mod__, zip(*columns, strict=True)))
            unfinished.replace(path)
        return path


def main() -> None:
    what, home, argument = sys.argv[1:]
    if what == "ratings":
        generate(Path(home), float(argument))
    else:
        fit_factors(Path(home), int(float(argument)))


if __name__ == "__main__":
    main()
