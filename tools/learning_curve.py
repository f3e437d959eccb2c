"""Draw docs/learning_curve.svg: test error against time of the three solvers.

Run it with the package and matplotlib installed: python tools/learning_curve.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import matfac as mf

OUTPUT = Path(__file__).resolve().parent.parent / "docs" / "learning_curve.svg"


def main() -> None:
    """Fit each solver once and draw its history."""
    ratings = mf.datasets.make_ratings(20_000, 8_000, 2_000_000, random_state=0)
    train, test = ratings.split(0.1, random_state=0)
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for solver, max_iter in (("als", 12), ("sgd", 20), ("batch", 40)):
        model = mf.MatrixFactorization(solver=solver, max_iter=max_iter).fit(train, test)
        history = model.history_
        axes.plot(history["seconds"], history["eval_rmse"], marker="o", ms=3, label=solver)
    axes.set(
        xlabel="seconds, evaluation included", ylabel="test RMSE", xscale="log", ylim=(None, 0.9)
    )
    axes.grid(alpha=0.3)
    axes.legend(title="solver")
    axes.spines[["top", "right"]].set_visible(False)
    plt.rcParams["svg.hashsalt"] = "matfac"  # the same file from the same numbers
    figure.savefig(OUTPUT, metadata={"Date": None})


if __name__ == "__main__":
    main()
