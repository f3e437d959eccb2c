"""Samples per second of Bayesian personalized ranking."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.registry import OURS
from benchmarks.session import Entry, Session


def run(session: Session) -> None:
    for n_factors in session.factors(64):
        params = {"n_factors": n_factors}
        ours, peer = session.compare([Entry("bpr", name, params) for name in (OURS, "implicit")])
        session.report.compare(
            "bpr",
            f"BPR, F = {n_factors}",
            peer.entry.contender,
            (ours.seconds, peer.seconds),
            session.against_peer(targets.BPR),
            amount=session.shape.n_train / 1e6,
            unit="M samples/s",
            note=peer.missing,
        )
