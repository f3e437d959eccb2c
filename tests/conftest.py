"""What the tests share: problem factories, the one table of tolerances, runs at several threads.

``float64`` twins of the same inputs are the truth; a tolerance says how far the native result may
be from it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import matfac as mf
from matfac import reference
from matfac._cli import main

# The twins solve thousands of small systems: a BLAS that wakes threads for each takes 500 times as
# long on a busy machine.
threadpool_limits(limits=1, user_api="blas")

DTYPES = ("float32", "float64")
#: Below, at, and just beyond the lengths of vectors, on both sides of the unrolled sizes.
SIZES = (1, 7, 16, 33, 100, 128, 130)
#: More than this machine may have: the result must not depend on it either.
THREADS = (1, 2, 3, 8)
SOLVERS = ("als", "sgd", "batch", "ccd")
#: The losses of single ratings that each solver fits, as docs/choosing.md has them.
_SMOOTH = ("squared", "huber", "kullback_leibler", "logistic", "squared_hinge")
POINTWISE = {
    "als": ("squared", "absolute", "huber", "logistic", "squared_hinge"),
    "sgd": (*_SMOOTH, "absolute", "hinge"),
    "batch": _SMOOTH,
    "ccd": ("squared",),
}
#: Those of labels, 1 and -1.
LABELS = ("logistic", "hinge", "squared_hinge")


#: How far a native result may be from its float64 twin, by operation and dtype.
#:
#: "sum" is relative to the sum of the absolute terms that were added: rounding is proportional to
#: it, whatever cancels. The others are relative to the largest entry of the result: systems that
#: are solved amplify rounding by their condition.
TOLERANCES: dict[str, dict[str, float]] = {
    "sum": {"float32": 1e-6, "float64": 2e-15},
    "epoch": {"float32": 5e-6, "float64": 1e-14},
    "als": {"float32": 1e-3, "float64": 1e-10},
    "batch": {"float32": 2e-4, "float64": 1e-9},
    "ccd": {"float32": 2e-4, "float64": 1e-11},
    "sgd": {"float32": 1e-4, "float64": 1e-12},
    "least_norm": {"float32": 1e-4, "float64": 1e-8},
    "objective": {"float32": 1e-5, "float64": 1e-12},
}


def assert_near(actual: Any, expected: Any, operation: str, dtype: str, scale: Any = None) -> None:
    """Compare with the table: relative to ``scale``, by default the largest expected entry."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    if scale is None:
        scale = np.max(np.abs(expected), initial=0.0)
    allowed = TOLERANCES[operation][dtype] * np.asarray(scale) + np.finfo(np.float64).tiny
    worst = float(np.max(np.abs(actual - expected) / allowed, initial=0.0))
    if not worst <= 1:  # NaN included
        pytest.fail(f"off by {worst:.3g} times the tolerance for {operation} in {dtype}")


@dataclass(frozen=True)
class Problem:
    """Ratings, and factors of the same dtype to begin with."""

    R: mf.Ratings
    U: np.ndarray
    V: np.ndarray

    @property
    def dtype(self) -> str:
        return str(self.U.dtype)

    @property
    def n_factors(self) -> int:
        return self.U.shape[1]

    def exact(self) -> Problem:
        """The same numbers in float64, for the twins."""
        return Problem(self.R.astype("float64"), self.U.astype(float), self.V.astype(float))

    def terms(self) -> np.ndarray:
        """Per rating, the sum of the absolute terms of its residual: |u|·|v| + |r|."""
        p = self.exact()
        users = reference.user_codes(p.R)
        return np.sum(np.abs(p.U[users] * p.V[p.R.items]), axis=1) + np.abs(p.R.values)

    def copy(self) -> Problem:
        return Problem(self.R, self.U.copy(), self.V.copy())


def ratings_from_mask(mask: np.ndarray, dtype: str, rng: np.random.Generator) -> mf.Ratings:
    """Ratings around 3 wherever ``mask`` (n_users, n_items) is true."""
    offsets = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    items = np.nonzero(mask)[1].astype(np.int32)
    values = (3 + rng.normal(size=len(items))).astype(dtype)
    return mf.Ratings.from_csr_arrays(offsets, items, values, mask.shape[1])


#: name -> (n_users, n_items, density). All but the first have users and items without ratings, or
#: at least one of the two.
SHAPES = {
    "one rating": (1, 1, 1.0),
    "one user": (1, 61, 0.7),
    "one item": (61, 1, 0.7),
    "wide": (5, 301, 0.3),
    "tall": (301, 5, 0.3),
    "general": (67, 43, 0.25),
    "small": (31, 23, 0.4),
}
#: Each shape at an odd size, and each size at a small shape.
SHAPES_AND_SIZES = [(shape, 7) for shape in SHAPES] + [("small", size) for size in SIZES]


