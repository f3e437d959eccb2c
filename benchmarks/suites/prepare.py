"""From arrays of raw ids to rows of codes that a fit can begin with."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.registry import OURS
from benchmarks.session import Entry, Session

#: Kinds of raw ids and their order; both get the same arrays. See `Data.raw_ids`.
CASES = (
    ("integer", "shuffled"),
    ("integer", "by user"),
    ("string", "shuffled"),
    ("object", "shuffled"),
    ("pandas string", "shuffled"),
)
PEER = "pandas + SciPy"


def run(session: Session) -> None:
    for kind, order in CASES:
        params = {"kind": kind, "order": order}
        ours, peer = session.compare([Entry("prepare", name, params) for name in (OURS, PEER)])
        session.report.compare(
            "prepare",
            f"ratings from {kind} ids, {order}",
            PEER,
            (ours.seconds, peer.seconds),
            session.against_peer(targets.PREPARE),
            amount=session.shape.n_train / 1e6,
            unit="M ratings/s",
            note=peer.missing,
        )
