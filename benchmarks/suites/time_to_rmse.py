"""Time to LIBMF's best test RMSE of 30 iterations: preparation counts, parsing does not."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks import targets
from benchmarks.registry import OURS, names_for
from benchmarks.session import Entry, Result, Session

MAX_ITER = 30
PEER = "LIBMF"
BY_SGD = OURS + " sgd"
TITLE = "to LIBMF's best RMSE"


def run(session: Session) -> None:
    names = names_for("curve")
    for n_factors in session.factors(32, 64, 128):
        params = {"n_factors": n_factors, "max_iter": MAX_ITER}
        results = session.compare([Entry("curve", name, params) for name in names])
        by_name = {result.entry.contender: result for result in results}
        for result in results:
            add_curve(session, result, n_factors)
        add_rows(session, by_name, n_factors)


def add_curve(session: Session, result: Result, n_factors: int) -> None:
    if result.samples:
        typical = sorted(result.samples, key=lambda s: s["seconds"])[len(result.samples) // 2]
        session.report.curves.append(
            {
                "contender": result.entry.contender,
                "n_factors": n_factors,
                "points": typical["curve"],
            }
        )


def add_rows(session: Session, by_name: dict[str, Result], n_factors: int) -> None:
    peer = by_name[PEER]
    goal = best_error(peer) if peer.samples else None
    ours = {name: time_to(result, goal) for name, result in by_name.items() if name != PEER}
    reached = {name: seconds for name, seconds in ours.items() if seconds is not None}
    fastest = min(reached, key=reached.__getitem__) if reached else None
    contests = [
        (BY_SGD, BY_SGD, targets.TIME_TO_RMSE_BY_SGD),
        (f"fastest: {fastest}" if fastest else "fastest", fastest, targets.TIME_TO_RMSE_BY_ANY),
    ]
    for title, name, target in contests:
        seconds = ours.get(name) if name else None
        session.report.compare(
            "time-to-rmse",
            f"{TITLE}, F = {n_factors}, {title}",
            PEER,
            (seconds, time_to(peer, goal)),
            session.against_peer(target),
            note=remark(peer, goal, seconds),
        )


def remark(peer: Result, goal: float | None, seconds: float | None) -> str:
    if goal is None:
        return peer.missing
    return f"RMSE {goal:.4f}" + ("" if seconds else ": not reached")


def best_error(result: Result) -> float:
    return float(min(error for sample in result.samples for _, error in sample["curve"]))


def time_to(result: Result, goal: float | None) -> float | None:
    """The median over the repetitions; None if one of them did not get there."""
    if goal is None or not result.samples:
        return None
    times = [first_at_or_below(sample, goal) for sample in result.samples]
    reached = [time for time in times if time is not None]
    return median(reached) if reached and len(reached) == len(times) else None


def first_at_or_below(sample: dict[str, Any], goal: float) -> float | None:
    return next((seconds for seconds, error in sample["curve"] if error <= goal), None)
