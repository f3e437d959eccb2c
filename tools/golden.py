"""Writes the golden model files of this version: python tools/golden.py [--replace]

Models of every kind, a few kB each, with what they answer, in tests/io/golden/VERSION. Every later
version must load them and give the same answers (tests/io/test_golden.py and the C++ tests), so
those of a released version are never written again; --replace is for the version in the making.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import matfac as mf
from matfac import _core

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "io" / "golden"
N_USERS, N_ITEMS, N_RATINGS = 12, 9, 50
Ids = list[Any]


def ratings(labels: tuple[float, float] | None, user_ids: Ids, item_ids: Ids) -> mf.Ratings:
    rng = np.random.default_rng(20)
    pairs = rng.permutation(N_USERS * N_ITEMS)[:N_RATINGS]
    values = 1 + rng.integers(9, size=N_RATINGS) / 2
    if labels:
        values = np.where(values > 3, labels[1], labels[0])
    users = [user_ids[i] for i in pairs // N_ITEMS]
    return mf.Ratings.from_arrays(users, [item_ids[i] for i in pairs % N_ITEMS], values)


def models() -> Iterator[tuple[str, Any]]:
    numbers, items = [7 * i - 20 for i in range(N_USERS)], list(range(100, 100 + N_ITEMS))
    names = ["", *(f"user {i}" for i in range(8)), "é", "日本", "😀"]
    titles = [f"item-{i}" for i in range(N_ITEMS)]
    R = ratings(None, numbers, items)
    named, mixed = ratings(None, names, titles), ratings(None, numbers, titles)
    common: dict[str, Any] = {"max_iter": 3, "random_state": 5}
    rating, choice = mf.MatrixFactorization, mf.ImplicitFactorization
    yield "squared_float32", rating(4, **common).fit(R)
    yield "squared_float64", rating(3, dtype="float64", **common).fit(named)
    yield "plain_sgd_float32", rating(5, solver="sgd", biases=False, **common).fit(mixed)
    huber = rating(4, loss="huber", regularization=(0.5, 1), dtype="float64", **common)
    yield "huber_float64", huber.fit(mixed)
    yield "poisson_float32", rating(4, solver="sgd", loss="kullback_leibler", **common).fit(named)
    labels = ratings((-1.0, 1.0), numbers, titles)
    yield "logistic_float32", rating(4, loss="logistic", **common).fit(labels)
    yield (
        "l1_float64",
        rating(
            4, solver="ccd", l1_regularization=0.5, nonnegative=True, dtype="float64", **common
        ).fit(R),
    )
    yield "implicit_float32", choice(4, confidence_scale=2.0, **common).fit(named)
    yield "implicit_float64", choice(4, dtype="float64", **common).fit(R)
    yield "bpr_float32", choice(4, loss="bpr", **common).fit(mixed)
    yield "warp_float64", choice(4, loss="warp", dtype="float64", **common).fit(named)


def scores(model: Any) -> np.ndarray:
    """All estimates in the units of r̂, by code."""
    users, items = np.indices((len(model.user_ids_), len(model.item_ids_))).astype(np.int32)
    found = np.empty(users.size, model.item_factors_.dtype)
    _core.predict(*model._parameters(), users.ravel(), items.ravel(), found, 1)
    return found


def answers(model: Any) -> Iterator[str]:
    """Lines that both languages read: settings, all estimates, the best three for each user."""
    yield f"class {type(model).__name__}"
    for name, value in sorted(model.get_params().items()):
        if name not in ("init", "n_threads", "verbose") and value is not None:
            yield f"setting {name} {value if isinstance(value, str) else json.dumps(value)}"
    yield "scores " + " ".join(float(score).hex() for score in scores(model))
    codes = {item: code for code, item in enumerate(model.item_ids_.tolist())}
    for n, user in enumerate(model.user_ids_.tolist()):
        best = model.recommend(user, 3, exclude_seen=model._seen is not None)
        found = [
            codes[i] for i, s in zip(best.ids.tolist(), best.scores, strict=True) if s > -np.inf
        ]
        yield " ".join(map(str, ["best", n, *found]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replace", action="store_true", help="this version is not released yet")
    options = parser.parse_args()
    folder = FOLDER / mf.__version__
    if folder.exists() and not options.replace:
        print(f"{folder} is there: golden files of a released version stay", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in models():
        model.save(folder / f"{name}.safetensors", include_seen=not name.startswith("plain"))
        if name.startswith("plain"):
            model = mf.load(folder / f"{name}.safetensors")
        (folder / f"{name}.txt").write_text("\n".join(answers(model)) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
