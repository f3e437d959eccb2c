"""Draw docs/model_comparison.svg: how well each model ranks, and predicts, on generated data.

Run it with the package and matplotlib installed: python tools/model_comparison.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import matfac as mf

OUTPUT = Path(__file__).resolve().parent.parent / "docs" / "model_comparison.svg"
N_USERS, N_ITEMS, N_FACTORS = 4000, 1500, 32


def make_choices(rng: np.random.Generator) -> mf.Ratings:
    """Return about 30 choices a user, of popular items and of those to the user's taste."""
    tastes, traits = rng.normal(size=(N_USERS, 8)), rng.normal(size=(N_ITEMS, 8))
    popularity = -0.8 * np.log(np.arange(N_ITEMS) + 10.0)
    counts = np.minimum(rng.lognormal(3.2, 0.7, N_USERS).astype(int) + 4, N_ITEMS // 4)
    utilities = popularity + 0.7 * tastes @ traits.T + rng.gumbel(size=(N_USERS, N_ITEMS))
    best = np.argsort(-utilities, axis=1)
    users = np.repeat(np.arange(N_USERS), counts)
    items = np.concatenate([row[:n] for row, n in zip(best, counts, strict=True)])
    return mf.Ratings.from_arrays(users, items)


def most_popular(train: mf.Ratings) -> mf.ImplicitFactorization:
    """Return a model that knows how often each item was chosen, and nothing else."""
    model = mf.ImplicitFactorization(1, loss="bpr", max_iter=1, verbose=False).fit(train)
    model.user_factors_ = np.zeros_like(model.user_factors_)
    model.item_biases_ = np.bincount(train.items, minlength=train.n_items).astype(np.float32)
    return model


def ranking_results() -> dict[str, tuple[float, float]]:
    """Return NDCG@10 and AUC on held-out choices, by model."""
    train, test = make_choices(np.random.default_rng(0)).split(0.2, random_state=0)
    models: dict[str, Any] = {"most popular": most_popular(train)}
    for loss in ("implicit_squared", "bpr", "warp"):
        models[loss] = mf.ImplicitFactorization(N_FACTORS, loss=loss).fit(train)
    return {name: (m.score(test), mf.metrics.auc(m, test)) for name, m in models.items()}


def outlier_results() -> dict[str, float]:
    """Return the mean absolute error on clean ratings, by loss, where one in 20 is at random."""
    ratings = mf.datasets.make_ratings(N_USERS, N_ITEMS, 300_000, random_state=0)
    train, test = ratings.split(0.1, random_state=0)
    rng = np.random.default_rng(0)
    wrong = rng.random(train.nnz) < 0.05
    values = np.where(wrong, rng.choice([0.5, 5.0], train.nnz), train.values).astype(np.float32)
    train = mf.Ratings.from_csr_arrays(train.offsets, train.items, values, train.n_items)
    results = {}
    for loss in ("squared", "huber", "absolute", "kullback_leibler"):
        solver = "sgd" if loss == "kullback_leibler" else "als"
        model = mf.MatrixFactorization(N_FACTORS, loss=loss, solver=solver).fit(train)
        results[loss] = mf.metrics.mae(test.values, model.predict(test))
    return results


def main() -> None:
    """Fit each model once, with its defaults, and draw what it reaches."""
    rankings, errors = ranking_results(), outlier_results()
    panels = [
        ("NDCG@10 of held-out choices", {name: both[0] for name, both in rankings.items()}),
        ("AUC of held-out choices", {name: both[1] for name, both in rankings.items()}),
        ("mean absolute error, 5 % of\nthe training ratings at random", errors),
    ]
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.4), layout="constrained")
    for ax, (title, values) in zip(axes, panels, strict=True):
        bars = ax.barh(list(values), list(values.values()), color="tab:blue", height=0.6)
        ax.bar_label(bars, fmt="%.3f", padding=3, fontsize=8)
        ax.set_title(title, fontsize=9)
        least = min(values.values())
        ax.set_xlim(0.5 if "AUC" in title else 0.9 * least if "error" in title else 0, None)
        ax.margins(x=0.25)
        ax.invert_yaxis()
        ax.tick_params(labelsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    plt.rcParams["svg.hashsalt"] = "matfac"  # the same file from the same numbers
    figure.savefig(OUTPUT, metadata={"Date": None})


if __name__ == "__main__":
    main()
