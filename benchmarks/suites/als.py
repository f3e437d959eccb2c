"""Sweeps of exact ALS, against the peers' exact and approximate ones and against sgemm."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.registry import OURS
from benchmarks.session import Entry, Result, Session
from benchmarks.suites import _work

#: Whom ours, which is exact, is set against; those without a target are for information.
PEERS = {
    "implicit Cholesky": targets.ALS_AGAINST_CHOLESKY,
    "cmfrec Cholesky": None,
    "implicit CG": targets.ALS_AGAINST_CG,
    "cmfrec CG": targets.ALS_AGAINST_CG,
    "cmfrec implicit CG": None,
}
#: Beyond this size only the peer that has a target there: the others take minutes a sweep.
ALL_PEERS_UP_TO = 64


def run(session: Session) -> None:
    for n_factors in session.factors(64, 128):
        peers = PEERS if n_factors <= ALL_PEERS_UP_TO else ("implicit Cholesky",)
        names = (OURS, "matfac with biases", *peers)
        sgemm = session.sgemm_entry()
        entries = [Entry("als", name, {"n_factors": n_factors}) for name in names]
        ours, with_biases, *theirs, limit = session.compare([*entries, sgemm])
        work = f"exact ALS sweep, F = {n_factors}"
        for peer in theirs:
            name = peer.entry.contender
            target = PEERS[name]
            session.report.compare(
                "als",
                work,
                name,
                (ours.seconds, peer.seconds),
                session.against_peer(target) if target else None,
                note=peer.missing,
            )
        session.report.compare("als", work, "ours with biases", (ours.seconds, with_biases.seconds))
        against_sgemm(session, work, ours, limit, n_factors)
        session.share(work, ours, *_work.als_sweep(session.shape, n_factors))


def against_sgemm(session: Session, work: str, ours: Result, sgemm: Result, n_factors: int) -> None:
    """The same amount of flop, had it been a matrix product."""
    flop = _work.als_sweep(session.shape, n_factors)[0]
    seconds = None
    if sgemm.seconds:
        seconds = sgemm.seconds * flop / (2 * sgemm.entry.params["size"] ** 3)
    session.report.compare(
        "als",
        work,
        "sgemm of NumPy",
        (ours.seconds, seconds),
        targets.ALS_AGAINST_SGEMM,
        amount=flop / 1e9,
        unit="GFLOP/s",
        note=sgemm.missing,
    )
