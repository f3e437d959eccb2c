"""Search for parameters by cross-validation."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matfac._coerce import generator_from, integer
from matfac._cross_validation import Job, Result, checked_error_score, clone, divide, run
from matfac._model import NotFittedError
from matfac._params import Parameters
from matfac._ratings import Ratings
from matfac._scoring import Scorer, Scoring, scorers_of
from matfac._warnings import warn_user

if TYPE_CHECKING:
    from typing_extensions import Self

Candidate = dict[str, Any]

#: What only a fit that chooses, or refits, sets.
_OF_THE_BEST = (
    "best_index_",
    "best_params_",
    "best_score_",
    "best_estimator_",
    "refit_time_",
    "_fitted_scorer",
)


class Search(Parameters):
    """What the searches have in common; they differ in the candidates that they try."""

    estimator: Any
    scoring: Scoring
    n_jobs: int | None
    refit: bool | str
    cv: Any
    error_score: float | str
    return_train_score: bool

    def fit(self, ratings: object, **fit_params: Any) -> Self:
        """Cross-validate every candidate, and fit the best one to all ratings.

        Parameters
        ----------
        ratings : Ratings, SciPy sparse matrix or data frame
        **fit_params
            Passed to the estimator's ``fit``, every time.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Unknown parameters, before any fit; all fits failed.
        """
        base, candidates = clone(self.estimator), self._candidates()
        if not candidates:
            raise ValueError("there are no candidates to try; name at least one")
        tried = [clone(base).set_params(**candidate) for candidate in candidates]
        self._require_comparable(tried)
        scorers, several = scorers_of(self.scoring, tried[0])
        chosen = self._chosen(scorers, several)
        divisions = divide(ratings, self.cv, base)
        job = Job(
            base,
            divisions,
            scorers,
            fit_params,
            return_train_score=self.return_train_score,
            error_score=checked_error_score(self.error_score),
        )
        results = run(job, candidates, self.n_jobs)
        for name in _OF_THE_BEST:  # of an earlier fit, perhaps with other settings
            self.__dict__.pop(name, None)
        self.cv_results_ = _table(results, candidates, len(divisions), scorers, several, job)
        self.n_splits_, self.multimetric_ = len(divisions), several
        self.scorer_ = scorers if several else scorers["score"]
        if chosen is not None:
            self._choose(chosen, scorers[chosen], candidates)
        if self.refit:
            self._fitted_scorer = scorers[chosen or "score"]
            best = clone(base).set_params(**self.best_params_)
            start = time.perf_counter()
            self.best_estimator_ = best.fit(ratings, **fit_params)
            self.refit_time_ = time.perf_counter() - start
        return self

    def predict(self, *args: Any, **named: Any) -> Any:
        """Call ``best_estimator_.predict``."""
        return self._best().predict(*args, **named)

    def recommend(self, *args: Any, **named: Any) -> Any:
        """Call ``best_estimator_.recommend``."""
        return self._best().recommend(*args, **named)

    def score(self, test: Ratings) -> float:
        """Return the score of ``best_estimator_`` by the scoring that chose it."""
        best = self._best()
        return self._fitted_scorer(best, test)

    # ---- inside ---------------------------------------------------------------------------------

    def _candidates(self) -> list[Candidate]:
        raise NotImplementedError

    def _require_comparable(self, estimators: list[Any]) -> None:
        """Refuse candidates whose own scores are different measures."""
        names = {str(getattr(estimator, "_score_name", "")) for estimator in estimators}
        if self.scoring is None and len(names) > 1:
            raise ValueError(
                f"the scores of the candidates are different measures ({', '.join(sorted(names))}) "
                "and cannot be compared; pass scoring="
            )

    @property
    def _lower_score_is_better(self) -> bool:
        scorers, several = scorers_of(self.scoring, self._first())
        return scorers[self._chosen(scorers, several) or "score"].lower_is_better

    @property
    def _score_name(self) -> str:
        if self.scoring is None:
            return str(getattr(self._first(), "_score_name", ""))
        return self.scoring if isinstance(self.scoring, str) else ""

    def _first(self) -> Any:
        """Return the first candidate: all have the same score."""
        # Of a copy, which leaves a generator of random numbers as it is.
        return clone(self.estimator).set_params(**clone(self)._candidates()[0])

    def _chosen(self, scorers: Mapping[str, Scorer], several: bool) -> str | None:
        """Return the scoring that decides which candidate is the best; None: none does."""
        if not several:
            if not isinstance(self.refit, bool | np.bool_):
                raise TypeError(f"refit={self.refit!r}: with one scoring, expected True or False")
            return "score"
        if isinstance(self.refit, str) and self.refit in scorers:
            return self.refit
        if self.refit is False:
            return None
        raise ValueError(
            f"refit={self.refit!r}: with several scorings, say which one decides "
            f"({', '.join(scorers)}), or pass False"
        )

    def _choose(self, name: str, scorer: Scorer, candidates: list[Candidate]) -> None:
        means = self.cv_results_[f"mean_test_{name}"]
        if np.isnan(means).all():
            raise ValueError(f"all candidates have a {name} of NaN; there is no best one")
        best = int(np.nanargmin(means) if scorer.lower_is_better else np.nanargmax(means))
        self.best_index_, self.best_params_ = best, candidates[best]
        self.best_score_ = float(means[best])

    def _best(self) -> Any:
        best = getattr(self, "best_estimator_", None)
        if best is None:
            raise NotFittedError(
                f"this {type(self).__name__} has no best estimator; call fit(ratings), with refit"
            )
        return best


class GridSearch(Search):
    """Try every combination of given values.

    Parameters
    ----------
    estimator : estimator
        Anything with ``get_params``, ``set_params`` and ``fit``. It is not changed.
    param_grid : dict of sequences, or a list of such dicts
        The values to try, by the name of the parameter. Of several dicts each is a grid of its own.
    scoring, cv, n_jobs, error_score, return_train_score
        As for `cross_validate`. The best candidate is the one with the best mean: the lowest of an
        error (``"rmse"``, the ``score`` of `MatrixFactorization`, a `Scorer` with
        ``lower_is_better``), else the highest; of equals the first.
    refit : bool or str
        Fit the best candidate to all ratings. With several scorings: the name of the one that
        decides, or False.

    Attributes
    ----------
    best_params_, best_score_, best_index_
        Of the best candidate; the score is its mean over the test parts, as it is (an RMSE is not
        negated).
    best_estimator_, refit_time_ : where ``refit``
        `predict`, `recommend` and `score` call it.
    cv_results_ : dict of arrays
        One entry a candidate, as scikit-learn has it: ``params``, ``param_NAME``,
        ``split0_test_score``, ..., ``mean_test_score``, ``std_test_score``, ``rank_test_score`` (1
        is the best), ``mean_fit_time``, ``std_fit_time``, ``mean_score_time``, ``std_score_time``;
        with several scorings their names take the place of ``score``. ``pandas.DataFrame`` takes it
        as it is.
    scorer_, n_splits_, multimetric_
        What was used.
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Sequence[Any]]],
        *,
        scoring: Scoring = None,
        n_jobs: int | None = 1,
        refit: bool | str = True,
        cv: Any = 5,
        error_score: float | str = np.nan,
        return_train_score: bool = False,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.refit = refit
        self.cv = cv
        self.error_score = error_score
        self.return_train_score = return_train_score

    def _candidates(self) -> list[Candidate]:
        grids = [self.param_grid] if isinstance(self.param_grid, Mapping) else self.param_grid
        return [candidate for grid in grids for candidate in _combinations(grid)]


