"""What `matfac evaluate` measures, by what the model is about."""

from __future__ import annotations

from typing import Any

import numpy as np

from matfac import ImplicitFactorization, MatrixFactorization, Ratings, metrics
from matfac._interactions import as_interactions
from matfac._model import weighted_mean

_RANKING = ("precision", "recall", "ndcg", "average_precision", "reciprocal_rank", "hit_rate")


def measures_of(
    model: MatrixFactorization | ImplicitFactorization, ratings: Ratings, n: int
) -> dict[str, Any]:
    """Return errors for a model of ratings, accuracy for labels, ranking measures for choices."""
    if isinstance(model, ImplicitFactorization):
        chosen = as_interactions(ratings)
        found = metrics.evaluate_ranking(model, chosen, n, measures=[*_RANKING, "auc"])
        return {name if name == "auc" else f"{name}@{n}": found[name] for name in found}
    if model._has_labels():
        result = {"accuracy": model.score(ratings)}
        if hasattr(model, "predict_proba"):
            probabilities = model.predict_proba(ratings).astype(np.float64)
            of_label = np.where(ratings.values > 0, probabilities[:, 1], probabilities[:, 0])
            tiny = np.finfo(np.float64).tiny
            result["log_loss"] = weighted_mean(-np.log(np.maximum(of_label, tiny)), ratings)
        return result
    errors = np.abs(model.predict(ratings).astype(np.float64) - ratings.values)
    return {"rmse": model.score(ratings), "mae": weighted_mean(errors, ratings)}
