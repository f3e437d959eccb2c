"""All threads against one, for each kind of work."""

from __future__ import annotations

from benchmarks import data, machine, targets
from benchmarks.registry import OURS
from benchmarks.session import Entry, Session

FIT_ITERATIONS = 10
TOP_N = {"n_factors": 64, "n": 10}


def cases(session: Session) -> list[Entry]:
    entries = [Entry("sgd", OURS, {"n_factors": f}) for f in session.factors(32, 64, 128)]
    curve = {"n_factors": 64, "max_iter": FIT_ITERATIONS}
    entries.append(Entry("curve", OURS + " sgd", curve))
    entries += [Entry("gradients", OURS, {"n_factors": f}) for f in session.factors(64)]
    entries += [Entry("als", OURS, {"n_factors": f}) for f in session.factors(64, 128)]
    entries += [Entry("top-n", OURS, {**TOP_N, "exclude_seen": seen}) for seen in (True, False)]
    for kind in ("integer", "string"):
        entries.append(Entry("prepare", OURS, {"kind": kind, "order": "shuffled"}))
    return entries


def run(session: Session) -> None:
    threads = session.options.threads
    if threads < 2 or machine.processors() < threads:
        session.report.skipped["scaling"] = (
            f"{threads} threads were asked for and there are {machine.processors()} processors"
        )
        return
    data.provide_factors(session.home, TOP_N["n_factors"])
    for entry in cases(session):
        alone = Entry(entry.task, entry.contender, entry.params, threads=1)
        together, one = session.compare([entry, alone])
        session.report.compare(
            "scaling",
            f"{threads} threads: {entry.title()}",
            "1 thread",
            (together.seconds, one.seconds),
            targets.TWO_THREADS if threads == 2 else None,
            note=together.missing,
        )
