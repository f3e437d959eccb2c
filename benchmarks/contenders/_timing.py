"""What several contenders need for their clocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any


def timed(work: Callable[[], Any]) -> Callable[[], dict[str, Any]]:
    """A repetition that is timed as a whole."""

    def measure() -> dict[str, Any]:
        start = time.perf_counter()
        work()
        return {"seconds": time.perf_counter() - start}

    return measure


def median_step(seconds: list[float]) -> float:
    """The median time from one iteration to the next; the first holds the preparation too."""
    return median(b - a for a, b in pairwise(seconds))
