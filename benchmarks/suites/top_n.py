"""The ten best items for every user."""

from __future__ import annotations

from benchmarks import data, targets
from benchmarks.registry import OURS
from benchmarks.session import Entry, Session
from benchmarks.suites import _work

N = 10
#: By whether seen items are left out: the peers, and what is wanted against each.
PEERS = {
    True: {"implicit": targets.TOP_N_UNSEEN},
    False: {"faiss IndexFlatIP": targets.TOP_N_ALL, "implicit": None},
}


def run(session: Session) -> None:
    shape = session.shape
    for n_factors in session.factors(64):
        data.provide_factors(session.home, n_factors)
        for exclude_seen, peers in PEERS.items():
            params = {"n_factors": n_factors, "n": N, "exclude_seen": exclude_seen}
            entries = [Entry("top-n", name, params) for name in (OURS, *peers)]
            ours, *theirs = session.compare(entries)
            excluded = "seen" if exclude_seen else "nothing"
            work = f"top-{N} for all users, {excluded} excluded, F = {n_factors}"
            for peer in theirs:
                target = peers[peer.entry.contender]
                session.report.compare(
                    "top-n",
                    work,
                    peer.entry.contender,
                    (ours.seconds, peer.seconds),
                    session.against_peer(target) if target else None,
                    amount=shape.n_users * shape.n_items / 1e9,
                    unit="G scores/s",
                    note=peer.missing,
                )
            session.share(work, ours, *_work.top_n(shape, n_factors))
