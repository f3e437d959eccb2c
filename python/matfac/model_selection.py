"""Divide ratings, cross-validate estimators, and search for parameters.

Splitters (`KFold`, `ShuffleSplit`, `UserSplit`, `LeaveOneOut`, `TimeSplit`) yield (train, test)
pairs of `Ratings`; `cross_validate` fits and scores on each; `GridSearch` and `RandomSearch` choose
parameters by it. All take any estimator with ``get_params``, ``set_params`` and ``fit(ratings)``.
docs/evaluation.md shows how they go together.
"""

from __future__ import annotations

from matfac._cross_validation import FitFailedWarning, clone, cross_validate
from matfac._scoring import Scorer, get_scorer
from matfac._search import GridSearch, RandomSearch
from matfac._splitters import KFold, LeaveOneOut, ShuffleSplit, TimeSplit, UserSplit

__all__ = [
    "FitFailedWarning",
    "GridSearch",
    "KFold",
    "LeaveOneOut",
    "RandomSearch",
    "Scorer",
    "ShuffleSplit",
    "TimeSplit",
    "UserSplit",
    "clone",
    "cross_validate",
    "get_scorer",
]
