"""Compare our models of choices with implicit's on play counts, each tuned on a validation part.

The part is the same for all, and the table is printed as it stands in docs/choosing.md. Run it with
the package, its peer `implicit` and a folder with hetrec2011-lastfm-2k:
python tools/ranking_comparison.py FOLDER
"""

from __future__ import annotations

import argparse
import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

# Our own threads and implicit's are enough.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.sparse import csr_matrix

import matfac as mf

N_FACTORS, N, SEED = 64, 10, 0
MEASURES = ("precision", "recall", "ndcg")
#: What a play count is passed as. Raw counts reach 350,000.
STRENGTHS: dict[str, Callable[[Any], Any]] = {
    "counts": lambda counts: counts,
    "log(1 + count)": np.log1p,
    "1": np.ones_like,
}


class Contest(NamedTuple):
    """A kind of model, and the settings among which the validation part chooses."""

    title: str
    fit: Callable[..., Any]
    choices: dict[str, list[Any]]


def ours(loss: str) -> Callable[..., Any]:
    def fit(train: mf.Ratings, n_threads: int, **settings: Any) -> mf.ImplicitFactorization:
        model = mf.ImplicitFactorization(N_FACTORS, loss=loss, n_threads=n_threads, **settings)
        return model.set_params(random_state=SEED, verbose=False).fit(train)

    return fit


class Theirs:
    """A model of implicit, as `evaluate_ranking` asks for it."""

    def __init__(self, model: Any, train: mf.Ratings) -> None:
        self.train = train
        self.user_items = csr_matrix(
            (train.values.copy(), train.items.copy(), train.offsets.astype("int32")), train.shape
        )
        self.model = model
        model.fit(self.user_items, show_progress=False)

    def recommend(self, users: Any, n: int, exclude_seen: bool) -> Any:
        codes = {user: code for code, user in enumerate(self.train.user_ids.tolist())}
        rows = np.array([codes[user] for user in np.asarray(users).tolist()])
        items, _ = self.model.recommend(
            rows, self.user_items[rows], N=n, filter_already_liked_items=exclude_seen
        )
        return self.train.item_ids[items]


def implicit_als(train: mf.Ratings, n_threads: int, **settings: Any) -> Theirs:
    from implicit.cpu.als import AlternatingLeastSquares

    settings = {"random_state": SEED, "num_threads": n_threads} | settings
    return Theirs(AlternatingLeastSquares(N_FACTORS, **settings), train)


def implicit_bpr(train: mf.Ratings, n_threads: int, **settings: Any) -> Theirs:
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    settings = {"random_state": SEED, "num_threads": n_threads} | settings
    return Theirs(BayesianPersonalizedRanking(N_FACTORS, **settings), train)


ANY_STRENGTH = {"strength": list(STRENGTHS)}
ONE = {"strength": ["1"]}
CONTESTS = (
    Contest(
        "implicit, ALS",
        implicit_als,
        ANY_STRENGTH
        | {"alpha": [0.01, 0.1, 1.0, 3.0, 10.0], "regularization": [1.0, 10.0, 30.0, 100.0]},
    ),
    Contest(
        "`implicit_squared`",
        ours("implicit_squared"),
        ANY_STRENGTH
        | {"unobserved_weight": [0.03, 0.1, 0.3], "regularization": [0.6, 1.2]}
        | {"regularization_exponent": [0.5], "max_iter": [15]},
    ),
    Contest(
        "implicit, BPR",
        implicit_bpr,
        ONE
        | {"learning_rate": [0.003, 0.01, 0.03, 0.1], "regularization": [0.003, 0.01, 0.03]}
        | {"iterations": [100, 300]},
    ),
    Contest("`bpr`", ours("bpr"), ONE | {"regularization": [0.07, 0.15, 0.3, 0.6]}),
    Contest("`warp`", ours("warp"), ONE | {"regularization": [0.5, 1.0, 2.0]}),
)


def settings_among(choices: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def measured(
    contest: Contest, settings: dict[str, Any], train: mf.Ratings, test: mf.Ratings, n_threads: int
) -> dict[str, float]:
    """Fit to one part and measure on the other."""
    settings = dict(settings)
    users, items, counts = train.to_arrays()
    strengths = STRENGTHS[settings.pop("strength")](counts)
    data = mf.Ratings.from_arrays(users, items, strengths, dtype="float32")
    model = contest.fit(data, n_threads, **settings)
    seen = None if isinstance(model, mf.ImplicitFactorization) else data
    return mf.metrics.evaluate_ranking(model, test, N, measures=MEASURES, train=seen)


def main() -> None:
    """Choose each model's settings, fit it to the whole training part, print what it reaches."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where hetrec2011-lastfm-2k is")
    parser.add_argument("--threads", type=int, default=1, help="with one BPR of implicit repeats")
    parser.add_argument("--only", help="models whose title has this in it")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # of held-out items that training does not know
    table = np.loadtxt(
        arguments.folder / "hetrec2011-lastfm-2k" / "user_artists.dat", np.int64, skiprows=1
    )
    plays = mf.Ratings.from_arrays(*table.T)
    train, test = next(mf.model_selection.UserSplit(0.2, random_state=SEED).split(plays))
    part, validation = next(mf.model_selection.UserSplit(0.2, random_state=SEED + 1).split(train))
    print("| model | settings, by NDCG@10 of the validation part | precision | recall | NDCG |")
    print("| --- | --- | --- | --- | --- |")
    for contest in CONTESTS:
        if arguments.only and arguments.only not in contest.title:
            continue
        tried = [
            (measured(contest, settings, part, validation, arguments.threads)["ndcg"], settings)
            for settings in settings_among(contest.choices)
        ]
        best, settings = max(tried, key=lambda entry: entry[0])
        found = measured(contest, settings, train, test, arguments.threads)
        words = ", ".join(f"{name} {value}" for name, value in settings.items())
        figures = " | ".join(f"{found[name]:.4f}" for name in MEASURES)
        print(f"| {contest.title} | {words} ({best:.4f}) | {figures} |", flush=True)


if __name__ == "__main__":
    main()
