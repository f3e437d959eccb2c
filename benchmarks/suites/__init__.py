"""What is compared: a file a suite, listed here."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.session import Session
from benchmarks.suites import (
    als,
    bpr,
    evaluation,
    gradients,
    implicit_als,
    machine,
    prepare,
    scaling,
    sgd,
    time_to_rmse,
    top_n,
)

#: In the order in which "all" runs them.
SUITES: dict[str, Callable[[Session], None]] = {
    "machine": machine.run,
    "sgd": sgd.run,
    "time-to-rmse": time_to_rmse.run,
    "gradients": gradients.run,
    "als": als.run,
    "implicit-als": implicit_als.run,
    "bpr": bpr.run,
    "top-n": top_n.run,
    "evaluation": evaluation.run,
    "prepare": prepare.run,
    "scaling": scaling.run,
}
