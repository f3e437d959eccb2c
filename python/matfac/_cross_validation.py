"""Fitting and scoring on several divisions of the ratings, in this process or in several."""

from __future__ import annotations

import copy
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matfac import _core
from matfac._coerce import as_ratings, flag, integer, number
from matfac._ratings import Ratings
from matfac._scoring import Scorer, Scoring, score_all, scorers_of
from matfac._splitters import KFold, Mask, Splitter
from matfac._warnings import warn_user

#: Parameters to set, and the number of the division to fit to.
Task: TypeAlias = tuple[dict[str, Any], int]


class FitFailedWarning(UserWarning):
    """Some fits or scorings raised an error; their scores are ``error_score``."""


def cross_validate(
    estimator: Any,
    ratings: object,
    *,
    cv: Any = 5,
    scoring: Scoring = None,
    n_jobs: int | None = 1,
    fit_params: dict[str, Any] | None = None,
    return_train_score: bool = False,
    return_estimator: bool = False,
    error_score: float | str = np.nan,
) -> dict[str, Any]:
    """Fit and score copies of an estimator on several divisions of the ratings.

    Parameters
    ----------
    estimator : estimator
        Anything with ``get_params``, ``set_params``, ``fit(ratings)``, and with ``score`` or what
        the scoring calls. It is not changed.
    ratings : Ratings, SciPy sparse matrix or data frame
    cv : int, splitter, or iterable of (train, test) pairs of Ratings
        An int stands for ``KFold(cv)``, which gives the same parts every time.
    scoring : str, callable, Scorer, sequence of str, dict, or None
        A name, ``"rmse"``, ``"mae"``, ``"auc"``, ``"ndcg@10"``, ``"recall@20"``, ...: see
        `get_scorer`. A callable ``(model, test) -> float``. Several names, or a dict from names of
        your own to any of these. None: the estimator's ``score``. Scores are reported as they are:
        an RMSE is an RMSE, not its negative.
    n_jobs : int or None
        Processes that fit at the same time; -1: one a processor, None: 1. The scores do not depend
        on it. An estimator whose ``n_threads`` is 0 gets its share of the processors.
    fit_params : dict, optional
        Passed to ``fit``.
    return_train_score : bool
        Score the training parts too.
    return_estimator : bool
        Keep the fitted copies.
    error_score : float or "raise"
        What stands for the score of a fit that raises an error; ``"raise"`` passes it on.

    Returns
    -------
    dict
        ``fit_time``, ``score_time`` (seconds) and ``test_score``, or with several scorings
        ``test_NAME`` for each, arrays of shape (n_splits,); ``train_score`` or ``train_NAME`` and
        the list ``estimator``, where asked for.

    Raises
    ------
    ValueError
        Parameters out of range, ratings that cannot be divided so, every fit failed.
    TypeError
        What cannot be sent to other processes, with ``n_jobs`` other than 1.

    Warns
    -----
    FitFailedWarning
        Some fits failed.

    Notes
    -----
    Processes are spawned, so that a script has to call this below ``if __name__ == "__main__":``.
    Each receives the ratings once. Ctrl-C ends them.
    """
    base = clone(estimator)
    scorers, several = scorers_of(scoring, estimator)
    job = Job(
        base,
        divide(ratings, cv, base),
        scorers,
        dict(fit_params or {}),
        flag("return_train_score", return_train_score),
        flag("return_estimator", return_estimator),
        checked_error_score(error_score),
    )
    results = run(job, [{}], n_jobs)
    table: dict[str, Any] = {
        "fit_time": np.array([result.fit_time for result in results]),
        "score_time": np.array([result.score_time for result in results]),
    }
    if return_estimator:
        table["estimator"] = [result.estimator for result in results]
    for name in scorers:
        column = name if several else "score"
        table[f"test_{column}"] = np.array([result.test_scores[name] for result in results])
        if return_train_score:
            table[f"train_{column}"] = np.array([result.train_scores[name] for result in results])
    return table


def clone(estimator: Any) -> Any:
    """Return an estimator of the same class with copies of the same parameters, not fitted."""
    for method in ("get_params", "set_params", "fit"):
        if isinstance(estimator, type) or not callable(getattr(estimator, method, None)):
            raise TypeError(
                f"estimator: expected an object with get_params, set_params and fit, got "
                f"{estimator!r}"
            )
    params = estimator.get_params(deep=False)
    return type(estimator)(
        **{
            name: clone(value)
            if hasattr(value, "get_params") and hasattr(value, "fit")
            else copy.deepcopy(value)
            for name, value in params.items()
        }
    )


def checked_error_score(error_score: object) -> float | None:
    """Return what stands for a failed fit's score; None: the error is passed on."""
    if isinstance(error_score, str) and error_score == "raise":
        return None
    return number("error_score", error_score, "a number or 'raise'")


# ---- divisions ----------------------------------------------------------------------------------


@dataclass
class Divisions:
    """All (train, test) pairs, as small as they can be sent: the whole and packed masks."""

    whole: Ratings | None
    packed: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = field(default_factory=list)
    pairs: list[tuple[Ratings, Ratings]] = field(default_factory=list)
    _last: tuple[int, tuple[Ratings, Ratings]] | None = None

    def __len__(self) -> int:
        return len(self.packed) or len(self.pairs)

    def pair(self, index: int) -> tuple[Ratings, Ratings]:
        """Return a pair; the last one is kept, as several candidates are fitted to it in turn."""
        if self.whole is None:
            return self.pairs[index]
        if self._last is None or self._last[0] != index:
            train, test = (self._unpacked(bits) for bits in self.packed[index])
            self._last = None
            self._last = index, (self.whole.select(train), self.whole.select(test))
        return self._last[1]

    def _unpacked(self, bits: NDArray[np.uint8]) -> Mask:
        assert self.whole is not None
        return np.unpackbits(bits, count=self.whole.nnz).view(np.bool_)