class RandomSearch(Search):
    """Try combinations that are drawn at random.

    Parameters
    ----------
    estimator : estimator
        As for `GridSearch`, and so are the others that are not mentioned here, and the attributes.
    param_distributions : dict
        By the name of the parameter, either a sequence of values, or a distribution: an object with
        ``rvs(random_state=...)``, such as ``scipy.stats.loguniform(0.01, 10)``. Where all are
        sequences no combination is drawn twice.
    n_iter : int
        How many candidates to draw.
    random_state : int, numpy.random.Generator or None
        Of the candidates. None: others each time.
    """

    def __init__(
        self,
        estimator: Any,
        param_distributions: Mapping[str, Any],
        *,
        n_iter: int = 10,
        scoring: Scoring = None,
        n_jobs: int | None = 1,
        refit: bool | str = True,
        cv: Any = 5,
        random_state: int | np.random.Generator | None = 0,
        error_score: float | str = np.nan,
        return_train_score: bool = False,
    ) -> None:
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.refit = refit
        self.cv = cv
        self.random_state = random_state
        self.error_score = error_score
        self.return_train_score = return_train_score

    def _candidates(self) -> list[Candidate]:
        n_iter = integer("n_iter", self.n_iter, least=1)
        generator = generator_from(self.random_state)
        choices = _checked(self.param_distributions, "param_distributions", with_rvs=True)
        if any(hasattr(values, "rvs") for values in choices.values()):
            return [
                {name: _draw(values, generator) for name, values in choices.items()}
                for _ in range(n_iter)
            ]
        n_all = prod(len(values) for values in choices.values())
        if n_all < n_iter:
            warn_user(
                f"n_iter={n_iter}: there are only {n_all} combinations; each is tried once",
                UserWarning,
            )
        drawn = generator.choice(n_all, min(n_iter, n_all), replace=False)
        return [_combination(choices, int(number)) for number in drawn]


