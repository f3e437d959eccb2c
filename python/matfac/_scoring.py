"""How `model_selection` judges a fitted model, and whether more or less is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from matfac._evaluation import CATALOGUE_MEASURES, evaluate_ranking
from matfac._model import weighted_mean
from matfac._rankings import LIST_MEASURES
from matfac._ratings import Ratings


@dataclass(frozen=True)
class Scorer:
    """A way of judging a model, and its direction.

    Parameters
    ----------
    function : callable
        ``function(model, test)`` returns a number, for a fitted model and the `Ratings` of the test
        part. To be sent to worker processes it must be defined at the top level of a module.
    lower_is_better : bool
        True for errors.
    """

    function: Callable[[Any, Ratings], float]
    lower_is_better: bool = False

    def __call__(self, model: Any, test: Ratings) -> float:
        """Judge a model."""
        return _real(self.function(model, test))


#: None, a name, a callable, a `Scorer`, several names, or any of them by a name of one's own.
Scoring: TypeAlias = (
    "str | Callable[[Any, Ratings], float] | Sequence[str] | Mapping[str, Any] | None"
)

#: Measures of predicted ratings, weighted by the weights of the test ratings.
_ERRORS = ("rmse", "mse", "mae")
_PREDICTIONS = (*_ERRORS, "accuracy")
_AT = (*LIST_MEASURES, *CATALOGUE_MEASURES)


@dataclass(frozen=True)
class _Prediction:
    """How near the predictions come to the ratings."""

    name: str

    def __call__(self, model: Any, test: Ratings) -> float:
        predicted = np.asarray(model.predict(test))
        if self.name == "accuracy":
            return weighted_mean(predicted == test.values, test)
        errors = predicted.astype(np.float64) - test.values
        if self.name == "mae":
            return weighted_mean(np.abs(errors), test)
        mean_square = weighted_mean(errors * errors, test)
        return mean_square if self.name == "mse" else float(np.sqrt(mean_square))


@dataclass(frozen=True)
class _Ranking:
    """A measure of what is recommended; those of lists of one length are measured together."""

    measure: str
    n: int | None  # None for "auc"

    def __call__(self, model: Any, test: Ratings, exclude_seen: bool = True) -> float:
        measured = evaluate_ranking(
            model, test, self.n or 1, measures=self.measure, exclude_seen=exclude_seen
        )
        return measured[self.measure]


def _own_score(model: Any, test: Ratings) -> float:
    score: float = model.score(test)
    return score


def get_scorer(name: str) -> Scorer:
    """Return the scoring of a name.

    ``"rmse"``, ``"mse"``, ``"mae"`` and ``"accuracy"`` (the share of predictions that are the
    rating, for labels) look at ``model.predict``, and count each test rating by its weight;
    ``"auc"``, and a measure and the length of the lists, ``"ndcg@10"``, are those of
    `metrics.evaluate_ranking`. Errors and ``"popularity@n"`` are better when lower, the others when
    higher.
    """
    if name in _PREDICTIONS:
        return Scorer(_Prediction(name), lower_is_better=name in _ERRORS)
    if name == "auc":
        return Scorer(_Ranking("auc", None))
    measure, at, length = name.partition("@") if isinstance(name, str) else ("", "", "")
    if measure in _AT and not at:
        raise ValueError(f"scoring {name!r}: say of how many items, for example '{name}@10'")
    if measure in _AT and length.isascii() and length.isdigit() and int(length) >= 1:
        return Scorer(_Ranking(measure, int(length)), lower_is_better=measure == "popularity")
    raise ValueError(
        f"unknown scoring {name!r}: choose from {', '.join(_PREDICTIONS)}, auc, or NAME@n with "
        f"NAME one of {', '.join(_AT)}"
    )


def scorers_of(scoring: Scoring, estimator: Any) -> tuple[dict[str, Scorer], bool]:
    """Return the scorers by name, and whether there may be several; a single one is "score"."""
    if scoring is None:
        return {"score": _scorer_of_estimator(estimator)}, False
    if isinstance(scoring, str) or callable(scoring):
        return {"score": _scorer(scoring)}, False
    if isinstance(scoring, Mapping):
        scorers = {str(name): _scorer(value) for name, value in scoring.items()}
    elif isinstance(scoring, Sequence):
        scorers = {name: get_scorer(name) for name in scoring}
        if len(scorers) < len(scoring):
            raise ValueError(f"scoring={scoring!r}: a name stands twice")
    else:
        raise TypeError(
            f"scoring={scoring!r}: expected a name, a callable, several names, a dict, or None"
        )
    if not scorers:
        raise ValueError("scoring: nothing is named; pass None for the estimator's own score")
    return scorers, True


def score_all(
    scorers: Mapping[str, Scorer], model: Any, part: Ratings, *, is_train: bool = False
) -> dict[str, float]:
    """Judge a model; what is measured of the same lists is measured at once.

    On the ratings that it was fitted to, rankings are measured with what was seen among them.
    """
    lengths: dict[int, set[str]] = {}
    for scorer in scorers.values():
        if isinstance(scorer.function, _Ranking) and scorer.function.n is not None:
            lengths.setdefault(scorer.function.n, set()).add(scorer.function.measure)
    measured = {
        n: evaluate_ranking(model, part, n, measures=sorted(measures), exclude_seen=not is_train)
        for n, measures in lengths.items()
    }
    scores = {}
    for name, scorer in scorers.items():
        function = scorer.function
        if not isinstance(function, _Ranking):
            scores[name] = scorer(model, part)
        elif function.n is None:
            scores[name] = function(model, part, exclude_seen=not is_train)
        else:
            scores[name] = measured[function.n][function.measure]
    return scores


def _scorer(value: Any) -> Scorer:
    if isinstance(value, Scorer):
        return value
    if isinstance(value, str):
        return get_scorer(value)
    if callable(value):
        return Scorer(value)
    raise TypeError(f"scoring: {value!r} is neither a name nor a callable (model, test) -> float")


def _scorer_of_estimator(estimator: Any) -> Scorer:
    if not callable(getattr(estimator, "score", None)):
        raise TypeError(f"a {type(estimator).__name__} has no method score; pass scoring=")
    if "@" in getattr(estimator, "_score_name", ""):
        # A measure of rankings, which the training part needs to be told from the test part.
        return get_scorer(estimator._score_name)
    lower = getattr(estimator, "_lower_score_is_better", False)
    return Scorer(_own_score, lower_is_better=bool(lower))


def _real(score: Any) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float | np.number):
        raise TypeError(f"scoring: expected a number, got {score!r}")
    return float(score)
