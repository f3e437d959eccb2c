"""NDCG of the held-out ratings, over all users."""

from __future__ import annotations

from benchmarks import data, targets
from benchmarks.registry import OURS
from benchmarks.session import Entry, Session

N = 10


def run(session: Session) -> None:
    for n_factors in session.factors(64):
        data.provide_factors(session.home, n_factors)
        params = {"n_factors": n_factors, "n": N}
        ours, peer = session.compare(
            [Entry("evaluate", name, params) for name in (OURS, "implicit")]
        )
        session.report.compare(
            "evaluation",
            f"NDCG@{N} over all users, F = {n_factors}",
            peer.entry.contender,
            (ours.seconds, peer.seconds),
            session.against_peer(targets.EVALUATION),
            note=peer.missing,
        )