def divide(ratings: object, cv: Any, estimator: Any) -> Divisions:
    """Return the divisions that ``cv`` asks for, of what the estimator is about."""
    whole: Ratings = getattr(estimator, "_as_ratings", as_ratings)(ratings)
    if not hasattr(cv, "split") and not isinstance(cv, Iterable):
        cv = KFold(integer("cv", cv, least=2, expected="an integer, a splitter or pairs"))
    if isinstance(cv, Splitter):
        packed = [(np.packbits(train), np.packbits(test)) for train, test in cv.masks(whole)]
        return Divisions(whole, packed=packed)
    pairs = [tuple(pair) for pair in (cv.split(whole) if hasattr(cv, "split") else cv)]
    if not pairs:
        raise ValueError("cv: there are no (train, test) pairs")
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(part, Ratings) for part in pair):
            kinds = ", ".join(type(part).__name__ for part in pair)
            raise TypeError(f"cv: expected (train, test) pairs of Ratings, got ({kinds})")
    return Divisions(None, pairs=pairs)


# ---- one fit ------------------------------------------------------------------------------------


@dataclass
class Job:
    """What all fits have in common."""

    estimator: Any
    divisions: Divisions
    scorers: dict[str, Scorer]
    fit_params: dict[str, Any]
    return_train_score: bool = False
    return_estimator: bool = False
    error_score: float | None = np.nan
    #: Where several processes share the machine: how many threads each may use.
    n_threads: int | None = None


@dataclass
class Result:
    """What became of a fit."""

    fit_time: float = np.nan
    score_time: float = np.nan
    test_scores: dict[str, float] = field(default_factory=dict)
    train_scores: dict[str, float] = field(default_factory=dict)
    estimator: Any = None
    #: The trace of an error, and what failed.
    failure: str | None = None
    fitted: bool = False


def fit_and_score(job: Job, params: dict[str, Any], split: int) -> Result:
    """Fit a copy of the estimator with these parameters, and score it."""
    result = Result()
    try:
        train, test = job.divisions.pair(split)
        estimator = clone(job.estimator).set_params(**copy.deepcopy(params))
        own = _give_share(estimator, job.n_threads)
        start = time.perf_counter()
        estimator.fit(train, **job.fit_params)
        result.fit_time = time.perf_counter() - start
        result.fitted = True
        start = time.perf_counter()
        result.test_scores = score_all(job.scorers, estimator, test)
        result.score_time = time.perf_counter() - start
        if job.return_train_score:
            result.train_scores = score_all(job.scorers, estimator, train, is_train=True)
        if job.return_estimator:
            result.estimator = estimator.set_params(**own) if own else estimator
    except Exception:
        if job.error_score is None:
            raise
        result.failure = traceback.format_exc()
        result.test_scores = dict.fromkeys(job.scorers, job.error_score)
        result.train_scores = dict.fromkeys(job.scorers, job.error_score)
    return result


def _give_share(estimator: Any, n_threads: int | None) -> dict[str, Any]:
    """Let an estimator use its share of the processors, and no bar; return what it had itself."""
    if n_threads is None:
        return {}
    params = estimator.get_params(deep=False)
    shares = {"n_threads": (0, n_threads), "verbose": (None, False)}
    changed = {
        name: share
        for name, (open_value, share) in shares.items()
        if name in params and params[name] is not False and params[name] == open_value
    }
    estimator.set_params(**changed)
    return {name: params[name] for name in changed}


# ---- all fits -----------------------------------------------------------------------------------


def run(job: Job, candidates: Sequence[dict[str, Any]], n_jobs: int | None) -> list[Result]:
    """Fit each candidate to each division; the results by candidate, and then by division."""
    n_splits = len(job.divisions)
    # By division: a process then keeps the parts that it has made for the next candidate.
    tasks = [(params, split) for split in range(n_splits) for params in candidates]
    cores = int(_core.runtime_info()["n_threads"])
    n_workers = min(_workers(n_jobs, cores), len(tasks))
    if n_workers == 1:
        results = [fit_and_score(job, *task) for task in tasks]
    else:
        job.n_threads = max(1, cores // n_workers)
        from matfac._processes import run_in_processes

        results = run_in_processes(job, tasks, n_workers)
    _report_failures(results)
    by_split = [results[i : i + len(candidates)] for i in range(0, len(results), len(candidates))]
    return [of_split[i] for i in range(len(candidates)) for of_split in by_split]


def _workers(n_jobs: int | None, cores: int) -> int:
    if n_jobs is None:
        return 1
    count = integer("n_jobs", n_jobs, expected="an integer (-1: one a processor) or None")
    if count < 1 and count != -1:
        raise ValueError(f"n_jobs={count} must be at least 1, or -1 for one a processor")
    return cores if count == -1 else count


def _report_failures(results: list[Result]) -> None:
    failed = [result for result in results if result.failure is not None]
    if not failed:
        return
    if len(failed) == len(results):
        what = "scorings" if all(result.fitted for result in failed) else "fits"
        raise ValueError(
            f"all the {len(results)} {what} failed; error_score='raise' passes the error on. The "
            f"first one:\n{failed[0].failure}"
        )
    warn_user(
        f"{len(failed)} of {len(results)} fits or scorings failed; their scores are error_score. "
        f"The first one:\n{failed[0].failure}",
        FitFailedWarning,
    )