# ---- candidates ---------------------------------------------------------------------------------


def _checked(grid: object, what: str, *, with_rvs: bool) -> dict[str, Any]:
    """Return the values by name, in the order of the names, after checking what they are."""
    if not isinstance(grid, Mapping):
        raise TypeError(f"{what}: expected a dict from names to values, got {grid!r}")
    for name, values in grid.items():
        if not isinstance(name, str):
            raise TypeError(f"{what}: {name!r} is not the name of a parameter")
        if with_rvs and hasattr(values, "rvs"):
            continue
        if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray):
            raise TypeError(f"{what}: {name}={values!r}: expected a sequence of values to try")
        if len(values) == 0:
            raise ValueError(f"{what}: there are no values of {name} to try")
    return {name: grid[name] for name in sorted(grid)}


def _combinations(grid: object) -> Iterator[Candidate]:
    choices = _checked(grid, "param_grid", with_rvs=False)
    columns = [[_plain(value) for value in values] for values in choices.values()]
    return (dict(zip(choices, values, strict=True)) for values in product(*columns))


def _combination(choices: Mapping[str, Sequence[Any]], number: int) -> Candidate:
    """Return a combination by its number; the last name varies fastest."""
    picked = {}
    for name in reversed(list(choices)):
        number, at = divmod(number, len(choices[name]))
        picked[name] = _plain(choices[name][at])
    return {name: picked[name] for name in choices}


def _draw(values: Any, generator: np.random.Generator) -> Any:
    if hasattr(values, "rvs"):
        return _plain(values.rvs(random_state=generator))
    return _plain(values[int(generator.integers(len(values)))])


def _plain(value: Any) -> Any:
    """Return a Python number for NumPy's."""
    return value.item() if isinstance(value, np.generic) else value


# ---- the table ----------------------------------------------------------------------------------


def _table(
    results: list[Result],
    candidates: list[Candidate],
    n_splits: int,
    scorers: Mapping[str, Scorer],
    several: bool,
    job: Job,
) -> dict[str, Any]:
    """Return `cv_results_`."""
    table: dict[str, Any] = {}
    for name in ("fit_time", "score_time"):
        table |= _mean_and_std(name, _column(results, n_splits, name))
    for name in sorted({name for candidate in candidates for name in candidate}):
        column: Any = np.ma.array(np.empty(len(candidates), object), mask=True)
        for i, candidate in enumerate(candidates):
            if name in candidate:
                column[i] = candidate[name]
        table[f"param_{name}"] = column
    table["params"] = candidates
    parts = ["test", "train"] if job.return_train_score else ["test"]
    for name, scorer in scorers.items():
        for part in parts:
            key = f"{part}_{name if several else 'score'}"
            scores = _column(results, n_splits, f"{part}_scores", name)
            table |= {f"split{i}_{key}": scores[:, i] for i in range(n_splits)}
            table |= _mean_and_std(key, scores)
            if part == "test":
                table[f"rank_{key}"] = _ranks(table[f"mean_{key}"], scorer.lower_is_better)
    return table


def _column(
    results: list[Result], n_splits: int, attribute: str, key: str | None = None
) -> NDArray[np.float64]:
    values = [getattr(result, attribute) for result in results]
    flat = [value if key is None else value[key] for value in values]
    return np.array(flat, np.float64).reshape(-1, n_splits)


def _mean_and_std(name: str, values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {f"mean_{name}": values.mean(axis=1), f"std_{name}": values.std(axis=1)}


def _ranks(means: NDArray[np.float64], lower_is_better: bool) -> NDArray[np.int32]:
    """Return 1 for the best, equals sharing the better rank; NaN comes last."""
    loss = np.where(np.isnan(means), np.inf, means if lower_is_better else -means)
    return (1 + np.searchsorted(np.sort(loss), loss)).astype(np.int32)
