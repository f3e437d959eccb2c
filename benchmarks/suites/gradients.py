"""Residuals and both gradients."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.registry import OURS
from benchmarks.session import Entry, Session
from benchmarks.suites import _work

PEERS = ("NumPy + SciPy", "PyTorch sparse CSR")


def run(session: Session) -> None:
    for n_factors in session.factors(64):
        params = {"n_factors": n_factors}
        names = (OURS, OURS + " with the residuals", *PEERS)
        ours, both, *peers = session.compare([Entry("gradients", name, params) for name in names])
        work = f"residuals and gradients, F = {n_factors}"
        target = session.against_peer(targets.GRADIENTS)
        for result, title in ((ours, work), (both, work + ", E returned too")):
            for peer in peers:
                seconds = result.seconds, peer.seconds
                session.report.compare(
                    "gradients", title, peer.entry.contender, seconds, target, note=peer.missing
                )
        session.share(
            f"gradients, F = {n_factors}", ours, *_work.gradients(session.shape, n_factors)
        )
