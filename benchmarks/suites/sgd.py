"""Updates per second of stochastic gradient descent."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.registry import OURS
from benchmarks.report import Row
from benchmarks.session import Entry, Result, Session
from benchmarks.suites import _work


def run(session: Session) -> None:
    peers = ("LIBMF", "Surprise SVD")
    for n_factors in session.factors(32, 64, 128):
        params = {"n_factors": n_factors}
        names = (OURS, "matfac with biases", *peers)
        ours, with_biases, libmf, surprise = session.compare(
            [Entry("sgd", name, params) for name in names]
        )
        work = f"SGD, F = {n_factors}"
        for result, peer, target in (
            (ours, libmf, session.against_peer(targets.SGD)),
            (with_biases, libmf, None),
            (ours, surprise, None),
        ):
            session.report.compare(
                "sgd",
                work + (", ours with biases" if result is with_biases else ""),
                peer.entry.contender,
                (result.seconds, peer.seconds),
                target,
                amount=session.shape.n_train / 1e6,
                unit="M updates/s",
                note=peer.missing,
            )
        session.share(
            f"SGD epoch, F = {n_factors}", ours, *_work.sgd_epoch(session.shape, n_factors)
        )
        memory_row(session, work, ours, n_factors)


def memory_row(session: Session, work: str, ours: Result, n_factors: int) -> None:
    """Bytes a rating, beyond the model and as much again for the factors that are worked on."""
    if not ours.samples:
        return
    n_rows = session.shape.n_users + session.shape.n_items
    factors = 2 * 4 * n_rows * n_factors
    rates = 2 * 4 * n_rows * 5
    taken = max(ours.memory - factors - rates, 0) / session.shape.n_train
    allowed = targets.SGD_BYTES_A_RATING
    ratio = allowed / taken if taken else None
    session.report.rows.append(
        Row(
            "sgd", f"{work}: memory", "what is allowed", taken, allowed, "bytes/rating", ratio, 1, 1
        )
    )
