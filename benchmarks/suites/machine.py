"""The machine's own rates."""

from __future__ import annotations

from benchmarks.session import Session


def run(session: Session) -> None:
    session.limits()
