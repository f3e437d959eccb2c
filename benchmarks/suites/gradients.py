"""Residuals and both gradients."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.registry import OURS
from benchmarks.session import Entry, Session
from benchmarks.suites import _work

#: Those of the project's target, and one that is prepared by hand.
PEERS = ("NumPy + SciPy", "PyTorch sparse CSR")
PREPARED = "PyTorch, transposed beforehand"


def run(session: Session) -> None:
    for n_factors in session.factors(64):
        params = {"n_factors": n_factors}
        names = (OURS, OURS + " with the residuals", *PEERS, PREPARED)
        ours, both, *peers = session.compare([Entry("gradients", name, params) for name in names])
        work = f"residuals and gradients, F = {n_factors}"
        target = session.against_peer(targets.GRADIENTS)
        for result, title in ((ours, work), (both, work + ", E returned too")):
            for peer in peers:
                seconds = result.seconds, peer.seconds
                name = peer.entry.contender
                wanted = None if name == PREPARED else target
                session.report.compare("gradients", title, name, seconds, wanted, note=peer.missing)
        session.share(
            f"gradients, F = {n_factors}", ours, *_work.gradients(session.shape, n_factors)
        )