def make_problem(
    shape: str | tuple[int, int, float], n_factors: int, dtype: str, seed: int = 0
) -> Problem:
    """A random problem; factors of about 1 / sqrt(n_factors) make estimates of about 1."""
    n_users, n_items, density = SHAPES[shape] if isinstance(shape, str) else shape
    rng = np.random.default_rng([seed, n_users, n_items, n_factors])
    mask = rng.random((n_users, n_items)) < density
    mask[0, 0] = True
    if n_users > 2:
        mask[[n_users // 2, n_users - 1]] = False  # empty rows, one of them the last
    if n_items > 2:
        mask[:, [n_items // 2, n_items - 1]] = False
    factors = rng.normal(size=(n_users + n_items, n_factors)) / n_factors**0.5
    R = ratings_from_mask(mask, dtype, rng)
    return Problem(R, factors[:n_users].astype(dtype), factors[n_users:].astype(dtype))


def make_large_problem(
    n_factors: int, dtype: str, seed: int = 0, n_items: int = 1100, n_draws: int = 200_000
) -> Problem:
    """About 165 000 ratings of very different users and items: many blocks for every schedule."""
    rng = np.random.default_rng(seed)
    n_users = 3000
    users = (n_users * rng.random(n_draws) ** 2).astype(np.int64)
    items = (n_items * rng.random(n_draws) ** 2).astype(np.int64)
    pairs = np.unique(users * n_items + items)
    offsets = np.searchsorted(pairs // n_items, np.arange(n_users + 1))
    values = rng.integers(1, 11, len(pairs)) / 2
    R = mf.Ratings.from_csr_arrays(
        offsets, (pairs % n_items).astype(np.int32), values.astype(dtype), n_items
    )
    factors = rng.normal(size=(n_users + n_items, n_factors)) / n_factors**0.5
    return Problem(R, factors[:n_users].astype(dtype), factors[n_users:].astype(dtype))


def make_hollow_problem(n_factors: int, dtype: str, seed: int = 0) -> Problem:
    """Few ratings of more users and items than 16 bits count."""
    rng = np.random.default_rng(seed)
    n_users, n_items = 150_000, 140_000
    users = np.sort(rng.integers(n_users, size=600))
    users[-1] = n_users - 1
    offsets = np.searchsorted(users, np.arange(n_users + 1))
    items = rng.integers(n_items - 600, size=600) // 600 * 600 + np.arange(600)  # ascending, unique
    values = rng.normal(size=600).astype(dtype)
    R = mf.Ratings.from_csr_arrays(offsets, np.sort(items).astype(np.int32), values, n_items)
    factors = rng.normal(size=(n_users + n_items, n_factors)) / n_factors**0.5
    return Problem(R, factors[:n_users].astype(dtype), factors[n_users:].astype(dtype))


def model_of(fitted: mf.MatrixFactorization) -> reference.Model:
    """A fitted model's parameters in float64, for the twins."""

    def exact(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array.astype(np.float64)

    return reference.Model(
        fitted.user_factors_.astype(np.float64),
        fitted.item_factors_.astype(np.float64),
        exact(fitted.user_biases_),
        exact(fitted.item_biases_),
        fitted.global_mean_,
    )


def bits(*results: Any) -> list[bytes]:
    """The exact content of arrays and numbers, None being nothing."""
    return [np.asarray(result).tobytes() for result in results if result is not None]


def bits_of(fitted: mf.MatrixFactorization) -> list[bytes]:
    """The exact content of a fitted model and of its history, but for the time it took."""
    history = [fitted.history_[key] for key in fitted.history_ if key != "seconds"]
    return bits(*fitted._parameters(), *history)


def same_at_any_n_threads(compute: Callable[[int], list[bytes]]) -> None:
    """Assert that ``compute(n_threads)`` gives the same bits at each number of threads."""
    expected = compute(THREADS[0])
    for n_threads in THREADS[1:]:
        assert compute(n_threads) == expected, f"{n_threads} threads give other bits than 1"


def run_python(code: str, **environment: str) -> str:
    """Run code in a process of its own and return what it printed; a failure shows its output."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> str:
    """Each floating-point type that the core is built for."""
    return str(request.param)


@pytest.fixture(params=SOLVERS)
def solver(request: pytest.FixtureRequest) -> str:
    """Each solver."""
    return str(request.param)


# ---- the command line's files; a module that wants others has fixtures of the same name ----------


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, output and messages of a command in this process."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


COMMANDS = ("train", "evaluate", "predict", "recommend", "export", "demo", "info")


def text_of(R: mf.Ratings, separator: str = ",", header: str = "user,item,rating\n") -> str:
    """What a file of these ratings holds."""
    rows = zip(*(column.tolist() for column in R.to_arrays()), strict=True)
    return header + "".join(separator.join(map(str, row)) + "\n" for row in rows)


@pytest.fixture(scope="session")
def R() -> mf.Ratings:
    """A few ratings with integer ids."""
    return mf.datasets.make_ratings(60, 40, 900, random_state=6)


@pytest.fixture
def ratings(R: mf.Ratings, tmp_path: Path) -> Path:
    """A file of `R`."""
    path = tmp_path / "ratings.csv"
    path.write_text(text_of(R))
    return path


@pytest.fixture
def model(R: mf.Ratings, tmp_path: Path) -> Path:
    """The file of a model fitted to `R`."""
    path = tmp_path / "model.safetensors"
    mf.MatrixFactorization(4, max_iter=2).fit(R).save(path)
    return path
