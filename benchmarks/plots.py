"""Test RMSE against seconds, a picture for each number of factors."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(curves: list[dict[str, Any]], folder: Path) -> list[Path]:
    """Write the pictures and return where they are; none without curves."""
    if not curves:
        return []
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "matfac"  # the same file from the same numbers
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for n_factors in sorted({curve["n_factors"] for curve in curves}):
        figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
        for curve in curves:
            if curve["n_factors"] == n_factors:
                seconds, errors = zip(*curve["points"], strict=True)
                axes.plot(seconds, errors, marker="o", ms=3, label=curve["contender"])
        axes.set(
            title=f"F = {n_factors}",
            xlabel="seconds, preparation included, evaluation not",
            ylabel="test RMSE",
            xscale="log",
            ylim=(None, upper_limit(curves, n_factors)),
        )
        axes.grid(alpha=0.3)
        axes.legend()
        axes.spines[["top", "right"]].set_visible(False)
        paths.append(folder / f"rmse-{n_factors}-factors.svg")
        figure.savefig(paths[-1], metadata={"Date": None})
        plt.close(figure)
    return paths


def upper_limit(curves: list[dict[str, Any]], n_factors: int) -> float:
    """Leave out the first steep part, so that the ends can be told apart."""
    errors = [e for c in curves if c["n_factors"] == n_factors for _, e in c["points"]]
    best = min(errors)
    return best + min(0.15, 1.05 * (max(errors) - best) + 0.001)
