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


def timed_again(work: Callable[[], Any]) -> Callable[[], dict[str, Any]]:
    """The same of what is called again and again with the same ratings: not the first two times.

    They pay for what comes once: fresh pages, transposes and the like that a contender keeps. They
    come with the first repetition, so that what they keep counts as memory of the work.
    """
    is_first = True

    def measure() -> dict[str, Any]:
        nonlocal is_first
        if is_first:
            work()
            work()
            is_first = False
        return timed(work)()

    return measure


def median_step(seconds: list[float]) -> float:
    """The median time from one iteration to the next; the first holds the preparation too."""
    return median(b - a for a, b in pairwise(seconds))
