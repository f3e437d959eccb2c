"""Sweeps over all pairs, chosen or not: an exact one, and the way to an equal objective."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.registry import OURS, names_for
from benchmarks.session import Entry, Session
from benchmarks.suites import _work
from benchmarks.suites.time_to_rmse import best_error, time_to

SWEEPS = 15  # implicit's default
PEER = "implicit CG"


def run(session: Session) -> None:
    for n_factors in session.factors(64, 128):
        entries = [
            Entry("implicit-als", name, {"n_factors": n_factors})
            for name in (OURS, "implicit Cholesky")
        ]
        ours, peer = session.compare(entries)
        work = f"exact sweep over all pairs, F = {n_factors}"
        session.report.compare(
            "implicit-als",
            work,
            peer.entry.contender,
            (ours.seconds, peer.seconds),
            session.against_peer(targets.IMPLICIT_ALS),
            note=peer.missing,
        )
        session.share(work, ours, *_work.als_sweep(session.shape, n_factors))
    for n_factors in session.factors(64):
        to_equal_objective(session, n_factors)


def to_equal_objective(session: Session, n_factors: int) -> None:
    """The peer's last objective is the goal; whichever of our solvers of rows is there first."""
    params = {"n_factors": n_factors, "max_iter": SWEEPS}
    results = session.compare(
        [Entry("objective-curve", name, params) for name in names_for("objective-curve")]
    )
    by_name = {result.entry.contender: result for result in results}
    peer = by_name.pop(PEER)
    goal = best_error(peer) if peer.samples else None
    times = {name: time_to(result, goal) for name, result in by_name.items()}
    reached = {name: seconds for name, seconds in times.items() if seconds is not None}
    fastest = min(reached, key=reached.__getitem__) if reached else None
    title = f"to its objective after {SWEEPS} sweeps, F = {n_factors}"
    for name, seconds in times.items():
        note = peer.missing if goal is None else f"objective {goal:.6g}"
        session.report.compare(
            "implicit-als",
            f"{title}, {'fastest: ' if name == fastest else ''}{name}",
            PEER,
            (seconds, time_to(peer, goal)),
            session.against_peer(targets.IMPLICIT_ALS_TO_OBJECTIVE) if name == fastest else None,
            note=note + ("" if seconds or goal is None else ": not reached"),
        )
